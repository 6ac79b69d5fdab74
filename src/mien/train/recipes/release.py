"""Recipes of the shipped models.

Run:    mien train release_base --data fer2013.csv --votes fer2013new.csv
Scores: `mien models`, from their cards; experiments/LOG.md has what each cost and what was tried on the way.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import Affine, Blur, Cutout, Flip, Jpeg, Light
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def release_base() -> Recipe:
    """For FER2013's own labels: 40 epochs, 75 minutes on a core of its own."""
    return Recipe(
        name="release_base",
        model="mien_base",
        scheme="expected",
        augment=(Flip(), Affine(degrees=12.0, shift=0.06, scale=0.12), Cutout(holes=1, size=12)),
        batch=256,
        epochs=40,
        optimizer="muon",
        lr=0.03,
        momentum=0.95,
        weight_decay=0.02,
        schedule="cosine",
        warmup=1.0,
        ema=0.998,
    )


@recipe
def release_photo() -> Recipe:
    """For other people's photos: the raters' votes in seven classes, boxes that are off, light, lens and file."""
    return replace(
        release_base(),
        name="release_photo",
        scheme="distribution",
        label_set="fer7",
        augment=(
            Flip(),
            Affine(degrees=12.0, shift=0.1, scale=0.3),
            Light(),
            Blur(p=0.2),
            Jpeg(p=0.3),
            Cutout(p=0.3, holes=1, size=12),
        ),
        epochs=30,
    )


@recipe
def release_ferplus() -> Recipe:
    """FER+'s eight classes, for `--init photo`: few epochs on milder augmentations than those of `photo`."""
    return replace(
        release_base(), name="release_ferplus", scheme="distribution", label_set="ferplus8", epochs=6, lr=0.01
    )


@recipe
def release_ferplus_2() -> Recipe:
    """FER+'s eight classes with logit adjustment, for `--init photo` after the second stage of `photo`."""
    return replace(release_ferplus(), name="release_ferplus_2", logit_adjustment=0.5)


@recipe
def release_nano() -> Recipe:
    """The fast one, taught by `base` for 160 epochs: a small model learns slowly, and its images are altered less."""
    return replace(
        release_base(),
        name="release_nano",
        model="mien_nano",
        augment=(Flip(), Affine(degrees=10.0, shift=0.05, scale=0.1)),
        teacher="base",
        teacher_weight=0.7,
        views=24,
        epochs=160,
    )


@recipe
def release_base_2() -> Recipe:
    """Second stage of `base`, for `--init base`: 40 more epochs under the first stage as a teacher."""
    return replace(release_base(), name="release_base_2", teacher="base", teacher_weight=0.5, views=20)


@recipe
def release_nano_2() -> Recipe:
    """Second stage of `nano`, for `--init nano`, with the second stage of `base` as the teacher."""
    return replace(release_nano(), name="release_nano_2", epochs=120, lr=0.02)


@recipe
def release_photo_nano() -> Recipe:
    """The fast model for videos, for `--init nano`: `photo` is its teacher, so that both answer alike."""
    return replace(
        release_photo(),
        name="release_photo_nano",
        model="mien_nano",
        augment=(Flip(), Affine(degrees=10.0, shift=0.08, scale=0.2), Light(), Blur(p=0.2), Jpeg(p=0.3)),
        teacher="photo",
        teacher_weight=0.9,
        views=24,
        logit_adjustment=0.5,
        epochs=120,
        lr=0.02,
    )


@recipe
def release_photo_2() -> Recipe:
    """Second stage of `photo`, for `--init photo`: logit adjustment, and the first stage and `base` as teachers.

    The mean of both teachers is more accurate than `photo` alone, by the majority vote and by class: `base` learned
    FER2013's labels, which call fewer faces neutral than the votes do.
    """
    return replace(
        release_photo(),
        name="release_photo_2",
        teacher="photo+base",
        teacher_weight=0.5,
        views=6,
        logit_adjustment=0.5,
        epochs=12,
        lr=0.02,
        warmup=0.5,
    )
