"""Metrics from class indices and probabilities, in numpy.

N faces, K classes. A class index is an int in 0..K-1. A ratio with a denominator of 0 (a class without faces, or one
that is never predicted) is 0; `support` identifies classes without faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15  # confidence bins of equal width, as in Guo et al. 2017
MIN_PROBABILITY = 1e-12  # lower bound before the logarithm, so that one confident mistake is not infinite


@dataclass(frozen=True, eq=False)
class PerClass:
    """Precision, recall, F1 and support of each class.

    Attributes:
        precision: Correct predictions of a class divided by all predictions of it, float64 [K].
        recall: Correct predictions of a class divided by its faces, float64 [K].
        f1: Harmonic mean of precision and recall, 2 * correct / (faces + predictions), float64 [K].
        support: Faces of each class, int64 [K].
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy in bins of equal width of the confidence, B bins.

    Attributes:
        confidence: Mean largest probability of the faces in a bin, 0 for an empty bin, float64 [B].
        accuracy: Accuracy of the faces in a bin, 0 for an empty bin, float64 [B].
        count: Faces in a bin, int64 [B].
    """

    confidence: Floats
    accuracy: Floats
    count: Ints

    @property
    def ece(self) -> float:
        """The expected calibration error, 0 to 1: the mean difference of confidence and accuracy, weighted by faces."""
        return float((np.abs(self.accuracy - self.confidence) * self.count).sum() / self.count.sum())


def accuracy(labels_N: Ints, predicted_N: Ints) -> float:
    """Return the fraction of correct predictions, 0 to 1.

    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0])) == 2 / 3
    True
    """
    return float((labels_N == predicted_N).mean())


def confusion_matrix(labels_N: Ints, predicted_N: Ints, classes: int) -> Ints:
    """Return counts int64 [K,K]: true classes in rows, predicted classes in columns.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), classes=2).tolist()
    [[1, 0], [1, 1]]
    """
    cells = labels_N * classes + predicted_N
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(confusion_KK: Ints) -> PerClass:
    """Return precision, recall and F1 of each class.

    Args:
        confusion_KK: Counts int64 [K,K], true classes in rows.
    """
    correct_K = np.diag(confusion_KK).astype(np.float64)
    faces_K, predicted_K = confusion_KK.sum(1), confusion_KK.sum(0)
    return PerClass(
        precision=_ratio(correct_K, predicted_K),
        recall=_ratio(correct_K, faces_K),
        f1=_ratio(2 * correct_K, faces_K + predicted_K),
        support=faces_K.astype(np.int64),
    )


def balanced_accuracy(confusion_KK: Ints) -> float:
    """Return the mean recall of the classes that have faces, 0 to 1; chance level is 1/K."""
    result = per_class(confusion_KK)
    return float(result.recall[result.support > 0].mean())


def macro_f1(confusion_KK: Ints) -> float:
    """Return the unweighted mean of F1 over the classes, 0 to 1: rare and frequent classes count the same.

    A class without faces and without predictions has F1 0, as in scikit-learn with all labels given.
    """
    return float(per_class(confusion_KK).f1.mean())


def macro_f1_by_face(labels_N: Ints, predicted_N: Ints, classes: int) -> Floats:
    """Return one value per face whose mean is macro-F1 and whose variance gives its standard error, float64 [N].

    The value is macro-F1 plus N times the influence of the face on it (the derivative by the weight of the face; Hampel
    1974, J. Am. Stat. Assoc. 69:383), so intervals for means apply to macro-F1 too.
    """
    result = per_class(confusion_matrix(labels_N, predicted_N, classes))
    predicted_K = np.bincount(predicted_N, minlength=classes)
    weight_K = _ratio(np.ones(classes), result.support + predicted_K)
    influence_N = 2 * weight_K[labels_N] * (labels_N == predicted_N)
    influence_N -= (result.f1 * weight_K)[labels_N] + (result.f1 * weight_K)[predicted_N]
    by_face_N: Floats = result.f1.mean() + influence_N * len(labels_N) / classes
    return by_face_N


def log_loss(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> float:
    """Return the mean negative natural logarithm of the true class's probability, clipped at `MIN_PROBABILITY`."""
    own_N = probabilities_NK[np.arange(len(labels_N)), labels_N].astype(np.float64)
    return float(-np.log(np.maximum(own_N, MIN_PROBABILITY)).mean())


def brier(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> float:
    """Return the Brier score: the mean squared distance of probabilities and truth, summed over classes, 0 to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", Mon. Weather Rev. 78:1.
    """
    p_NK = probabilities_NK.astype(np.float64)
    own_N = p_NK[np.arange(len(labels_N)), labels_N]
    return float(((p_NK**2).sum(1) - 2 * own_N + 1).mean())


def top(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, first: int = 2) -> float:
    """Return the top-k accuracy, 0 to 1: the true class is among the `first` most probable ones.

    Of equal probabilities the class with the smaller index counts as more probable.
    """
    own_N1 = probabilities_NK[np.arange(len(labels_N)), labels_N][:, None]
    earlier_NK = np.arange(probabilities_NK.shape[1]) < labels_N[:, None]
    before_NK = (probabilities_NK > own_N1) | ((probabilities_NK == own_N1) & earlier_NK)
    return float((before_NK.sum(1) < first).mean())


def reliability(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> Reliability:
    """Return confidence and accuracy in `bins` bins of the largest probability: (0, 1/bins], ..., (1 - 1/bins, 1]."""
    confidence_N, correct_N, bin_N = _binned(probabilities_NK, labels_N, bins)
    count_B = np.bincount(bin_N, minlength=bins).astype(np.int64)
    confidence_B, accuracy_B = (_ratio(np.bincount(bin_N, x_N, bins), count_B) for x_N in (confidence_N, correct_N))
    return Reliability(confidence_B, accuracy_B, count_B)


def ece(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> float:
    """Return the expected calibration error, 0 to 1: the mean gap of confidence and accuracy over `reliability` bins.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, arXiv 1706.04599.
    """
    return reliability(probabilities_NK, labels_N, bins).ece


def balanced_ece(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int = BINS) -> float:
    """Return the class-balanced expected calibration error, 0 to 1: `ece` with the same total weight for each class.

    A face whose true class has n faces weighs 1 / (n * number of classes with faces). In each bin of `reliability` the
    weighted mean confidence is compared with the weighted accuracy; the absolute differences are averaged by the
    weights of the bins. With equally many faces in each class it equals `ece`.
    """
    confidence_N, correct_N, bin_N = _binned(probabilities_NK, labels_N, bins)
    faces_K = np.bincount(labels_N)
    weight_N = 1 / (np.count_nonzero(faces_K) * faces_K[labels_N])
    return float(np.abs(np.bincount(bin_N, weight_N * (correct_N - confidence_N), bins)).sum())


def risk_at_coverage(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints) -> Floats:
    """Return the risk-coverage curve: the error rate on the 1, 2, ..., N most confident faces, float64 [N].

    Confidence is the largest probability. Faces of equal confidence count as their mean. The mean of the curve is the
    area under it (AURC), 0 for a model without mistakes; the smaller it is, the better confidence separates correct
    predictions from mistakes.

    Source: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", arXiv 1705.08500.
    """
    confidence_N = probabilities_NK.max(1)
    wrong_N = (probabilities_NK.argmax(1) != labels_N).astype(np.float64)
    _, group_N, faces_G = np.unique(-confidence_N, return_inverse=True, return_counts=True)
    wrong_G = np.bincount(group_N, wrong_N) / faces_G
    risk_N: Floats = np.repeat(wrong_G, faces_G).cumsum() / np.arange(1, len(confidence_N) + 1)
    return risk_N


def _binned(probabilities_NK: NDArray[np.floating[Any]], labels_N: Ints, bins: int) -> tuple[Floats, Floats, Ints]:
    """Return for each face its confidence, 1 if it is correct or 0, and its bin of `reliability`, [N] each."""
    confidence_N: Floats = probabilities_NK.max(1).astype(np.float64)
    correct_N: Floats = (probabilities_NK.argmax(1) == labels_N).astype(np.float64)
    bin_N: Ints = np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)
    return confidence_N, correct_N, bin_N


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """Return numerator / denominator, and 0 where the denominator is 0."""
    zeros = np.zeros(len(numerator), np.float64)
    result: Floats = np.divide(numerator, denominator, out=zeros, where=denominator != 0)
    return result
