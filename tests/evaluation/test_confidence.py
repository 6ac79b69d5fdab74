"""Confidence before and after a temperature: whose it was, and that no face is judged by itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.evaluation.confidence import CROSS_FITTED, OWN, calibration_report
from mien.evaluation.statistics import calibration, metrics


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fair probabilities, the same three times too sure, and labels drawn as the fair ones say."""
    rng = np.random.default_rng(0)
    logits_NK = rng.normal(0, 1, (n, 4))
    fair_NK, sure_NK = (np.exp(k * logits_NK) / np.exp(k * logits_NK).sum(1, keepdims=True) for k in (1, 3))
    return fair_NK, sure_NK, (rng.random((n, 1)) > fair_NK.cumsum(1)).sum(1).clip(0, 3)


def test_a_model_without_temperature_gets_one_that_was_fitted_without_the_face() -> None:
    _, sure_NK, y_N = drawn()
    told = calibration_report(sure_NK, y_N)
    assert told.fitted == CROSS_FITTED
    assert told.temperature == pytest.approx(3, rel=0.2)
    assert told.before.ece == metrics.ece(sure_NK, y_N)
    assert told.after.ece == calibration.cross_fitted_ece(calibration.log_probabilities(sure_NK), y_N)
    assert told.after.ece < told.before.ece / 2
    assert told.after.log_loss < told.before.log_loss
    assert told.after.brier < told.before.brier


def test_a_model_with_a_temperature_is_undone_for_the_figures_before() -> None:
    fair_NK, sure_NK, y_N = drawn()
    told = calibration_report(fair_NK, y_N, temperature=3)
    assert (told.fitted, told.temperature) == (OWN, 3)
    assert told.before.log_loss == pytest.approx(metrics.log_loss(sure_NK, y_N))
    assert told.after.ece == metrics.ece(fair_NK, y_N)


def test_a_temperature_that_these_faces_fitted_is_fitted_anew_in_folds() -> None:
    fair_NK, sure_NK, y_N = drawn()
    told = calibration_report(fair_NK, y_N, temperature=3, cross_fit=True)
    assert told.fitted == CROSS_FITTED
    assert told.before.log_loss == pytest.approx(metrics.log_loss(sure_NK, y_N))
    assert told.after.ece == pytest.approx(calibration.cross_fitted_ece(calibration.log_probabilities(sure_NK), y_N))


def test_what_refusing_buys() -> None:
    p_NK = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    told = calibration_report(p_NK, np.array([0, 0, 0, 1]))
    assert [told.accuracy_at_coverage(share) for share in (1, 0.75, 0.5, 0.01)] == [0.75, 1, 1, 1]
    assert told.aurc == pytest.approx(0.25 / 4)
    shown = json.loads(json.dumps(told.to_dict(), allow_nan=False))
    assert shown["accuracy_of_most_confident"][0] == {"share": 1.0, "accuracy": 0.75}
    assert len(shown["accuracy_of_most_confident"]) == 20
    assert sum(b["faces"] for b in shown["before"]["bins"]) == 4
