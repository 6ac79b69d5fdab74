"""Every metric against values computed by hand."""

import math

import numpy as np
import pytest

from mien.evaluation.statistics import metrics

#            a  a  a  a  b  b  c  c  c  c      of classes a, b, c and d, which no face has
TRUE = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
SAID = np.array([0, 0, 1, 2, 1, 0, 2, 2, 2, 0])
TABLE = [[2, 1, 1, 0], [1, 1, 0, 0], [1, 0, 3, 0], [0, 0, 0, 0]]


def test_accuracy_is_the_share_of_hits() -> None:
    assert metrics.accuracy(TRUE, SAID) == pytest.approx(6 / 10)


def test_confusion_has_the_true_class_in_rows() -> None:
    counts = metrics.confusion_matrix(TRUE, SAID, 4)
    assert counts.tolist() == TABLE
    assert counts.dtype == np.int64


def test_per_class_ratios_without_denominator_are_0() -> None:
    c = metrics.per_class(np.array(TABLE))
    assert c.precision == pytest.approx([2 / 4, 1 / 2, 3 / 4, 0])
    assert c.recall == pytest.approx([2 / 4, 1 / 2, 3 / 4, 0])
    assert c.f1 == pytest.approx([0.5, 0.5, 0.75, 0])
    assert c.support.tolist() == [4, 2, 4, 0]


def test_precision_and_recall_are_not_swapped() -> None:
    c = metrics.per_class(np.array([[3, 1], [0, 2]]))
    assert c.precision == pytest.approx([1.0, 2 / 3])
    assert c.recall == pytest.approx([0.75, 1.0])
    assert c.f1 == pytest.approx([6 / 7, 4 / 5])


def test_macro_f1_counts_each_class_alike() -> None:
    assert metrics.macro_f1(np.array(TABLE)) == pytest.approx((0.5 + 0.5 + 0.75 + 0) / 4)


def test_macro_f1_by_face_has_macro_f1_as_its_mean() -> None:
    assert metrics.macro_f1_by_face(TRUE, SAID, 4).mean() == pytest.approx(metrics.macro_f1(np.array(TABLE)))


def test_macro_f1_by_face_predicts_the_effect_of_one_more() -> None:
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 3, 600), rng.integers(0, 3, 600)
    said[:300] = true[:300]
    whole = metrics.macro_f1(metrics.confusion_matrix(true, said, 3))
    by_face = metrics.macro_f1_by_face(true, said, 3)
    for i in (0, 299, 300, 599):
        twice = metrics.macro_f1(metrics.confusion_matrix(np.append(true, true[i]), np.append(said, said[i]), 3))
        assert (twice - whole) * 601 == pytest.approx(by_face[i] - whole, rel=0.01)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    p = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert metrics.log_loss(p, np.array([0, 1])) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert metrics.log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(1e-12))


def test_balanced_ece_against_values_by_hand() -> None:
    #  largest       0.95   0.90   0.55   0.60 ; hits 1, 0, 1, 1; in four bins: the third has the last two
    p = np.array([[0.95, 0.05, 0], [0.10, 0.90, 0], [0.55, 0.45, 0], [0.40, 0.60, 0]])
    true = np.array([0, 0, 0, 1])  # the first three weigh 1/6 each, the last 1/2; the third class has no face
    upper, lower = (0.05 - 0.90) / 6, 0.45 / 6 + 0.40 / 2
    assert metrics.balanced_ece(p, true, bins=4) == pytest.approx(abs(upper) + abs(lower))
    assert metrics.ece(p, true, bins=4) == pytest.approx(0.85 / 4 + 0.85 / 4)


def test_balanced_ece_of_equal_classes_is_ece() -> None:
    rng = np.random.default_rng(0)
    p, true = rng.dirichlet(np.ones(3), 90), np.arange(90) % 3
    assert metrics.balanced_ece(p, true) == pytest.approx(metrics.ece(p, true))
    assert metrics.balanced_ece(p[:70], rng.integers(0, 3, 70)) != pytest.approx(metrics.ece(p[:70], true[:70]))


def test_ece_against_values_by_hand() -> None:
    #  largest       0.95   0.90   0.55   0.60      in two bins of (0, 0.5] and (0.5, 1]: all in the second
    p = np.array([[0.95, 0.05], [0.10, 0.90], [0.55, 0.45], [0.40, 0.60]])
    true = np.array([0, 0, 0, 1])
    assert metrics.ece(p, true, bins=2) == pytest.approx(abs(3 / 4 - (0.95 + 0.90 + 0.55 + 0.60) / 4))
    # In ten bins: (0.9, 1] has 0.95, (0.8, 0.9] has 0.90 and (0.5, 0.6] has 0.55 and 0.60; edges go down.
    by_bin = [abs(1 - 0.95), abs(0 - 0.90), 2 * abs(2 / 2 - (0.55 + 0.60) / 2)]
    assert metrics.ece(p, true, bins=10) == pytest.approx(sum(by_bin) / 4)


def test_ece_has_15_bins_and_is_0_if_calibrated() -> None:
    p = np.repeat([[0.75, 0.25]], 400, axis=0)
    true = np.array([0, 0, 0, 1] * 100)
    assert metrics.ece(p, true) == pytest.approx(0)
    assert metrics.ece(np.eye(2)[true], true) == 0
    assert metrics.ece(np.eye(2)[true], 1 - true) == 1
    # Between 0.71 and 0.74 lies an edge of fifteen bins, 11/15, and none of ten.
    mixed = np.array([[0.71, 0.29], [0.74, 0.26]])
    assert metrics.ece(mixed, np.array([1, 0])) == pytest.approx((0.71 + 0.26) / 2)
    assert metrics.ece(mixed, np.array([1, 0]), bins=10) == pytest.approx(abs(1 / 2 - 0.725))


def test_ece_of_float32_and_of_the_edges() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5]], np.float32)
    assert metrics.ece(p, np.array([0, 0])) == pytest.approx(0.25)


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert metrics.balanced_accuracy(np.array(TABLE)) == pytest.approx((2 / 4 + 1 / 2 + 3 / 4) / 3)
    assert metrics.balanced_accuracy(np.array([[9, 0], [1, 0]])) == 0.5  # all told to be the frequent class


def test_brier_sums_over_all_classes() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    first = 0.3**2 + 0.2**2 + 0.1**2
    assert metrics.brier(p, np.array([0, 2])) == pytest.approx(first / 2)
    assert metrics.brier(p, np.array([0, 0])) == pytest.approx((first + 2) / 2)


def test_top_2_counts_equals_in_class_order() -> None:
    p = np.array([[0.5, 0.3, 0.2]] * 3 + [[0.25, 0.5, 0.25]] * 2)
    assert [metrics.top(p[i : i + 1], np.array([k])) for i, k in enumerate((0, 1, 2, 0, 2))] == [1, 1, 0, 1, 0]
    true = np.array([0, 1, 2, 0, 2])
    assert metrics.top(p, true) == pytest.approx(3 / 5)
    assert metrics.top(p, true, first=1) == pytest.approx(metrics.accuracy(true, p.argmax(1)))


def test_reliability_has_the_means_and_counts_of_its_bins() -> None:
    p = np.array([[0.95, 0.05], [0.10, 0.90], [0.55, 0.45], [0.40, 0.60]])
    told = metrics.reliability(p, np.array([0, 0, 0, 1]), bins=10)
    assert told.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 1, 1]
    assert told.confidence[[5, 8, 9]] == pytest.approx([(0.55 + 0.60) / 2, 0.90, 0.95])
    assert told.accuracy.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert told.ece == pytest.approx((abs(1 - 0.95) + 0.90 + 2 * (1 - 0.575)) / 4)


def test_risk_falls_with_coverage() -> None:
    #                surest        then           then           least sure: the mistakes are the 2nd and the 4th
    p = np.array([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    told = metrics.risk_at_coverage(p, np.array([0, 0, 0, 1]))
    assert told == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert told.mean() == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_risk_of_equal_confidence_is_their_mean() -> None:
    p, true = np.array([[0.8, 0.2]] * 3 + [[0.1, 0.9]]), np.array([1, 0, 0, 1])
    wanted = [0, (1 / 3) / 2, (2 / 3) / 3, 1 / 4]
    assert metrics.risk_at_coverage(p, true) == pytest.approx(wanted)
    assert metrics.risk_at_coverage(p[::-1], true[::-1]) == pytest.approx(wanted)
