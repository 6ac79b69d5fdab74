"""Synthetic data and runs with a given accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.data.dataset import NO_LABEL, Dataset, Split
from mien.evaluation.comparison.runs import RunRecord
from mien.labels import FER7, LabelSet

Records = list[RunRecord]


def make_dataset(
    faces: dict[str, int] | None = None,
    *,
    name: str = "fer2013",
    known_as: str | None = "fer2013.csv",
    labels: LabelSet = FER7,
    unlabelled: tuple[str, ...] = (),
) -> Dataset:
    rng, splits, row = np.random.default_rng(0), {}, 0
    for split, n in (faces or {"train": 400, "val": 300, "test": 300}).items():
        label_N = np.full(n, NO_LABEL) if split in unlabelled else rng.integers(0, len(labels), n)
        pixels = rng.integers(0, 256, (n, 48, 48)).astype(np.uint8)
        splits[split] = Split(split, pixels, label_N.astype(np.int64), np.arange(row, row + n))
        row += n
    return Dataset(name, Path("/home/someone/private/faces.csv"), "d1", labels, splits, known_as)


def make_records(dataset: Dataset, accuracy: dict[str, float], seeds: int = 3, epochs: int = 4) -> Records:
    """Runs that are right on about the wanted share of faces, by the same faces in every arm."""
    made = []
    hard = {s: np.random.default_rng(1).random(len(dataset[s])) for s in ("val", "test") if s in dataset}
    for arm, share in accuracy.items():
        for seed in range(seeds):
            rng = np.random.default_rng(100 + seed)
            p = {s: _predict(dataset[s].labels_N, hard[s], share, len(dataset.labels), rng) for s in hard}
            p = {s: v for s, v in p.items() if dataset[s].labelled}
            history = tuple(_epoch(e, epochs, share + 0.002 * seed, p) for e in range(1, epochs + 1))
            recipe = {"name": arm, "lr": 0.003, "augment": [{"name": "flip", "p": 0.5}] if arm != "plain" else []}
            made.append(RunRecord(arm, seed, history, p, 60.0 + seed, {"cpu": "test", "cores": 2}, recipe))
    return made


def _predict(
    label_N: np.ndarray, hard_N: np.ndarray, share: float, k: int, rng: np.random.Generator
) -> np.ndarray:  # float32 [N,K]
    p_NK = rng.random((len(label_N), k)).astype(np.float32)
    right_N = hard_N + rng.normal(0, 0.05, len(hard_N)) < share
    predicted_N = np.where(right_N, label_N, (label_N + 1 + rng.integers(0, k - 1, len(label_N))) % k)
    p_NK[np.arange(len(predicted_N)), predicted_N] += 2
    return p_NK / p_NK.sum(1, keepdims=True)


def _epoch(epoch: int, epochs: int, accuracy: float, predicted: dict[str, np.ndarray]) -> dict[str, float]:
    # Validation peaks in the last epoch but one.
    dip = 0.02 if epoch == epochs - 1 else 0.0
    figures = {"epoch": epoch, "train_loss": 2 / epoch, "train_accuracy": 0.2 * epoch, "train_eval_loss": 1 / epoch}
    figures |= {"train_eval_accuracy": 0.22 * epoch, "lr": 0.003, "seconds": 15.0, "images_per_second": 26.0}
    for split in predicted:
        figures |= {f"{split}_accuracy": accuracy - 0.1 / epoch + dip + 0.025, f"{split}_loss": 1.5}
    return figures


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


@pytest.fixture
def records() -> Callable[..., Records]:
    return make_records
