"""The nets that ship: trained on FER2013's labels and FER+'s votes, half and half.

Run:    mien train release_nano --data fer2013.csv --votes fer2013new.csv
        mien train release_base --data fer2013.csv --votes fer2013new.csv
Scores: `mien models`, from their cards; experiments/LOG.md has what each cost.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import Affine, Cutout, Flip
from mien.train.recipe import Recipe
from mien.train.recipes import recipe


@recipe
def release_nano() -> Recipe:
    """The fast one: 20 epochs, a quarter of an hour on one core."""
    return Recipe(
        name="release_nano",
        model="mien_nano",
        scheme="mixed",
        augment=(Flip(), Affine(degrees=15.0), Cutout(holes=1, size=12)),
        batch=128,
        epochs=20,
        lr=0.1,
        weight_decay=0.0005,
        schedule="cosine",
        warmup=1.0,
        ema=0.998,
    )


@recipe
def release_base() -> Recipe:
    """The accurate one: 10 epochs, half an hour on one core."""
    return replace(release_nano(), name="release_base", model="mien_base", epochs=10)
