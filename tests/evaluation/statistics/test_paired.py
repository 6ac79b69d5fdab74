"""Two models on the same faces, against values computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.evaluation.statistics.metrics import confusion_matrix, macro_f1
from mien.evaluation.statistics.paired import BETTER, NO_DIFFERENCE, WORSE, compare_paired, mcnemar


def test_mcnemar_against_values_by_hand() -> None:
    # Of four, none: twice 1/16, less 1/16. Of four, one: twice (1 + 4)/16, less 4/16. As many on both sides: 1.
    assert mcnemar(0, 4) == pytest.approx(1 / 16)
    assert mcnemar(3, 1) == mcnemar(1, 3) == pytest.approx(6 / 16)
    assert mcnemar(2, 2) == pytest.approx(1)
    assert mcnemar(0, 0) == 1
    # Fagerland et al. 2013, table 1: 1 and 7 discordant pairs, mid-p 0.039.
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert 0 <= mcnemar(1000, 3000) < 1e-100  # and no overflow


def test_more_accurate_model_is_better() -> None:
    rng = np.random.default_rng(0)
    true_N = rng.integers(0, 3, 600)
    a_N, b_N = ((true_N + (rng.random(600) < wrong)) % 3 for wrong in (0.4, 0.2))
    result, reverse = compare_paired("a", "b", true_N, a_N, b_N, 3), compare_paired("b", "a", true_N, b_N, a_N, 3)
    assert (result.finding, reverse.finding) == (BETTER, WORSE)
    assert result.accuracy.mean == pytest.approx((b_N == true_N).mean() - (a_N == true_N).mean())
    assert result.macro_f1.mean == pytest.approx(
        macro_f1(confusion_matrix(true_N, b_N, 3)) - macro_f1(confusion_matrix(true_N, a_N, 3))
    )
    # The bootstrap interval is as wide as that of the normal approximation.
    by_face_N = (b_N == true_N).astype(float) - (a_N == true_N)
    half = 1.96 * by_face_N.std() / np.sqrt(600)
    assert result.accuracy.high - result.accuracy.low == pytest.approx(2 * half, rel=0.05)
    assert (result.only_a, result.only_b) == (reverse.only_b, reverse.only_a)
    assert result.p == reverse.p < 0.001
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["finding"] == BETTER


def test_macro_f1_is_resampled_by_faces() -> None:
    """Against a bootstrap that draws faces one by one."""
    rng = np.random.default_rng(1)
    true_N = rng.integers(0, 3, 80)
    a_N, b_N = rng.integers(0, 3, 80), np.where(rng.random(80) < 0.7, true_N, 0)
    result = compare_paired("a", "b", true_N, a_N, b_N, 3).macro_f1
    drawn = []
    for _ in range(2000):
        rows = rng.integers(0, 80, 80)
        f1 = [macro_f1(confusion_matrix(true_N[rows], x[rows], 3)) for x in (a_N, b_N)]
        drawn.append(f1[1] - f1[0])
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_equal_predictions_show_no_difference() -> None:
    y_N = np.array([0, 1, 1, 2])
    result = compare_paired("a", "b", y_N, y_N, y_N, 3)
    assert (result.accuracy.low, result.accuracy.high, result.p, result.finding) == (0, 0, 1, NO_DIFFERENCE)
