"""Metrics of one model on one split, and errors."""

import io
import json
from dataclasses import fields

import numpy as np
import pytest
from rich.console import Console

from mien.errors import DataError, MienError
from mien.evaluation import evaluate
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.report.terminal import confusion_table, evaluation_table, protocols_table
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.calibration import cross_fitted_ece, log_probabilities
from mien.labels import LabelSet

AB = LabelSet("ab", ("glad", "[red]sad"))
P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
Y = np.array([0, 1, 1, 1])


def test_evaluate_gives_all_metrics() -> None:
    e = evaluate(P, Y, AB, split="val")
    assert (e.n, e.split, e.accuracy) == (4, "val", 0.75)
    assert e.confusion_KK.tolist() == [[1, 0], [1, 2]]
    assert e.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert e.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean(), rel=1e-6)
    assert (e.balanced_accuracy, e.top2) == (pytest.approx((1 + 2 / 3) / 2), 1)
    assert e.brier == pytest.approx(2 * (0.1**2 + 0.2**2 + 0.6**2 + 0.3**2) / 4, rel=1e-6)
    assert (e.low, e.high) == pytest.approx((0.300642, 0.954413), abs=1e-5)
    assert e.ece == pytest.approx(((1 - 0.9) + (1 - 0.8) + 0.6 + (1 - 0.7)) / 4)  # a bin each
    assert (e.tta, e.protocol, e.against, e.selected_on) == ("none", "official", "labels", ())


def test_json_round_trip() -> None:
    result = json.loads(json.dumps(evaluate(P, Y, AB, split="val", model="runs/a").to_dict(), allow_nan=False))
    assert set(result) == {
        "model", "data", "split", "n", "accuracy", "interval", "balanced_accuracy", "macro_f1", "top2", "log_loss",
        "brier",
        "ece", "balanced_ece", "calibration", "classes", "confusion_matrix", "tta", "protocol", "against",
        "selected_on", "missing_classes",
    }  # fmt: skip
    assert result["classes"][1] == {"name": "[red]sad", "precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}


def test_tables_escape_markup_in_names() -> None:
    screen = Console(file=io.StringIO(), width=100)
    e = evaluate(P, Y, AB, split="val")
    screen.print(evaluation_table(e), confusion_table(e))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    for wanted in (
        "[red]sad",
        "75.0 %",
        "30.1 to 95.4",
        "macro-F1 73.3 %",
        "66.7",
        "calibration error 30.0 %, class-balanced ",
    ):
        assert wanted in shown
    assert "used for selection" not in shown
    assert "mirror" not in shown


def test_table_marks_optimistic_metrics() -> None:
    screen = Console(file=io.StringIO(), width=100)
    e = evaluate(P, Y, AB, split="val", tta="flip", against="raters' majority", selected_on=("epoch", "temperature"))
    screen.print(evaluation_table(e))
    assert isinstance(screen.file, io.StringIO)
    shown = " ".join(screen.file.getvalue().split())
    assert "val, averaged with the mirror image: 4 faces, majority vote (FER+)" in shown
    assert "this split also selected the epoch and fitted the temperature, so its metrics are optimistic" in shown
    result = json.loads(json.dumps(e.to_dict()))
    assert (result["tta"], result["selected_on"]) == ("flip", ["epoch", "temperature"])


def test_macro_f1_names_classes_without_faces() -> None:
    labels = LabelSet("four", ("sad", "happy", "[b]fear", "disgust"))
    p_NK = np.eye(4)[[0, 1, 1, 0]]
    e = evaluate(p_NK, np.array([0, 1, 1, 0]), labels, split="val")
    assert e.macro_f1 == 0.5
    assert e.missing_classes == ("[b]fear", "disgust")
    for table in (evaluation_table(e), protocols_table(ModelEvaluation((e,)))):
        screen = Console(file=io.StringIO(), width=100)
        screen.print(table)
        assert isinstance(screen.file, io.StringIO)
        assert "no faces of [b]fear, disgust: F1 counts as 0 in macro-F1" in " ".join(screen.file.getvalue().split())


def test_score_of_a_card() -> None:
    e = evaluate(P, Y, AB, split="val", tta="flip", protocol="deduplicated", selected_on=("epoch",))
    score = e.to_score()
    for field in fields(score):
        assert getattr(score, field.name) == (True if field.name == "selected_on" else getattr(e, field.name)), field
    assert evaluate(P, Y, AB, split="val").to_score().selected_on is False


def test_ece_with_cross_fit_is_cross_fitted() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 2))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (rng.random(300) > p[:, 0]).astype(np.int64)
    plain, fitted = (evaluate(p, y, AB, split="val", cross_fit=s) for s in (False, True))
    assert plain.ece == metrics.ece(p, y)
    assert fitted.ece == cross_fitted_ece(log_probabilities(p), y)
    assert fitted.ece != plain.ece
    assert plain.balanced_ece == metrics.balanced_ece(p, y)
    assert fitted.balanced_ece == cross_fitted_ece(log_probabilities(p), y, error=metrics.balanced_ece)
    assert len({plain.ece, plain.balanced_ece, fitted.balanced_ece}) == 3


@pytest.mark.parametrize(
    ("p", "y", "wanted"),
    [
        (P[:3], Y, r"must have the shape \[4,2\], got \[3, 2\]"),
        (np.ones((4, 3)), Y, r"must have the shape \[4,2\], got \[4, 3\]"),
        (P, np.array([0, 1, 2, 1]), "labels run from 0 to 2, expected 0 to 1"),
        (np.where(np.float32(0.6) == P, np.nan, P), Y, "not finite in 1 of 4 rows, the first is row 2"),
    ],
)
def test_evaluate_of_other_shapes_raises(p: np.ndarray, y: np.ndarray, wanted: str) -> None:
    with pytest.raises(MienError, match=wanted):
        evaluate(p, y, AB, split="val")


def test_evaluate_without_labels_or_faces_raises() -> None:
    with pytest.raises(DataError, match="2 of 4 faces have no label"):
        evaluate(P, np.array([0, -1, 1, -1]), AB, split="test")
    with pytest.raises(DataError, match="no faces"):
        evaluate(P[:0], Y[:0], AB, split="test")
