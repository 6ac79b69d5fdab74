"""Paired comparison of two models on the same faces: bootstrap and McNemar.

N faces, K classes. Faces are resampled and counted; both models have predictions for the same faces.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.evaluation.statistics.intervals import LEVEL
from mien.evaluation.statistics.metrics import Floats, Ints, confusion_matrix, macro_f1

RESAMPLES = 10_000
BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no significant difference"


@dataclass(frozen=True)
class Difference:
    """The metric of `b` minus that of `a`, with its 95 % interval over the draw of faces, as fractions."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Model `b` compared with model `a` on the same faces.

    Attributes:
        a, b: Names of the models.
        n: Number of faces.
        accuracy, macro_f1: Difference of `b` and `a`, by paired bootstrap.
        only_a, only_b: Faces that only one of the two predicts correctly.
        p: McNemar's mid-p value: the probability of a difference at least as large if both were equally good.
    """

    a: str
    b: str
    n: int
    accuracy: Difference
    macro_f1: Difference
    only_a: int
    only_b: int
    p: float

    @property
    def finding(self) -> str:
        """`better` or `worse` if the interval of the difference excludes 0, else `no significant difference`."""
        if self.accuracy.low > 0:
            return BETTER
        return WORSE if self.accuracy.high < 0 else NO_DIFFERENCE

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types."""
        return asdict(self) | {"level": LEVEL, "resamples": RESAMPLES, "finding": self.finding}


def compare_paired(
    a: str, b: str, labels_N: Ints, predicted_a_N: Ints, predicted_b_N: Ints, classes: int
) -> PairedComparison:
    """Compare the predictions of model `b` with those of model `a` on the same faces.

    Args:
        a: Name of the first model.
        b: Name of the second model.
        labels_N: True class indices, int64 [N].
        predicted_a_N: Class indices that the first model predicts, int64 [N].
        predicted_b_N: Class indices that the second model predicts, int64 [N].
        classes: Number of classes K.

    Example:
        >>> labels = np.array([0, 1] * 50)
        >>> result = compare_paired("old", "new", labels, np.zeros(100, np.int64), labels, classes=2)
        >>> result.finding, result.only_b, result.accuracy.mean
        ('better', 50, 0.5)
    """
    correct_a_N, correct_b_N = predicted_a_N == labels_N, predicted_b_N == labels_N
    only_a, only_b = int((correct_a_N & ~correct_b_N).sum()), int((correct_b_N & ~correct_a_N).sum())
    accuracy_R, macro_f1_R = _resampled(labels_N, predicted_a_N, predicted_b_N, classes)
    f1_a, f1_b = (
        macro_f1(confusion_matrix(labels_N, predicted_N, classes)) for predicted_N in (predicted_a_N, predicted_b_N)
    )
    n = len(labels_N)
    return PairedComparison(
        a=a,
        b=b,
        n=n,
        accuracy=_difference((only_b - only_a) / n, accuracy_R),
        macro_f1=_difference(f1_b - f1_a, macro_f1_R),
        only_a=only_a,
        only_b=only_b,
        p=mcnemar(only_a, only_b),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided mid-p value of McNemar's test, 0 to 1; 1 if the models differ on no face.

    Under the null hypothesis either model is correct on half of the faces that only one of them predicts correctly. The
    exact test is conservative because the counts are discrete; mid-p subtracts half of the probability of the observed
    count on each side.

    Source: Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data", BMC Med. Res.
    Methodol. 13:91.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    log_half, log_n = n * math.log(0.5), math.lgamma(n + 1)
    chances = [math.exp(log_n - math.lgamma(k + 1) - math.lgamma(n - k + 1) + log_half) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(chances) - chances[-1])


def _resampled(labels_N: Ints, predicted_a_N: Ints, predicted_b_N: Ints, k: int) -> tuple[Floats, Floats]:
    """Return differences in accuracy and macro-F1 of R bootstrap resamples of the faces, float64 [R] each.

    Faces with the same true class and the same two predictions are interchangeable, so their counts are resampled.
    """
    cell_N = (labels_N * k + predicted_a_N) * k + predicted_b_N
    cells_M, faces_M = np.unique(cell_N, return_counts=True)
    n = len(labels_N)
    true_M, predicted_MA, predicted_MB = cells_M // (k * k), cells_M // k % k, cells_M % k
    rng = np.random.RandomState(0)  # NumPy guarantees its stream
    counts_RM = rng.multinomial(n, faces_M / n, size=RESAMPLES)
    accuracy_R = counts_RM @ ((predicted_MB == true_M).astype(int) - (predicted_MA == true_M)) / n
    f1_R = _macro_f1(counts_RM, true_M, predicted_MB, k) - _macro_f1(counts_RM, true_M, predicted_MA, k)
    return accuracy_R, f1_R


def _macro_f1(counts_RM: Ints, true_M: Ints, predicted_M: Ints, k: int) -> Floats:
    """Return macro-F1 of each resample, float64 [R]."""
    faces_RK, predicted_RK = counts_RM @ np.eye(k)[true_M], counts_RM @ np.eye(k)[predicted_M]
    correct_RK = counts_RM @ (np.eye(k)[true_M] * (true_M == predicted_M)[:, None])
    both_RK = faces_RK + predicted_RK
    f1_R: Floats = np.divide(2 * correct_RK, both_RK, out=np.zeros_like(both_RK), where=both_RK > 0).mean(1)
    return f1_R


def _difference(mean: float, values_R: Floats) -> Difference:
    low, high = np.quantile(values_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(mean), float(low), float(high))
