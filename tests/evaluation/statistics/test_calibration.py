"""Temperature scaling against values computed by hand, and cross-fitting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.evaluation.statistics import calibration, metrics


def drawn(n: int, too_sure: float, seed: int = 0, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of a model that is `too_sure` times surer than it may be, and labels drawn as it should say."""
    rng = np.random.default_rng(seed)
    logits_NK = rng.normal(0, 1.5, (n, classes))
    fair_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(1, keepdims=True)
    labels_N = (rng.random((n, 1)) > fair_NK.cumsum(1)).sum(1).clip(0, classes - 1)
    said_NK = too_sure * logits_NK
    return said_NK - np.log(np.exp(said_NK).sum(1, keepdims=True)), labels_N


def test_fit_temperature_against_values_by_hand() -> None:
    # Three of four are right where the model says 9 to 1: it is fair at 3 to 1, the square root.
    log_p_NK = np.log(np.array([[0.9, 0.1]] * 4))
    labels_N = np.array([0, 0, 0, 1])
    assert calibration.fit_temperature(log_p_NK, labels_N) == pytest.approx(2, abs=1e-6)
    # Three of four where it says 3 to 1, and where it says 1.5 to 1: too modest by log 3 / log 1.5.
    assert calibration.fit_temperature(np.log(np.array([[0.75, 0.25]] * 4)), labels_N) == pytest.approx(1, abs=1e-6)
    modest = calibration.fit_temperature(np.log(np.array([[0.6, 0.4]] * 4)), labels_N)
    assert modest == pytest.approx(math.log(1.5) / math.log(3), abs=1e-6)


def test_fit_temperature_of_logits_or_log_probabilities() -> None:
    log_p_NK, labels_N = drawn(300, 2.0)
    shifted_NK = log_p_NK + np.random.default_rng(1).normal(0, 50, (300, 1))
    assert calibration.fit_temperature(shifted_NK, labels_N) == pytest.approx(
        calibration.fit_temperature(log_p_NK, labels_N), abs=1e-6
    )


def test_fit_temperature_without_optimum_ends_at_a_limit() -> None:
    log_p_NK = np.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert calibration.fit_temperature(log_p_NK, np.array([0, 1])) == pytest.approx(calibration.MIN_TEMPERATURE)
    assert calibration.fit_temperature(log_p_NK, np.array([1, 0])) == pytest.approx(calibration.MAX_TEMPERATURE)


def test_apply_temperature_2_takes_square_roots() -> None:
    p_NK = np.array([[0.8, 0.2], [0.1, 0.9]])
    assert calibration.apply(p_NK, 1.0) == pytest.approx(p_NK)
    assert calibration.apply(p_NK, 2.0) == pytest.approx(np.array([[2 / 3, 1 / 3], [1 / 4, 3 / 4]]))
    one_each = calibration.apply(p_NK, np.array([1.0, 2.0]))
    assert one_each == pytest.approx(np.array([[0.8, 0.2], [1 / 4, 3 / 4]]))
    assert calibration.apply(np.array([[1.0, 0.0]]), 2.0).tolist() == [[pytest.approx(1), pytest.approx(1e-6)]]


def test_overconfident_model_gets_a_smaller_error() -> None:
    log_p_NK, labels_N = drawn(4000, 3.0)
    assert calibration.fit_temperature(log_p_NK, labels_N) == pytest.approx(3, rel=0.05)
    before = metrics.ece(np.exp(log_p_NK), labels_N)
    assert calibration.cross_fitted_ece(log_p_NK, labels_N) < before / 4


def test_cross_fitted_temperature_ignores_its_own_fold() -> None:
    log_p_NK, labels_N = drawn(60, 2.0)
    fitted_N = calibration.cross_fitted_temperatures(log_p_NK, labels_N)
    assert len(set(fitted_N.tolist())) == 5
    sizes = [int((fitted_N == t).sum()) for t in set(fitted_N.tolist())]
    assert sizes == [12] * 5
    for face in (0, 17, 59):
        others = fitted_N != fitted_N[face]
        # The very temperature that the other four fifths give, and all of it: its own fold may say what it likes.
        assert fitted_N[face] == calibration.fit_temperature(log_p_NK[others], labels_N[others])
        told = labels_N.copy()
        told[~others] = (told[~others] + 1) % 7
        again_N = calibration.cross_fitted_temperatures(log_p_NK, told)
        assert np.array_equal(again_N[~others], fitted_N[~others])
        assert not np.isin(again_N[others], fitted_N[others]).any()


def test_cross_fitted_log_loss_is_never_smaller() -> None:
    """Fitted without a fold, the temperature is no better there than the one fitted on all: the rest is optimal."""
    for seed in range(20):
        log_p_NK, labels_N = drawn(40, 1.5, seed)
        crossed_N = calibration.cross_fitted_temperatures(log_p_NK, labels_N)
        flattered = calibration.apply(np.exp(log_p_NK), calibration.fit_temperature(log_p_NK, labels_N))
        honest = calibration.apply(np.exp(log_p_NK), crossed_N)
        assert metrics.log_loss(flattered, labels_N) < metrics.log_loss(honest, labels_N)


def test_folds_are_reproducible() -> None:
    log_p_NK, labels_N = drawn(50, 2.0)
    first, again = (calibration.cross_fitted_ece(log_p_NK, labels_N) for _ in range(2))
    assert first == again
    three_N = calibration.cross_fitted_temperatures(log_p_NK[:3], labels_N[:3])
    assert np.isfinite(three_N).all()
    for face in range(3):
        others = np.arange(3) != face
        assert three_N[face] == calibration.fit_temperature(log_p_NK[:3][others], labels_N[:3][others])
    (alone,) = calibration.cross_fitted_temperatures(log_p_NK[:1], labels_N[:1])
    assert alone == calibration.fit_temperature(log_p_NK[:1], labels_N[:1])
