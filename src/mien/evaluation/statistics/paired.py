"""Paired comparison of two models on the same faces: bootstrap and McNemar.

N faces, K classes. What is resampled, and what is counted, are faces; both packages are always asked for the same.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.evaluation.statistics.intervals import LEVEL
from mien.evaluation.statistics.metrics import Floats, Ints, confusion_matrix, macro_f1

RESAMPLES = 10_000
BETTER, WORSE, OPEN = "better", "worse", "no difference shown"


@dataclass(frozen=True)
class Difference:
    """One figure of `b` minus that of `a`, with its 95 % interval over the draw of faces, in shares."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """Package `b` held against package `a` on the same faces.

    Attributes:
        a, b: their names.
        n: faces.
        accuracy, macro_f1: what `b` has more than `a`, by paired bootstrap.
        only_a, only_b: faces that one of the two alone tells rightly.
        p: McNemar's mid-p value: how often so uneven a count would come about if both were equally good.
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
        """`better` or `worse` where the interval of accuracy leaves zero out, else `no difference shown`."""
        if self.accuracy.low > 0:
            return BETTER
        return WORSE if self.accuracy.high < 0 else OPEN

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return asdict(self) | {"level": LEVEL, "resamples": RESAMPLES, "finding": self.finding}


def pair(a: str, b: str, labels_N: Ints, predicted_a_N: Ints, predicted_b_N: Ints, classes: int) -> Pair:
    """Hold the classes that `b` tells against those that `a` tells, both int64 [N]."""
    right_a_N, right_b_N = predicted_a_N == labels_N, predicted_b_N == labels_N
    only_a, only_b = int((right_a_N & ~right_b_N).sum()), int((right_b_N & ~right_a_N).sum())
    accuracy_R, macro_f1_R = _resampled(labels_N, predicted_a_N, predicted_b_N, classes)
    f1_a, f1_b = (
        macro_f1(confusion_matrix(labels_N, predicted_N, classes)) for predicted_N in (predicted_a_N, predicted_b_N)
    )
    n = len(labels_N)
    return Pair(
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
    """The two-sided mid-p value of McNemar's test, 0 to 1; 1 where nothing tells the two apart.

    Of the faces that one alone tells rightly, half should fall to either. The exact test is too careful, as its
    values are few; half of the chance of what was seen is taken off on each side.

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
    """Differences in accuracy and macro-F1, float64 [R] each, were the faces drawn anew from those that there are.

    Faces of one true class that both tell alike are interchangeable, so it is their counts that are drawn.
    """
    cell_N = (labels_N * k + predicted_a_N) * k + predicted_b_N
    cells_M, faces_M = np.unique(cell_N, return_counts=True)
    n = len(labels_N)
    true_M, predicted_MA, predicted_MB = cells_M // (k * k), cells_M // k % k, cells_M % k
    rng = np.random.RandomState(0)  # its stream is frozen by numpy's policy, that of newer generators is not
    counts_RM = rng.multinomial(n, faces_M / n, size=RESAMPLES)
    accuracy_R = counts_RM @ ((predicted_MB == true_M).astype(int) - (predicted_MA == true_M)) / n
    f1_R = _macro_f1(counts_RM, true_M, predicted_MB, k) - _macro_f1(counts_RM, true_M, predicted_MA, k)
    return accuracy_R, f1_R


def _macro_f1(counts_RM: Ints, true_M: Ints, predicted_M: Ints, k: int) -> Floats:
    """Macro-F1 of each resample, float64 [R]."""
    faces_RK, said_RK = counts_RM @ np.eye(k)[true_M], counts_RM @ np.eye(k)[predicted_M]
    hits_RK = counts_RM @ (np.eye(k)[true_M] * (true_M == predicted_M)[:, None])
    both_RK = faces_RK + said_RK
    f1_R: Floats = np.divide(2 * hits_RK, both_RK, out=np.zeros_like(both_RK), where=both_RK > 0).mean(1)
    return f1_R


def _difference(mean: float, drawn_R: Floats) -> Difference:
    low, high = np.quantile(drawn_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(mean), float(low), float(high))
