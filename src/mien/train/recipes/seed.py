"""Recipes `seed`, `seed_augmented` and `seed_augmented_as_run`: the study of the student report.

One model is trained with three kinds of augmentation. The name `seed` is that of the report's model, the seed of this
project; it has nothing to do with random seeds.

Run:    mien compare --data fer2013.csv --arms seed,seed_augmented,seed_augmented_as_run --seeds 3 --out runs/study
Scores: experiments/LOG.md, with the cost of each.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import BlankedByNoise, Cutout, Flip, GaussianNoise
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def seed() -> Recipe:
    """Train recipe `seed`, the first arm: images without augmentation; SGD, constant rate, 9 epochs, batches of 64."""
    return Recipe(name="seed")


@recipe
def seed_augmented() -> Recipe:
    """Train recipe `seed_augmented`, the second arm as the report describes it: flip, cutout and noise."""
    return replace(seed(), name="seed_augmented", augment=(Flip(), Cutout(holes=2, size=2), GaussianNoise()))


@recipe
def seed_augmented_as_run() -> Recipe:
    """Train recipe `seed_augmented_as_run`, the second arm as the report's notebook really ran it.

    The notebook passed int64 pixels to Albumentations, which clipped them to 1.0 in that version: cutout was applied to
    every image, and each image with noise became constant, so that half of each epoch were blank images.
    """
    return replace(
        seed(), name="seed_augmented_as_run", augment=(Flip(), Cutout(p=1.0, holes=2, size=2), BlankedByNoise())
    )
