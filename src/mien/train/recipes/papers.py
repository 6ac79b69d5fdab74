"""Models of two papers, trained as published.

Run:    mien train deep_emotion --data fer2013.csv
        mien train vgg13_ferplus --data fer2013.csv --votes fer2013new.csv
"""

from __future__ import annotations

from mien.train.augment import Affine, Flip
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def deep_emotion() -> Recipe:
    """Minaee & Abdolrashidi 2019, arXiv 1902.01019, section 4: Adam at 0.005 for 500 epochs, slight distortions.

    The paper claims 70.02 % on PrivateTest. The size of its batches is not given.
    """
    return Recipe(
        name="deep_emotion",
        model="deep_emotion",
        augment=(Flip(), Affine(degrees=10.0, shift=0.04, scale=0.05, skew=0.05)),
        batch=128,
        epochs=500,
        optimizer="adam",
        lr=0.005,
        weight_decay=0.001,
    )


@recipe
def vgg13_ferplus() -> Recipe:
    """Barsoum et al. 2016, arXiv 1608.01041, section 4: cross-entropy on the votes, batches of 32, 100 epochs.

    The paper claims 84.716 +- 0.239 % on FER+'s test split. The reference code starts at 0.05 and lowers the rate in
    steps, but its library's momentum averages gradients (CNTK's unit gain, the default), where PyTorch's sums them up:
    at a momentum of 0.9 its 0.05 is a tenth here. The rate falls as a cosine, which bears to be shortened.
    """
    return Recipe(
        name="vgg13_ferplus",
        model="vgg13",
        scheme="distribution",
        augment=(Flip(), Affine()),
        batch=32,
        epochs=100,
        lr=0.005,
        weight_decay=0.0,
        schedule="cosine",
        warmup=0.2,
    )
