"""The data set as a tensor: it lives on the device as uint8, an epoch is a permutation of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mien.data.split import Split
from mien.train.imbalance import balanced_order
from mien.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Faces:
    """One split on the device: pixels uint8 [N,1,48,48], labels int64 [N]."""

    pixels_NCHW: Tensor
    labels_N: Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device) -> Faces:
        return cls(
            torch.from_numpy(split.pixels_NHW).unsqueeze(1).to(device), torch.from_numpy(split.labels_N).to(device)
        )

    def __len__(self) -> int:
        return len(self.labels_N)

    def sample(self, size: int) -> Faces:
        """`size` faces spread evenly over the split, or all where there are no more: always the same ones."""
        size = min(size, len(self))
        place = torch.arange(size, device=self.labels_N.device) * len(self) // size
        return Faces(self.pixels_NCHW[place], self.labels_N[place])


def stream(seed: int, epoch: int, purpose: int, device: torch.device) -> Generator:
    """The random numbers of one epoch for one purpose.

    They depend on nothing that came before, so a resumed run draws what the uninterrupted one would have, and two arms
    with one seed see the pictures in one order.
    """
    return Generator(device=device).manual_seed(((seed * 10_007 + epoch) * 101 + purpose) & (2**63 - 1))


SHUFFLE, AUGMENT, NET = range(3)


class Batch(NamedTuple):
    """What goes through the net at once.

    Attributes:
        x_BCHW: pixels, augmented and normalised, float32 [B,1,48,48].
        label_B: int64 [B].
        share: of the faces of its step, 1.0 where a step is one batch.
        last: whether the step is taken after this batch.
    """

    x_BCHW: Tensor
    label_B: Tensor
    share: float
    last: bool


def training_batches(faces: Faces, recipe: Recipe, seed: int, epoch: int) -> Iterator[Batch]:
    """An epoch: every face once, or as balanced sampling has it, shuffled, augmented, normalised."""
    device = faces.labels_N.device
    # Drawn on the CPU, so that every device sees one order.
    rng = stream(seed, epoch, SHUFFLE, torch.device("cpu"))
    order_N = balanced_order(faces.labels_N.cpu(), recipe.balanced_sampling, rng).to(device)
    rng = stream(seed, epoch, AUGMENT, device)
    for step_S in torch.split(order_N, recipe.batch * recipe.accumulate):
        parts = torch.split(step_S, recipe.batch)
        for number, index_B in enumerate(parts, 1):
            x_BCHW = faces.pixels_NCHW[index_B].float()
            for change in recipe.augment:
                x_BCHW = change(x_BCHW, rng)
            share = len(index_B) / len(step_S)
            yield Batch(normalise(x_BCHW, recipe), faces.labels_N[index_B], share, number == len(parts))


def steps_per_epoch(faces: int, recipe: Recipe) -> int:
    """How often the weights change in an epoch."""
    return math.ceil(faces / (recipe.batch * recipe.accumulate))


def normalise(x_NCHW: Tensor, recipe: Recipe) -> Tensor:
    """Pixels on the 0-255 scale -> what the net takes."""
    return (x_NCHW / 255 - recipe.mean) / recipe.std
