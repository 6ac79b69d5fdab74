"""Which labels are doubtful: ranked by hand, kept in a file, and refused where they are about something else."""

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

# Labels and what was told of them. Faces labelled 0 are told 0 with 0.625 on average, those labelled 1 told 1 with 0.4.
LABELS = np.array([0, 0, 0, 0, 1, 1])
TOLD = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.25, 0.75], [0.8, 0.2], [0.65, 0.35], [0.55, 0.45]],
    np.float32,
)


def test_confident_learning_by_hand() -> None:
    """Face 4 reaches 0's average, and face 2 is surer of 1; face 1, told 1 above 1's low average, stands accused too.

    Face 5 is told 0 with the same probability as face 1, which is below 0's average: though its margin is the worse, it
    is not accused.
    """
    assert rank_by_confident_learning(LABELS, TOLD).tolist() == [2, 4, 1, 5, 3, 0]
    assert rank_by_self_confidence(LABELS, TOLD).tolist() == [2, 4, 5, 1, 3, 0]


def test_a_class_that_no_face_carries_accuses_none() -> None:
    probs_NK = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.4, 0.1, 0.5]], np.float32)
    assert rank_by_confident_learning(np.array([0, 1, 0]), probs_NK)[0] == 2
    assert len(rank_by_confident_learning(np.array([0, 1, 0]), probs_NK)) == 3


@pytest.fixture
def label_noise() -> LabelNoise:
    return LabelNoise("abc", ("no", "yes"), np.array([30, 10, 20]), TOLD[:3])


def test_they_come_back_from_their_file(label_noise: LabelNoise, tmp_path: Path) -> None:
    label_noise.write(tmp_path / "d.npz")
    again = read_label_noise(tmp_path / "d.npz")
    assert (again.data, again.labels, again.digest) == (label_noise.data, label_noise.labels, label_noise.digest)
    np.testing.assert_array_equal(again.probs_NK, label_noise.probs_NK)
    np.testing.assert_array_equal(again.of(np.array([10, 30])), TOLD[[1, 0]])
    others = [
        replace(label_noise, data="abd"),
        replace(label_noise, labels=("no", "yet")),
        replace(label_noise, rows_N=np.array([30, 10, 21])),
        replace(label_noise, probs_NK=TOLD[1:4]),
    ]
    assert len({label_noise.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize("row", [5, 15, 35])
def test_faces_that_they_do_not_know(label_noise: LabelNoise, row: int) -> None:
    with pytest.raises(RunError, match="say nothing of 1 of the training faces"):
        label_noise.of(np.array([10, row]))


def test_what_is_no_file_of_doubts(label_noise: LabelNoise, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no file of doubts is called"):
        read_label_noise(tmp_path / "gone.npz")
    file = tmp_path / "d.npz"
    label_noise.write(file)
    for content in (b"", b"nonsense", file.read_bytes()[:60]):
        file.write_bytes(content)
        with pytest.raises(RunError, match="holds no doubts"):
            read_label_noise(file)
    np.save(tmp_path / "plain.npy", TOLD)
    np.savez(tmp_path / "other.npz", rows=TOLD)
    np.savez(tmp_path / "odd.npz", data="a", labels=np.array(["x"]), rows=np.arange(3), told=TOLD)
    for name, says in (("plain.npy", "holds no doubts"), ("other.npz", "holds no doubts"), ("odd.npz", "need as many")):
        with pytest.raises(RunError, match=says):
            read_label_noise(tmp_path / name)
