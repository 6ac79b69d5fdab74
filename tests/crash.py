"""A training run that ends in the middle of an epoch."""

from __future__ import annotations

from typing import Any

import torch

from mien.train.augment import Augmentation


class SimulatedCrash(Exception):
    """An exception that stands for a crash."""


class CrashingAugmentation:
    """The first augmentation of a recipe, which raises `SimulatedCrash` after a number of batches."""

    def __init__(self, first: Augmentation, after: int) -> None:
        self.first, self.left = first, after

    def __call__(self, x_NCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise SimulatedCrash
        return self.first(x_NCHW, rng)

    def to_dict(self) -> dict[str, Any]:
        return self.first.to_dict()
