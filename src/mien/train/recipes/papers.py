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
    """Train Deep-Emotion: Adam at 0.005 for 500 epochs, slight distortions.

    Source: Minaee & Abdolrashidi 2019, arXiv 1902.01019, section 4. The paper reports 70.02 % on PrivateTest. It does
    not state the batch size.
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
    """Train VGG13 on FER+: cross-entropy on the votes, batches of 32, 100 epochs.

    Source: Barsoum et al. 2016, arXiv 1608.01041, section 4. The paper reports 84.716 +- 0.239 % on FER+'s test split.
    The reference code starts at a learning rate of 0.05 and lowers it in steps. The momentum of its library, CNTK,
    averages gradients (unit gain, the default), that of PyTorch sums them: with a momentum of 0.9, its 0.05 equals
    0.005 here. A cosine schedule is used instead of steps, because it also works with fewer epochs.
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
