"""The model of labels given votes: known shares, and accuracy on FER2013."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import load
from mien.data.dataset import Dataset
from mien.train.targets.schemes import training_targets
from mien.train.targets.vote_model import labels_from_votes


def test_labels_from_votes_returns_shares_of_labels() -> None:
    votes_NV = np.zeros((400, 10), np.uint8)
    votes_NV[:200, 0], votes_NV[200:, 3] = 10, 10
    label_N = np.concatenate([np.tile([0, 0, 0, 1], 50), np.tile([1, 2], 100)])
    probs_NK = labels_from_votes(votes_NV, np.eye(3)[label_N])
    assert np.allclose(probs_NK.sum(1), 1)
    assert np.allclose(probs_NK[:200], [0.75, 0.25, 0.0], atol=0.01)
    assert np.allclose(probs_NK[200:], [0.0, 0.5, 0.5], atol=0.01)


def test_labels_from_votes_ignores_faces_without_label() -> None:
    votes_NV = np.zeros((300, 10), np.uint8)
    votes_NV[:, 0] = 10
    labels_NK = np.eye(2)[np.zeros(300, int)]
    labels_NK[100:] = 0
    probs_NK = labels_from_votes(votes_NV, labels_NK)
    assert (probs_NK[:, 0] > 0.95).all()


def test_expected_scheme_mixes_it_with_the_label(voted: Dataset) -> None:
    train = voted["train"]
    own_NK = np.eye(7)[train.labels_N]
    probs_NK = labels_from_votes(train.votes_NV, own_NK)
    for mix in (0.0, 0.3, 1.0):
        target_NK = training_targets(voted, "expected", mix=mix).target_NK.numpy()
        assert np.allclose(target_NK, (1 - mix) * own_NK + mix * probs_NK, atol=1e-6)


def test_expected_scheme_keeps_label_without_votes(voted: Dataset) -> None:
    votes_NV = voted["train"].votes_NV.copy()
    votes_NV[5] = 0
    splits = {**voted.splits, "train": replace(voted["train"], votes_NV=votes_NV)}
    target_NK = training_targets(replace(voted, splits=splits), "expected", mix=0.7).target_NK.numpy()
    assert target_NK[5].max() == 1
    assert target_NK[5].argmax() == voted["train"].labels_N[5]


def test_labels_from_votes_on_fer2013(fer2013_dir: Path) -> None:
    """Predict the labels of PublicTest from its votes; about as accurate as a good model of the images."""
    data = load(fer2013_dir / "fer2013.csv", votes=fer2013_dir / "fer2013new.csv")
    train, val = data["train"], data["val"]
    votes_NV = np.concatenate([train.votes_NV, val.votes_NV])
    labels_NK = np.concatenate([np.eye(7)[train.labels_N], np.zeros((len(val), 7))])
    predicted_N = labels_from_votes(votes_NV, labels_NK)[len(train) :].argmax(1)
    assert (predicted_N == val.labels_N).mean() == pytest.approx(0.67, abs=0.01)
