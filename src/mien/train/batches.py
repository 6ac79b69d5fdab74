"""Batches: the data set as a tensor on the device, an epoch as a permutation of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mien.data.dataset import Split
from mien.train.imbalance import balanced_order
from mien.train.recipe import Recipe
from mien.train.targets.schemes import SCHEMES


@dataclass(frozen=True, eq=False)
class Faces:
    """One split on the device: pixels uint8 [N,1,48,48], labels int64 [N]; to learn from, targets float32 [N,K]."""

    pixels_NCHW: Tensor
    labels_N: Tensor
    target_NK: Tensor | None = None

    @classmethod
    def of(cls, split: Split, device: torch.device, target_NK: Tensor | None = None) -> Faces:
        pixels_NCHW = torch.from_numpy(split.pixels_NHW).unsqueeze(1).to(device)
        labels_N = torch.from_numpy(split.labels_N).to(device)
        return cls(pixels_NCHW, labels_N, None if target_NK is None else target_NK.to(device))

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
    with one seed see the images in one order.
    """
    return Generator(device=device).manual_seed(((seed * 10_007 + epoch) * 101 + purpose) & (2**63 - 1))


SHUFFLE, AUGMENT, NET, LABEL = range(4)
PURPOSES = 4  # from one process to the next, of those that train together


class Batch(NamedTuple):
    """What goes through the model at once.

    Attributes:
        x_BCHW: pixels, augmented and normalised, float32 [B,1,48,48].
        target_BK: shares of the classes, float32 [B,K], rows sum to 1.
        share: of the faces of its step, 1.0 where a step is one batch; times the processes, where several average.
        last: whether the step is taken after this batch.
        name: the same for the same images altered in the same way, in whatever epoch.
    """

    x_BCHW: Tensor
    target_BK: Tensor
    share: float
    last: bool
    name: tuple[int, int]


def training_batches(
    faces: Faces, recipe: Recipe, seed: int, epoch: int, *, part: int = 0, parts: int = 1
) -> Iterator[Batch]:
    """An epoch: every face once, or as balanced sampling has it, shuffled, augmented, normalised.

    Of several processes each gets one of the `parts` of every batch: together they see what one alone would.
    """
    epoch = (epoch - 1) % recipe.views + 1 if recipe.views else epoch
    assert faces.target_NK is not None, "faces to learn from have targets"
    device = faces.labels_N.device
    # Drawn on the CPU, so that every device sees one order, and the same labels where the scheme draws them.
    rng = stream(seed, epoch, SHUFFLE, torch.device("cpu"))
    order_N = balanced_order(faces.labels_N.cpu(), recipe.balanced_sampling, rng).to(device)
    rng = stream(seed, epoch, LABEL, torch.device("cpu"))
    target_NK = SCHEMES[recipe.scheme].target(faces.target_NK[order_N], rng)
    rng = stream(seed, epoch, AUGMENT, device)
    size, drawn = recipe.batch * recipe.accumulate, 0
    for step_S, target_SK in zip(torch.split(order_N, size), torch.split(target_NK, size), strict=True):
        pieces = list(zip(torch.split(step_S, recipe.batch), torch.split(target_SK, recipe.batch), strict=True))
        for number, (index_B, target_BK) in enumerate(pieces, 1):
            x_BCHW = faces.pixels_NCHW[index_B].float()
            for change in recipe.augment:
                x_BCHW = change(x_BCHW, rng)
            own, count = _own(len(index_B), part, parts)
            x_BCHW, share = normalize(x_BCHW[own], recipe), parts * count / len(step_S)
            yield Batch(x_BCHW, target_BK[own], share, number == len(pieces), (epoch, drawn))
            drawn += 1


def _own(faces: int, part: int, parts: int) -> tuple[slice, int]:
    """Which faces of a batch are one process's, and how many count.

    Where there are fewer faces than processes, some get one that does not count: a step is taken by all or by none.
    """
    begin, end = faces * part // parts, faces * (part + 1) // parts
    return slice(min(begin, faces - 1), max(end, min(begin, faces - 1) + 1)), end - begin


def steps_per_epoch(faces: int, recipe: Recipe) -> int:
    """How often the weights change in an epoch."""
    return math.ceil(faces / (recipe.batch * recipe.accumulate))


def normalize(x_NCHW: Tensor, recipe: Recipe) -> Tensor:
    """Pixels on the 0-255 scale -> what the model takes."""
    return (x_NCHW / 255 - recipe.mean) / recipe.std
