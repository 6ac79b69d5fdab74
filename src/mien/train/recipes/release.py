"""Recipes of the shipped models.

Run:    mien train release_base --data fer2013.csv --votes fer2013new.csv
Scores: `mien models`, from their cards. See experiments/LOG.md for the cost of each and for what else was tried.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import Affine, Blur, Cutout, Flip, Jpeg, Light
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def release_base() -> Recipe:
    """Train `base` for FER2013's own labels: 40 epochs, 75 minutes on one free core."""
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
    """Train `photo` for photos from elsewhere.

    Targets are the FER+ votes in seven classes. Augmentations imitate inaccurate face boxes, other lighting, blur and
    JPEG compression.
    """
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
    """Train `ferplus` for FER+'s eight classes, with `--init photo`: few epochs, milder augmentations than `photo`."""
    return replace(
        release_base(), name="release_ferplus", scheme="distribution", label_set="ferplus8", epochs=6, lr=0.01
    )


@recipe
def release_ferplus_2() -> Recipe:
    """Train `ferplus` with logit adjustment, with `--init photo` after the second stage of `photo`."""
    return replace(release_ferplus(), name="release_ferplus_2", logit_adjustment=0.5)


@recipe
def release_nano() -> Recipe:
    """Train `nano`, the fast model, by distillation from `base`.

    A small model needs more epochs, 160, and weaker augmentations.
    """
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
    """Train the second stage of `base`, with `--init base`: 40 more epochs with the first stage as teacher."""
    return replace(release_base(), name="release_base_2", teacher="base", teacher_weight=0.5, views=20)


@recipe
def release_nano_2() -> Recipe:
    """Train the second stage of `nano`, with `--init nano` and the second stage of `base` as teacher."""
    return replace(release_nano(), name="release_nano_2", epochs=120, lr=0.02)


@recipe
def release_photo_nano() -> Recipe:
    """Train the fast model for videos, with `--init nano`; its teacher is `photo`, so that their predictions agree."""
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
    """Train the second stage of `photo`, with `--init photo`, logit adjustment, and two teachers: `photo` and `base`.

    The mean of both teachers is more accurate than `photo` alone, by the majority vote (FER+) and by class: `base`
    learned FER2013's labels, among which fewer faces are neutral than among the votes.
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
