"""Calibration before and after temperature scaling, cross-fitted where needed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.evaluation.confidence import CROSS_FITTED, OWN, TOO_FEW, calibration_report
from mien.evaluation.statistics import calibration, metrics


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fair probabilities, the same three times too sure, and labels drawn as the fair ones say."""
    rng = np.random.default_rng(0)
    logits_NK = rng.normal(0, 1, (n, 4))
    fair_NK, sure_NK = (np.exp(k * logits_NK) / np.exp(k * logits_NK).sum(1, keepdims=True) for k in (1, 3))
    return fair_NK, sure_NK, (rng.random((n, 1)) > fair_NK.cumsum(1)).sum(1).clip(0, 3)


def test_report_without_temperature_is_cross_fitted() -> None:
    _, sure_NK, y_N = drawn()
    report = calibration_report(sure_NK, y_N)
    assert report.fitted == CROSS_FITTED
    assert report.temperature == pytest.approx(3, rel=0.2)
    assert report.before.ece == metrics.ece(sure_NK, y_N)
    assert report.after.ece == calibration.cross_fitted_ece(calibration.log_probabilities(sure_NK), y_N)
    assert report.after.ece < report.before.ece / 2
    assert report.after.log_loss < report.before.log_loss
    assert report.after.brier < report.before.brier


def test_report_before_divides_out_the_temperature() -> None:
    fair_NK, sure_NK, y_N = drawn()
    report = calibration_report(fair_NK, y_N, temperature=3)
    assert (report.fitted, report.temperature) == (OWN, 3)
    assert report.before.log_loss == pytest.approx(metrics.log_loss(sure_NK, y_N))
    assert report.after.ece == metrics.ece(fair_NK, y_N)


def test_report_with_cross_fit_fits_in_folds() -> None:
    fair_NK, sure_NK, y_N = drawn()
    report = calibration_report(fair_NK, y_N, temperature=3, cross_fit=True)
    assert report.fitted == CROSS_FITTED
    assert report.before.log_loss == pytest.approx(metrics.log_loss(sure_NK, y_N))
    assert report.after.ece == pytest.approx(calibration.cross_fitted_ece(calibration.log_probabilities(sure_NK), y_N))


def test_accuracy_at_coverage_and_json() -> None:
    p_NK = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    report = calibration_report(p_NK, np.array([0, 0, 0, 1]))
    assert [report.accuracy_at_coverage(share) for share in (1, 0.75, 0.5, 0.01)] == [0.75, 1, 1, 1]
    assert report.aurc == pytest.approx(0.25 / 4)
    shown = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert shown["accuracy_of_most_confident"][0] == {"share": 1.0, "accuracy": 0.75}
    assert len(shown["accuracy_of_most_confident"]) == 20
    assert sum(b["faces"] for b in shown["before"]["bins"]) == 4


@pytest.mark.parametrize(("faces", "fitted"), [(199, TOO_FEW), (200, CROSS_FITTED)])
def test_report_fits_no_temperature_on_few_faces(faces: int, fitted: str) -> None:
    _, sure_NK, y_N = drawn()
    report = calibration_report(sure_NK[:faces], y_N[:faces])
    assert report.fitted == fitted
    assert (report.temperature == 1) == (fitted == TOO_FEW)
    assert (report.after.ece == report.before.ece) == (fitted == TOO_FEW)
