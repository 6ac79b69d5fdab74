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
    """One split as tensors on the device.

    Attributes:
        pixels_NCHW: Pixels, uint8 [N,1,48,48].
        labels_N: Class indices, int64 [N].
        target_NK: Training targets, float32 [N,K]; None for a split that is only evaluated.
    """

    pixels_NCHW: Tensor
    labels_N: Tensor
    target_NK: Tensor | None = None

    @classmethod
    def from_split(cls, split: Split, device: torch.device, target_NK: Tensor | None = None) -> Faces:
        """Copy a split to the device."""
        pixels_NCHW = torch.from_numpy(split.pixels_NHW).unsqueeze(1).to(device)
        labels_N = torch.from_numpy(split.labels_N).to(device)
        return cls(pixels_NCHW, labels_N, None if target_NK is None else target_NK.to(device))

    def __len__(self) -> int:
        return len(self.labels_N)

    def sample(self, size: int) -> Faces:
        """Return `size` faces spread evenly over the split, or all faces if there are fewer; always the same ones."""
        size = min(size, len(self))
        index = torch.arange(size, device=self.labels_N.device) * len(self) // size
        return Faces(self.pixels_NCHW[index], self.labels_N[index])


def epoch_rng(seed: int, epoch: int, purpose: int, device: torch.device) -> Generator:
    """Return the random number generator of one epoch for one purpose.

    Its numbers depend on nothing that happened before. So a resumed run draws the same numbers as an uninterrupted one,
    and two arms with the same seed see the images in the same order.

    Args:
        seed: Random seed of the run.
        epoch: Epoch number, from 1.
        purpose: `SHUFFLE`, `AUGMENT`, `MODEL` or `LABEL`.
        device: Device of the generator.
    """
    return Generator(device=device).manual_seed(((seed * 10_007 + epoch) * 101 + purpose) & (2**63 - 1))


SHUFFLE, AUGMENT, MODEL, LABEL = range(4)
PURPOSES = 4  # offset between the generators of processes that train together


class Batch(NamedTuple):
    """One forward and backward pass of training.

    Attributes:
        x_BCHW: Augmented and normalized pixels, float32 [B,1,48,48].
        target_BK: Targets, float32 [B,K]; each row sums to 1.
        share: Share of the faces of the optimizer step that are in this batch, 1.0 if a step is one batch; multiplied
            by the number of processes, whose gradients are averaged.
        last: Whether the optimizer step comes after this batch.
        name: Key that is equal for the same images with the same augmentation, in any epoch.
    """

    x_BCHW: Tensor
    target_BK: Tensor
    share: float
    last: bool
    name: tuple[int, int]


def training_batches(
    faces: Faces, recipe: Recipe, seed: int, epoch: int, *, part: int = 0, parts: int = 1
) -> Iterator[Batch]:
    """Yield the batches of one epoch: every face once, or as balanced sampling selects them, shuffled and augmented.

    Args:
        faces: Training faces with targets.
        recipe: Recipe of the run.
        seed: Random seed of the run.
        epoch: Epoch number, from 1.
        part: Index of this process among those that train together.
        parts: Number of processes. Each gets its part of every batch; together they see the images that one process
            would see.
    """
    epoch = (epoch - 1) % recipe.views + 1 if recipe.views else epoch
    assert faces.target_NK is not None, "training faces have targets"
    device = faces.labels_N.device
    # Drawn on the CPU, so that order and drawn labels are the same on every device.
    rng = epoch_rng(seed, epoch, SHUFFLE, torch.device("cpu"))
    order_N = balanced_order(faces.labels_N.cpu(), recipe.balanced_sampling, rng).to(device)
    rng = epoch_rng(seed, epoch, LABEL, torch.device("cpu"))
    target_NK = SCHEMES[recipe.scheme].target(faces.target_NK[order_N], rng)
    rng = epoch_rng(seed, epoch, AUGMENT, device)
    size, batch_number = recipe.batch * recipe.accumulate, 0
    for step_S, target_SK in zip(torch.split(order_N, size), torch.split(target_NK, size), strict=True):
        pieces = list(zip(torch.split(step_S, recipe.batch), torch.split(target_SK, recipe.batch), strict=True))
        for number, (index_B, target_BK) in enumerate(pieces, 1):
            x_BCHW = faces.pixels_NCHW[index_B].float()
            for augmentation in recipe.augment:
                x_BCHW = augmentation(x_BCHW, rng)
            own, count = _part_of_batch(len(index_B), part, parts)
            x_BCHW, share = normalize(x_BCHW[own], recipe), parts * count / len(step_S)
            yield Batch(x_BCHW, target_BK[own], share, number == len(pieces), (epoch, batch_number))
            batch_number += 1


def _part_of_batch(faces: int, part: int, parts: int) -> tuple[slice, int]:
    """Return the slice of a batch that one process gets, and how many of its faces count.

    If there are fewer faces than processes, some processes get one that does not count: all of them must take the step.
    """
    begin, end = faces * part // parts, faces * (part + 1) // parts
    return slice(min(begin, faces - 1), max(end, min(begin, faces - 1) + 1)), end - begin


def steps_per_epoch(faces: int, recipe: Recipe) -> int:
    """Return the number of optimizer steps of an epoch over `faces` faces."""
    return math.ceil(faces / (recipe.batch * recipe.accumulate))


def normalize(x_NCHW: Tensor, recipe: Recipe) -> Tensor:
    """Return (x/255 - mean) / std, the input of the model, for pixels on the 0-255 scale."""
    return (x_NCHW / 255 - recipe.mean) / recipe.std
