"""Temperature scaling.

The logits of a model are divided by a temperature before the softmax. A temperature above 1 lowers the confidence, one
below 1 raises it; the predicted class does not change. N faces, K classes. `log_p` are log-probabilities, or logits,
which differ from them by a constant per face.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.metrics import MIN_PROBABILITY, Floats, Ints

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0  # the range that is searched
MIN_FACES = 200  # with fewer faces a fitted temperature is mostly chance, and 1 is used instead
FOLDS = 5
_PRECISION = 1e-9  # of the logarithm of the temperature


def fit_temperature(log_p_NK: NDArray[np.floating[Any]], labels_N: NDArray[np.integer[Any]]) -> float:
    """Return the temperature that minimizes the log loss, to 1e-6.

    The log loss is convex in 1 / temperature, so the zero of its derivative is found by bisection. The optimum is 0 for
    a model that predicts every face correctly and infinity for a model without information; such models get
    `MIN_TEMPERATURE` and `MAX_TEMPERATURE`.

    Args:
        log_p_NK: Logits or log-probabilities [N,K], finite, N >= 1.
        labels_N: True class indices, int [N].

    Example:
        Three of four predictions with 90 % confidence are correct; the right confidence is 75 %.

        >>> log_p = np.log([[0.9, 0.1]] * 4)
        >>> round(fit_temperature(log_p, np.array([0, 0, 0, 1])), 3)
        2.0
    """
    exact_NK: Floats = np.asarray(log_p_NK, np.float64)
    own_N = exact_NK[np.arange(len(labels_N)), labels_N]

    def derivative(temperature: float) -> float:
        """Return the derivative of the log loss with respect to 1 / temperature."""
        return float(((_softmax(exact_NK / temperature) * exact_NK).sum(1) - own_N).mean())

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if derivative(math.exp(middle)) > 0:  # overconfident: 1 / temperature must fall
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def apply(p_NK: NDArray[np.floating[Any]], temperature: float | Floats) -> Floats:
    """Return probabilities [N,K] whose logits are divided by `temperature`.

    Args:
        p_NK: Probabilities [N,K].
        temperature: One temperature for all faces, or one per face [N].
    """
    return _softmax(log_probabilities(p_NK) / np.reshape(temperature, (-1, 1)))


def log_probabilities(p_NK: NDArray[np.floating[Any]]) -> Floats:
    """Return the logarithms of probabilities, clipped below at `metrics.MIN_PROBABILITY`, float64 [N,K]."""
    log_p_NK: Floats = np.log(np.maximum(np.asarray(p_NK, np.float64), MIN_PROBABILITY))
    return log_p_NK


def cross_fitted_temperatures(
    log_p_NK: NDArray[np.floating[Any]], labels_N: NDArray[np.integer[Any]], folds: int = FOLDS
) -> Floats:
    """Return for each face the temperature fitted on the other folds, float64 [N].

    The folds are parts of a fixed permutation of the rows, so the same faces in the same order get the same folds. With
    fewer faces than folds each face is a fold; a single face gets the temperature fitted on itself.

    Args:
        log_p_NK: Logits or log-probabilities [N,K].
        labels_N: True class indices, int [N].
        folds: Number of folds.
    """
    n = len(labels_N)
    # NumPy guarantees the stream of RandomState, but not that of newer generators.
    fold_N = np.random.RandomState(0).permutation(n) % folds
    temperature_N = np.empty(n)
    for fold in range(min(folds, n)):
        in_fold_N = fold_N == fold
        others_N = ~in_fold_N if n > 1 else in_fold_N
        temperature_N[in_fold_N] = fit_temperature(log_p_NK[others_N], labels_N[others_N])
    return temperature_N


def cross_fitted_ece(
    log_p_NK: NDArray[np.floating[Any]],
    labels_N: Ints,
    folds: int = FOLDS,
    *,
    error: Callable[[Floats, Ints], float] = metrics.ece,
) -> float:
    """Return the calibration error after temperature scaling, cross-fitted.

    A temperature fitted and evaluated on the same faces gives an error that is too small, so each fold is evaluated at
    the temperature fitted on the other folds.

    Args:
        log_p_NK: Logits or log-probabilities [N,K].
        labels_N: True class indices, int [N].
        folds: Number of folds.
        error: `metrics.ece` or `metrics.balanced_ece`.
    """
    temperature_N = cross_fitted_temperatures(log_p_NK, labels_N, folds)
    return error(_softmax(np.asarray(log_p_NK, np.float64) / temperature_N[:, None]), labels_N)


def _softmax(logits_NK: Floats) -> Floats:
    raised_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
    p_NK: Floats = raised_NK / raised_NK.sum(1, keepdims=True)
    return p_NK
