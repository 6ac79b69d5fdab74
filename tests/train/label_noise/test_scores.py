"""Label noise scores: rankings, files, and files with other content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import RunError
from mien.train.label_noise.scores import (
    LabelNoise,
    rank_by_confident_learning,
    rank_by_self_confidence,
    read_label_noise,
)

# The mean probability of class 0 on faces labelled 0 is 0.625, that of class 1 on faces labelled 1 is 0.4.
LABELS = np.array([0, 0, 0, 0, 1, 1])
PROBS = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.25, 0.75], [0.8, 0.2], [0.65, 0.35], [0.55, 0.45]],
    np.float32,
)


def test_rankings_of_six_faces() -> None:
    """Faces 4 and 2 reach the mean of another class; so does face 1, because the mean of class 1 is low.

    Face 5 does not: its probability of class 0, that of face 1, is below the mean of class 0. So it comes after face 1,
    although its margin is worse.
    """
    assert rank_by_confident_learning(LABELS, PROBS).tolist() == [2, 4, 1, 5, 3, 0]
    assert rank_by_self_confidence(LABELS, PROBS).tolist() == [2, 4, 5, 1, 3, 0]


def test_confident_learning_with_an_empty_class() -> None:
    probs_NK = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.4, 0.1, 0.5]], np.float32)
    assert rank_by_confident_learning(np.array([0, 1, 0]), probs_NK)[0] == 2
    assert len(rank_by_confident_learning(np.array([0, 1, 0]), probs_NK)) == 3


@pytest.fixture
def label_noise() -> LabelNoise:
    return LabelNoise("abc", ("no", "yes"), np.array([30, 10, 20]), PROBS[:3])


def test_read_label_noise_round_trip(label_noise: LabelNoise, tmp_path: Path) -> None:
    label_noise.write(tmp_path / "d.npz")
    again = read_label_noise(tmp_path / "d.npz")
    assert (again.data, again.labels, again.digest) == (label_noise.data, label_noise.labels, label_noise.digest)
    np.testing.assert_array_equal(again.probs_NK, label_noise.probs_NK)
    np.testing.assert_array_equal(again.of(np.array([10, 30])), PROBS[[1, 0]])
    others = [
        replace(label_noise, data="abd"),
        replace(label_noise, labels=("no", "yet")),
        replace(label_noise, rows_N=np.array([30, 10, 21])),
        replace(label_noise, probs_NK=PROBS[1:4]),
    ]
    assert len({label_noise.digest, *(other.digest for other in others)}) == 5


def test_read_label_noise_of_version_1(label_noise: LabelNoise, tmp_path: Path) -> None:
    label_noise.write(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as arrays:
        np.savez(tmp_path / "old.npz", **{"told" if name == "probs" else name: arrays[name] for name in arrays})
    assert read_label_noise(tmp_path / "old.npz").digest == label_noise.digest


@pytest.mark.parametrize("row", [5, 15, 35])
def test_of_unknown_rows_raises(label_noise: LabelNoise, row: int) -> None:
    with pytest.raises(RunError, match="are missing for 1 of the training faces"):
        label_noise.of(np.array([10, row]))


def test_read_label_noise_invalid_file_raises(label_noise: LabelNoise, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="file of label noise scores not found"):
        read_label_noise(tmp_path / "gone.npz")
    file = tmp_path / "d.npz"
    label_noise.write(file)
    for content in (b"", b"nonsense", file.read_bytes()[:60]):
        file.write_bytes(content)
        with pytest.raises(RunError, match="is not a file of label noise scores"):
            read_label_noise(file)
    np.save(tmp_path / "plain.npy", PROBS)
    np.savez(tmp_path / "other.npz", rows=PROBS)
    np.savez(tmp_path / "odd.npz", data="a", labels=np.array(["x"]), rows=np.arange(3), probs=PROBS)
    for name, message in (
        ("plain.npy", "is not a file of label noise scores"),
        ("other.npz", "is not a file of label noise scores"),
        ("odd.npz", "need probabilities"),
    ):
        with pytest.raises(RunError, match=message):
            read_label_noise(tmp_path / name)
