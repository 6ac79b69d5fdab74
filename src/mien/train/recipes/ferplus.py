"""Four ways to learn from FER+ votes, after Barsoum et al. 2016 (arXiv 1608.01041).

Run:    mien compare --data fer2013.csv --votes fer2013new.csv --out runs/schemes --seeds 3
        --arms ferplus_majority,ferplus_multi_label,ferplus_drawing,ferplus_distribution
Scores: experiments/LOG.md. They compare the schemes only: the model is not that of the paper, and training is short.
"""

from __future__ import annotations

from dataclasses import replace

from mien.train.augment import Affine, Flip
from mien.train.recipe import Recipe
from mien.train.recipes.registry import recipe


@recipe
def ferplus_majority() -> Recipe:
    """Train on one label per face, the class with more than half of the votes; other faces are left out."""
    return Recipe(
        name="ferplus_majority",
        model="mien_nano",
        scheme="majority",
        augment=(Flip(), Affine()),
        batch=128,
        epochs=12,
        lr=0.1,
        weight_decay=0.0005,
        schedule="cosine",
        warmup=1.0,
    )


@recipe
def ferplus_multi_label() -> Recipe:
    """Train on several labels per face, the classes with 30 % of the votes; the loss is that of the likeliest one."""
    return replace(ferplus_majority(), name="ferplus_multi_label", scheme="multi_label")


@recipe
def ferplus_drawing() -> Recipe:
    """Train on one label per face, sampled from its votes in each epoch."""
    return replace(ferplus_majority(), name="ferplus_drawing", scheme="drawing")


@recipe
def ferplus_distribution() -> Recipe:
    """Train by cross-entropy on the shares of the votes."""
    return replace(ferplus_majority(), name="ferplus_distribution", scheme="distribution")
