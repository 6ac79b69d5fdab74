"""A data set in FER2013's form with votes, for evaluation against both kinds of labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mien.data import Dataset, Split

from .conftest import make_dataset

COLUMN = {0: 4, 1: 5, 2: 6, 3: 1, 4: 3, 5: 2, 6: 0}  # FER+ columns of FER2013's classes


def with_votes(data: Dataset, contradicted: float = 0.0) -> Dataset:
    """All ten raters see the label, but for the first `contradicted` of each split, where all see the next class."""

    def voted(split: Split) -> Split:
        seen_N = split.labels_N.copy()
        first = round(contradicted * len(split))
        seen_N[:first] = (seen_N[:first] + 1) % 7
        votes_NV = np.zeros((len(split), 10), np.uint8)
        votes_NV[np.arange(len(split)), [COLUMN[k] for k in seen_N]] = 10
        return replace(split, votes_NV=votes_NV)

    return replace(data, splits={name: voted(split) for name, split in data.splits.items()})


def make_voted(contradicted: float = 0.3) -> Dataset:
    """400, 300 and 300 faces; the labels of the first three tenths of each split contradict the majority vote."""
    return with_votes(make_dataset(), contradicted)


def said(labels_N: np.ndarray, wrong: float, seed: int = 0, k: int = 7) -> np.ndarray:
    """Probabilities float32 [N,K] of a package that is wrong about so large a share of the faces."""
    rng = np.random.default_rng(seed)
    predicted_N = np.where(rng.random(len(labels_N)) < wrong, (labels_N + 1) % k, labels_N)
    p_NK = rng.random((len(labels_N), k)) * 0.05
    p_NK[np.arange(len(predicted_N)), predicted_N] += 0.4 + rng.random(len(predicted_N))
    return (p_NK / p_NK.sum(1, keepdims=True)).astype(np.float32)
