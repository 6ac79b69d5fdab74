"""Two packages on the same faces, against what can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.evaluation.statistics.metrics import confusion_matrix, macro_f1
from mien.evaluation.statistics.paired import BETTER, OPEN, WORSE, mcnemar, pair


def test_mcnemar_of_tables_worked_out_by_hand() -> None:
    # Of four, none: twice 1/16, less 1/16. Of four, one: twice (1 + 4)/16, less 4/16. As many on both sides: 1.
    assert mcnemar(0, 4) == pytest.approx(1 / 16)
    assert mcnemar(3, 1) == mcnemar(1, 3) == pytest.approx(6 / 16)
    assert mcnemar(2, 2) == pytest.approx(1)
    assert mcnemar(0, 0) == 1
    # Fagerland et al. 2013, table 1: 1 and 7 discordant pairs, mid-p 0.039.
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert 0 <= mcnemar(1000, 3000) < 1e-100  # and no overflow


def test_one_that_is_right_more_often_is_better_and_the_other_worse() -> None:
    rng = np.random.default_rng(0)
    true_N = rng.integers(0, 3, 600)
    a_N, b_N = ((true_N + (rng.random(600) < wrong)) % 3 for wrong in (0.4, 0.2))
    told, back = pair("a", "b", true_N, a_N, b_N, 3), pair("b", "a", true_N, b_N, a_N, 3)
    assert (told.finding, back.finding) == (BETTER, WORSE)
    assert told.accuracy.mean == pytest.approx((b_N == true_N).mean() - (a_N == true_N).mean())
    assert told.macro_f1.mean == pytest.approx(
        macro_f1(confusion_matrix(true_N, b_N, 3)) - macro_f1(confusion_matrix(true_N, a_N, 3))
    )
    # The bootstrap of a difference of shares has the width that the normal approximation gives.
    by_face_N = (b_N == true_N).astype(float) - (a_N == true_N)
    half = 1.96 * by_face_N.std() / np.sqrt(600)
    assert told.accuracy.high - told.accuracy.low == pytest.approx(2 * half, rel=0.05)
    assert (told.only_a, told.only_b) == (back.only_b, back.only_a)
    assert told.p == back.p < 0.001
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["finding"] == BETTER


def test_macro_f1_is_resampled_by_faces() -> None:
    """Against a bootstrap that draws faces one by one."""
    rng = np.random.default_rng(1)
    true_N = rng.integers(0, 3, 80)
    a_N, b_N = rng.integers(0, 3, 80), np.where(rng.random(80) < 0.7, true_N, 0)
    told = pair("a", "b", true_N, a_N, b_N, 3).macro_f1
    drawn = []
    for _ in range(2000):
        rows = rng.integers(0, 80, 80)
        f1 = [macro_f1(confusion_matrix(true_N[rows], x[rows], 3)) for x in (a_N, b_N)]
        drawn.append(f1[1] - f1[0])
    assert (told.low, told.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_the_same_twice_is_no_difference() -> None:
    y_N = np.array([0, 1, 1, 2])
    told = pair("a", "b", y_N, y_N, y_N, 3)
    assert (told.accuracy.low, told.accuracy.high, told.p, told.finding) == (0, 0, 1, OPEN)
