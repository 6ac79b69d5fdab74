"""Predictions of any package: their columns, errors, and the same metrics as a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset
from mien.errors import DataError, MienError
from mien.evaluation import evaluate_predictions
from mien.evaluation.predictions_file import is_predictions, match_columns, read_predictions
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet

from .conftest import make_dataset

OTHER_ORDER = "neutral,happiness,surprised,sad,anger,disgust,fearful"


def soft(labels_N: np.ndarray, k: int = 7) -> np.ndarray:
    """Seven tenths for the label."""
    return (0.3 / (k - 1) + np.eye(k)[labels_N] * (0.7 - 0.3 / (k - 1))).astype(np.float32)


def with_header(header: str) -> bytes:
    """A file as numpy.save begins it, and nothing behind."""
    result = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(result).to_bytes(2, "little") + result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "p.npy"


def test_predictions_are_evaluated_in_the_data_order(dataset: Dataset, file: Path) -> None:
    y_N = dataset["val"].labels_N
    np.save(file, soft(y_N)[:, [6, 3, 5, 4, 0, 1, 2]])
    probs_NK, evaluation = evaluate_predictions(file, dataset, "val", columns=OTHER_ORDER, name="other")
    np.testing.assert_allclose(probs_NK, soft(y_N), rtol=1e-6)
    assert evaluation is not None
    assert (evaluation.official.accuracy, evaluation.official.model, evaluation.official.n) == (1, "other", 300)
    wrong = evaluate_predictions(file, dataset, "val")[1]
    assert wrong is not None
    assert wrong.official.accuracy < 0.5
    assert wrong.official.model == str(file)


def test_columns_by_label_set_or_by_class_names(dataset: Dataset) -> None:
    assert match_columns(None, dataset, 7, "p")[0] == FER7
    labels, places = match_columns("ferplus8", dataset, 8, "p")
    assert (labels, places.tolist()) == (FERPLUS8, list(range(8)))
    labels, places = match_columns("contempt,happy,neutral,sad,angry,disgust,fear,surprise", dataset, 8, "p")
    assert (labels, places.tolist()) == (FERPLUS8, [2, 1, 7, 3, 4, 5, 6, 0])


@pytest.mark.parametrize("spelling", [FERPLUS8.names, FERPLUS_COLUMNS[:8]], ids=["new", "old"])
def test_match_columns_ferplus_columns_in_either_spelling(dataset: Dataset, spelling: tuple[str, ...]) -> None:
    labels, places = match_columns(",".join(spelling[::-1]), dataset, 8, "p")
    assert (labels, places.tolist()) == (FERPLUS8, list(range(8))[::-1])
    own = replace(dataset, labels=LabelSet("own", FERPLUS_COLUMNS[:8]))
    labels, places = match_columns(",".join(spelling), own, 8, "p")
    assert (labels, places.tolist()) == (own.labels, list(range(8)))


def test_eight_classes_need_votes(dataset: Dataset, file: Path) -> None:
    np.save(file, np.full((300, 8), 0.125, np.float32))
    with pytest.raises(DataError, match=r"eight classes .* has no votes; .* --votes, or .* mien "):
        evaluate_predictions(file, dataset, "val", columns="ferplus8")


def test_predictions_without_labels_are_not_evaluated(file: Path) -> None:
    blank = make_dataset({"test": 5}, unlabelled=("test",))
    np.save(file, soft(np.zeros(5, np.int64)))
    probs_NK, evaluation = evaluate_predictions(file, blank, "test")
    assert (probs_NK.shape, evaluation) == ((5, 7), None)


def test_rows_are_normalized_to_1(file: Path) -> None:
    np.save(file, np.array([[0.5, 0.49], [0.25, 0.75]]))
    probs_NK = read_predictions(file, 2)
    assert probs_NK.dtype == np.float32
    np.testing.assert_allclose(probs_NK, [[50 / 99, 49 / 99], [0.25, 0.75]], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.zeros((2, 3), np.int64), r"must hold probabilities, float \[2,K\], got int64 \[2, 3\]"),
        (np.zeros(2), r"got float64 \[2\]"),
        (np.full((3, 2), 0.5), "has 3 rows, but the split has 2 faces"),
        (np.array([[0.5, 0.5], [3.0, -2.0]]), "not probabilities in 1 of 2 rows, first in row 1: [3.0, -2.0]"),
        (np.array([[np.nan, 0.5], [0.5, 0.5]]), "in 1 of 2 rows, first in row 0"),
        (np.array([[0.5, 0.5], [np.inf, -np.inf]]), "in 1 of 2 rows, first in row 1"),
        (np.array([[50.0, 50.0], [0.5, 0.5]]), "each row must be non-negative and sum to 1"),
    ],
)
def test_file_of_other_values_raises(file: Path, content: np.ndarray, says: str) -> None:
    np.save(file, content)
    with pytest.raises(MienError) as error:
        read_predictions(file, 2)
    assert says.replace("\\", "") in str(error.value)
    assert "\n" not in str(error.value)


def test_file_that_is_not_an_array_raises(file: Path) -> None:
    with pytest.raises(MienError, match="cannot read"):
        read_predictions(file, 2)
    for content in (b"", b"no array", np.array([{}], object).dumps(), b"PK\x03\x04", with_header("(((")):
        file.write_bytes(content)
        with pytest.raises(MienError, match=r"not an array written by numpy\.save"):
            read_predictions(file, 2)
    for rows in (10**30, 10**15):
        file.write_bytes(with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 7)}}"))
        with pytest.raises(MienError, match=r"not an array written by numpy\.save|larger than the memory"):
            read_predictions(file, 2)
    assert is_predictions(file)
    assert not is_predictions("photo")


@pytest.mark.parametrize(
    ("columns", "k", "says"),
    [
        (None, 8, "has 8 columns, but there are 7 classes: angry"),
        ("a,b,c,d,e,f,g", 7, "the classes of p.npy, a, b, c, d, e, f, g, are neither those of"),
        ("happy,joy,sad,fear,disgust,angry,neutral", 7, "are neither those of"),
        ("a,a", 2, "repeated class name"),
        ("ferplus", 8, "class names joined by commas, or one of fer7, ferplus8, not 'ferplus'"),
    ],
)
def test_columns_of_unknown_classes_raise(dataset: Dataset, columns: str | None, k: int, says: str) -> None:
    with pytest.raises(MienError, match=says):
        match_columns(columns, replace(dataset, name="fer2013"), k, "p.npy")
