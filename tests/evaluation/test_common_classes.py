"""Models on folders with more, fewer or other classes: the classes that both have, and a sentence on the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset, sketch
from mien.errors import DataError
from mien.evaluation.predictor import Predictor
from mien.evaluation.protocols import evaluate_predictor
from mien.labels import FER7, FERPLUS8, LabelSet, counterpart

CK = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
SEVEN = FER7.names


def folder(names: tuple[str, ...], labels: LabelSet | None = None) -> Dataset:
    """A folder whose test split has ten faces of each class."""
    labels = labels or LabelSet("custom", names)
    part = sketch(train=0, val=0, test=10 * len(names))["test"]
    classes = [counterpart(name, labels.names) for name in names]
    part = replace(part, labels_N=np.repeat(np.array(classes, np.int64), 10))
    return Dataset("folder", Path("faces"), "0" * 32, labels, {"test": part})


def predictor(names: tuple[str, ...], label: str, trained_on: str = "") -> Predictor:
    """A model that gives one class 40 % and the others the rest."""
    probs_K = np.full(len(names), 0.6 / (len(names) - 1))
    probs_K[names.index(label)] = 0.4
    return Predictor(names, lambda faces_NHW: np.tile(probs_K, (len(faces_NHW), 1)), {"digest": trained_on})


@pytest.mark.parametrize(
    ("names", "labels", "model", "n", "left_out"),
    [
        (CK, None, SEVEN, 60, "contempt, which the model does not have (10 faces); neutral, which the data does not"),
        (CK, None, FERPLUS8.names, 70, "neutral, which the data does not have"),
        (SEVEN[:6], FER7, SEVEN, 60, "neutral, which the data does not have"),
        (SEVEN[:6], FER7, FERPLUS8.names, 60, "neutral, which the data does not have; contempt, which the data"),
        (SEVEN, FER7, FERPLUS8.names, 70, "contempt, which the data does not have"),
        (("happy", "sad", "tired"), None, SEVEN, 20, "tired, which the model does not have (10 faces); angry"),
    ],
)
def test_common_classes_are_evaluated(
    names: tuple[str, ...], labels: LabelSet | None, model: tuple[str, ...], n: int, left_out: str
) -> None:
    _, result = evaluate_predictor(predictor(model, "happy"), folder(names, labels), "test")
    assert result is not None
    assert (result.official.n, len(result.official.labels)) == (n, n // 10)
    assert result.official.accuracy == pytest.approx(10 / n)  # all happy
    assert f"left out: {left_out}" in result.official.note
    assert result.to_dict()["note"] == result.official.note


def test_classes_in_another_order_are_matched() -> None:
    names = tuple(sorted(FERPLUS8.names))
    _, result = evaluate_predictor(predictor(FERPLUS8.names, "sad"), folder(names), "test")
    assert result is not None
    assert (result.official.note, result.official.n) == ("", 80)
    assert result.official.per_class.recall.tolist() == [name == "sad" for name in names]


def test_class_without_faces_is_not_predicted() -> None:
    """The most probable class is neutral, which the data does not have; happy is next."""
    names = ("neutral", "happy", "sad")
    model = replace(predictor(names, "neutral"), predict=lambda f: np.tile([0.5, 0.3, 0.2], (len(f), 1)))
    probs_NK, result = evaluate_predictor(model, folder(("happy", "sad")), "test")
    assert probs_NK.shape == (20, 3)  # as the model gives them
    assert result is not None
    assert result.official.accuracy == 0.5
    assert result.official.log_loss == pytest.approx(-(np.log(0.6) + np.log(0.4)) / 2)


@pytest.mark.parametrize(("names", "trained_on"), [(SEVEN, ""), (SEVEN[:6], "0" * 32)])
def test_same_classes_or_own_data_are_not_restricted(names: tuple[str, ...], trained_on: str) -> None:
    _, result = evaluate_predictor(predictor(SEVEN, "neutral", trained_on), folder(names, FER7), "test")
    assert result is not None
    assert (result.official.note, len(result.official.labels)) == ("", 7)
    assert "note" not in result.to_dict()


def test_fewer_than_two_common_classes_are_an_error() -> None:
    with pytest.raises(
        DataError, match=r"the model has the classes angry, .*, but faces has bored, happy; they need two"
    ):
        evaluate_predictor(predictor(SEVEN, "happy"), folder(("bored", "happy")), "test")


def test_split_without_common_class_is_an_error() -> None:
    data = folder(("happy", "sad", "tired"))
    tired = replace(data["test"], name="val", labels_N=np.full(30, 2))
    data = replace(data, splits={"test": data["test"], "val": replace(tired, rows_N=tired.rows_N + 30)})
    with pytest.raises(DataError, match="split 'val' of faces has no face of the classes happy, sad"):
        evaluate_predictor(predictor(SEVEN, "happy"), data, "val")
