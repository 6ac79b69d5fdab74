"""The student report's study: one model, three kinds of augmentation.

Run:    mien compare --data fer2013.csv --arms seed,seed_augmented,seed_augmented_as_run --seeds 3 --out runs/study
Scores: experiments/LOG.md, with what each cost.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import BlankedByNoise, Cutout, Flip, GaussianNoise
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def seed() -> Recipe:
    """The first arm: regular images; SGD at a constant rate for 9 epochs of batches of 64."""
    return Recipe(name="seed")


@recipe
def seed_augmented() -> Recipe:
    """The second arm, as the report describes it: flip, cutout and noise on the training images."""
    return replace(seed(), name="seed_augmented", augment=(Flip(), Cutout(holes=2, size=2), GaussianNoise()))


@recipe
def seed_augmented_as_run() -> Recipe:
    """The second arm as the report's notebook really ran it.

    Handed int64 pixels, the Albumentations of its day clipped to 1.0: cutout became certain, and each image that
    noise hit became one constant, so that half of each epoch was spent on blank images.
    """
    return replace(
        seed(), name="seed_augmented_as_run", augment=(Flip(), Cutout(p=1.0, holes=2, size=2), BlankedByNoise())
    )
