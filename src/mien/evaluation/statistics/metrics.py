"""Metrics from class indices and probabilities, in numpy.

N faces, K classes. A class index is an int in 0..K-1. Where a ratio has nothing to divide by (no face of a class, or
none told to be it) it is 0; `support` tells such a class apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15  # of equal width, by which confidence is held against the truth, as in Guo et al. 2017
LEAST = 1e-12  # probabilities are lifted to this before the logarithm, so that one sure mistake is not infinite


@dataclass(frozen=True, eq=False)
class PerClass:
    """How well each class is found; float64 [K] each, `support` int64 [K].

    Attributes:
        precision: of the faces told to be this class, the share that are.
        recall: of the faces of this class, the share told so.
        f1: the harmonic mean of the two, 2·hits / (faces of the class + faces told to be it).
        support: faces of this class.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence held against the truth, in bins of equal width by the largest probability; [B] each.

    Attributes:
        sure: mean largest probability of the faces in a bin, 0 where it has none.
        hits: the share of them that are told right, 0 where it has none.
        faces: how many fall into it, int64.
    """

    sure: Floats
    hits: Floats
    faces: Ints

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 to 1: the mean over all faces of how far confidence and hits lie apart."""
        return float((np.abs(self.hits - self.sure) * self.faces).sum() / self.faces.sum())


def accuracy(labels_N: Ints, predicted_N: Ints) -> float:
    """Share of faces whose class is told right, 0 to 1."""
    return float((labels_N == predicted_N).mean())


def confusion_matrix(labels_N: Ints, predicted_N: Ints, classes: int) -> Ints:
    """Counts int64 [K,K]: row the true class, column the class predicted."""
    cells = labels_N * classes + predicted_N
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(confusion_KK: Ints) -> PerClass:
    """Precision, recall and F1 of each class, from counts with the true class in rows."""
    hits_K = np.diag(confusion_KK).astype(np.float64)
    faces_K, predicted_K = confusion_KK.sum(1), confusion_KK.sum(0)
    return PerClass(
        precision=_ratio(hits_K, predicted_K),
        recall=_ratio(hits_K, faces_K),
        f1=_ratio(2 * hits_K, faces_K + predicted_K),
        support=faces_K.astype(np.int64),
    )


def balanced_accuracy(confusion_KK: Ints) -> float:
    """The plain mean of recall over the classes that have faces, 0 to 1; what blind guessing gets is 1/K."""
    counts = per_class(confusion_KK)
    return float(counts.recall[counts.support > 0].mean())


def macro_f1(confusion_KK: Ints) -> float:
    """The plain mean of F1 over classes, 0 to 1: a rare class counts as much as a frequent one.

    A class that is neither among the labels nor ever told counts as 0, as in scikit-learn with all labels given.
    """
    return float(per_class(confusion_KK).f1.mean())


def macro_f1_by_face(labels_N: Ints, predicted_N: Ints, classes: int) -> Floats:
    """One figure per face, float64 [N], whose mean is macro-F1 and whose spread says how sure it is.

    Macro-F1 plus N times each face's influence on it (its derivative by the face's weight; Hampel 1974, J. Am. Stat.
    Assoc. 69:383), so that an interval made for means serves macro-F1 too.
    """
    counts = per_class(confusion_matrix(labels_N, predicted_N, classes))
    predicted_K = np.bincount(predicted_N, minlength=classes)
    weight_K = _ratio(np.ones(classes), counts.support + predicted_K)
    influence_N = 2 * weight_K[labels_N] * (labels_N == predicted_N)
    influence_N -= (counts.f1 * weight_K)[labels_N] + (counts.f1 * weight_K)[predicted_N]
    by_face_N: Floats = counts.f1.mean() + influence_N * len(labels_N) / classes
    return by_face_N


def log_loss(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> float:
    """Mean negative logarithm (natural) of the true class's probability, lifted to at least `LEAST`."""
    own_N = probabilities_NK[np.arange(len(labels_N)), labels_N].astype(np.float64)
    return float(-np.log(np.maximum(own_N, LEAST)).mean())


def brier(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> float:
    """Mean over the faces of the squared distance between the probabilities and the truth, summed over classes: 0 to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", Mon. Weather Rev. 78:1.
    """
    p_NK = probabilities_NK.astype(np.float64)
    own_N = p_NK[np.arange(len(labels_N)), labels_N]
    return float(((p_NK**2).sum(1) - 2 * own_N + 1).mean())


def top(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, first: int = 2) -> float:
    """Share of faces whose class is among the `first` likeliest, 0 to 1; of equals, the class that stands first."""
    own_N1 = probabilities_NK[np.arange(len(labels_N)), labels_N][:, None]
    ahead_NK = np.arange(probabilities_NK.shape[1]) < labels_N[:, None]
    before_NK = (probabilities_NK > own_N1) | ((probabilities_NK == own_N1) & ahead_NK)
    return float((before_NK.sum(1) < first).mean())


def reliability(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> Reliability:
    """Faces by their largest probability in `bins` of equal width, (0, 1/bins], ..., (1 - 1/bins, 1]."""
    sure_N, hit_N, bin_N = _binned(probabilities_NK, labels_N, bins)
    faces_B = np.bincount(bin_N, minlength=bins).astype(np.int64)
    sure_B, hits_B = (_ratio(np.bincount(bin_N, of_N, bins), faces_B) for of_N in (sure_N, hit_N))
    return Reliability(sure_B, hits_B, faces_B)


def ece(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> float:
    """Expected calibration error, 0 to 1: how far confidence and share of hits lie apart, over the bins of
    `reliability`.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, arXiv 1706.04599.
    """
    return reliability(probabilities_NK, labels_N, bins).ece


def balanced_ece(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> float:
    """Return the class-balanced expected calibration error, 0 to 1: `ece` with every true class of equal total weight.

    A face whose true class has n faces weighs 1 / (n * number of classes with faces). In each bin of `reliability` the
    weighted mean confidence is compared with the weighted share of hits; the absolute differences are averaged by the
    weights of the bins. With equally many faces in each class it equals `ece`.
    """
    sure_N, hit_N, bin_N = _binned(probabilities_NK, labels_N, bins)
    faces_K = np.bincount(labels_N)
    weight_N = 1 / (np.count_nonzero(faces_K) * faces_K[labels_N])
    return float(np.abs(np.bincount(bin_N, weight_N * (hit_N - sure_N), bins)).sum())


def risk_at_coverage(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> Floats:
    """The share of mistakes among the 1, 2, ..., N surest faces, float64 [N]: what refusing the rest leaves.

    Confidence is the largest probability. Faces that are equally sure come in no order: each counts as the mean of
    them.
    The plain mean of the curve is the area under it, AURC: 0 for a model that is never wrong, and the smaller, the
    better confidence tells hits from mistakes.

    Source: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", arXiv 1705.08500.
    """
    sure_N = probabilities_NK.max(1)
    wrong_N = (probabilities_NK.argmax(1) != labels_N).astype(np.float64)
    _, group_N, faces_G = np.unique(-sure_N, return_inverse=True, return_counts=True)
    wrong_G = np.bincount(group_N, wrong_N) / faces_G
    risk_N: Floats = np.repeat(wrong_G, faces_G).cumsum() / np.arange(1, len(sure_N) + 1)
    return risk_N


def _binned(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int) -> tuple[Floats, Floats, Ints]:
    """Confidence, 1 for a hit or 0, and the bin of `reliability`, of each face; [N] each."""
    sure_N: Floats = probabilities_NK.max(1).astype(np.float64)
    hit_N: Floats = (probabilities_NK.argmax(1) == labels_N).astype(np.float64)
    bin_N: Ints = np.clip(np.ceil(sure_N * bins).astype(np.int64) - 1, 0, bins - 1)
    return sure_N, hit_N, bin_N


def _ratio(over: NDArray[Any], under: NDArray[Any]) -> Floats:
    """over / under, and 0 where there is nothing to divide by."""
    result: Floats = np.divide(over, under, out=np.zeros(len(over), np.float64), where=under != 0)
    return result
