"""A toy data set that a model can learn in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from mien.data.dataset import Dataset, Split
from mien.labels import FER7
from mien.train import Recipe, Run, apply_overrides, find_recipe, train
from mien.train.models import MODELS
from suite import scratch


def build_toy(train: int = 96, val: int = 32, test: int = 32, seed: int = 0) -> Dataset:
    """Each class is a bright bar at its own height, in noise."""
    rng = np.random.default_rng(seed)

    def split(name: str, n: int, first_row: int) -> Split:
        labels_N = rng.integers(0, 7, n)
        pixels_NHW = rng.integers(0, 120, (n, 48, 48), dtype=np.uint8)
        for face_HW, label in zip(pixels_NHW, labels_N, strict=True):
            face_HW[6 * label + 1 : 6 * label + 5] += 120
        return Split(name, pixels_NHW, labels_N.astype(np.int64), np.arange(first_row, first_row + n))

    sizes = {"train": train, "val": val, "test": test}
    splits, row = {}, 0
    for name, n in sizes.items():
        if n:
            splits[name] = split(name, n, row)
            row += n
    return Dataset("toy", Path("toy.csv"), f"toy{train}-{val}-{test}-{seed}", FER7, splits)


@pytest.fixture(scope="session")
def toy() -> Dataset:
    return build_toy()


@pytest.fixture(scope="session")
def make_toy() -> Callable[..., Dataset]:
    """Builds toys of other sizes: `make_toy(train=96, val=32, test=32, seed=0)`."""
    return build_toy


def build_voted(**sizes: int) -> Dataset:
    """A toy with FER+ votes: of eight faces five are clear, one is of two minds, one is contempt and one is no face."""
    toy = build_toy(**sizes)
    # FER+ column of each of FER2013's seven; written out, so that no code of ours is asked.
    column_K = np.array([4, 5, 6, 1, 3, 2, 0])

    def votes(split: Split) -> Split:
        place = np.arange(len(split))
        first_N = column_K[split.labels_N]
        votes_NV = np.zeros((len(split), 10), np.uint8)
        for kind, (own, other) in enumerate([(7, 3), (10, 0), (8, 2), (6, 4), (10, 0), (5, 5), (0, 0), (0, 0)]):
            at = place[place % 8 == kind]
            votes_NV[at, first_N[at]] = own
            votes_NV[at, (first_N[at] + 1) % 7] += other
        votes_NV[place % 8 == 6, 7] = 10
        votes_NV[place % 8 == 7, 9] = 10
        return replace(split, votes_NV=votes_NV)

    return replace(toy, name="fer2013", splits={name: votes(split) for name, split in toy.splits.items()})


@pytest.fixture(scope="session")
def voted() -> Dataset:
    return build_voted()


@pytest.fixture(scope="session")
def make_voted() -> Callable[..., Dataset]:
    """Builds toys with votes of other sizes, as `make_toy`."""
    return build_voted


@pytest.fixture(scope="session")
def small() -> Recipe:
    """Two quick epochs of the quickest model, all augmentations on, in float32 so that every machine agrees."""
    return apply_overrides(
        find_recipe("seed_augmented"), ["model=mien_nano", "epochs=2", "batch=32", "precision=float32"]
    )


@pytest.fixture(scope="session")
def one_epoch(toy: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one epoch on the toy. All processes that run tests share its folder, in which no test may write."""
    folder = scratch(tmp_path_factory) / "one-epoch"
    with FileLock(f"{folder}.lock"):
        return train(replace(small, epochs=1), toy, folder, resume=True)


class Linear(nn.Module):
    """A model without batch norm, so that what a batch holds shows in the gradient alone."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(48 * 48, num_classes)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(self.head(x_NCHW.flatten(1)), 1)


@pytest.fixture
def linear(small: Recipe) -> Iterator[Recipe]:
    """A recipe for that model, on plain images."""
    MODELS["linear"] = Linear
    yield replace(small, model="linear", augment=(), lr=0.01, epochs=2)
    del MODELS["linear"]
