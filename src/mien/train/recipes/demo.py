"""Recipes `demo` and `demo_augmented`: the study in small, for the synthetic data set `sketch`.

A small model with AdamW learns two thousand faces by heart in minutes on a CPU, where the model of the study would take
hours. The second recipe adds mirroring and small rotations, shifts and changes of size.

Run:    make demo
Scores: experiments/LOG.md
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import Affine, Flip
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def demo() -> Recipe:
    """Train a small model on `sketch` without augmentation: AdamW, cosine schedule, 10 epochs, batches of 32."""
    return Recipe(
        name="demo",
        model="mien_nano",
        batch=32,
        epochs=10,
        optimizer="adamw",
        lr=0.003,
        weight_decay=0.01,
        schedule="cosine",
        warmup=1.0,
    )


@recipe
def demo_augmented() -> Recipe:
    """Train recipe `demo` with flips and slight affine distortions."""
    return replace(demo(), name="demo_augmented", augment=(Flip(), Affine(degrees=8.0, shift=0.04, scale=0.08)))
