"""Temperature scaling.

A model's logits are divided by a temperature before the softmax: above 1 it becomes less sure, below 1 surer, and what
it tells stays the same. N faces, K classes; `log_p` are logarithms of probabilities, or logits, which are those up to a
constant per face.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.metrics import LEAST, Floats, Ints

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0  # the temperatures that are looked at
FOLDS = 5
_PRECISION = 1e-9  # of the logarithm of the temperature


def fit_temperature(log_p_NK: NDArray[np.floating[Any]], labels_N: NDArray[np.integer[Any]]) -> float:
    """The temperature at which the true classes are likeliest, to 1e-6.

    The mean negative log likelihood is convex in one over the temperature, so where its slope is 0 is found by halving.
    A model that is right about every face would be likeliest at 0, one that knows nothing at infinity: such a model
    gets `MIN_TEMPERATURE` or `MAX_TEMPERATURE`.

    Args:
        log_p_NK: logits or log-probabilities, finite, N >= 1.
        labels_N: the true classes.
    """
    exact_NK: Floats = np.asarray(log_p_NK, np.float64)
    own_N = exact_NK[np.arange(len(labels_N)), labels_N]

    def slope(temperature: float) -> float:
        """Of the negative log likelihood by one over the temperature."""
        return float(((_softmax(exact_NK / temperature) * exact_NK).sum(1) - own_N).mean())

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if slope(math.exp(middle)) > 0:  # too sure: one over the temperature must fall
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def apply(p_NK: NDArray[np.floating[Any]], temperature: float | Floats) -> Floats:
    """Probabilities [N,K] with their logits divided by `temperature`, one for all faces or one each, [N]."""
    return _softmax(log_probabilities(p_NK) / np.reshape(temperature, (-1, 1)))


def log_probabilities(p_NK: NDArray[np.floating[Any]]) -> Floats:
    """Logarithms of probabilities, lifted to `metrics.LEAST` first."""
    log_p_NK: Floats = np.log(np.maximum(np.asarray(p_NK, np.float64), LEAST))
    return log_p_NK


def cross_fitted_temperatures(
    log_p_NK: NDArray[np.floating[Any]], labels_N: NDArray[np.integer[Any]], folds: int = FOLDS
) -> Floats:
    """For each face the temperature that was fitted without the fold that it lies in, float64 [N].

    The folds are parts of one fixed permutation of the rows, so the same faces in the same order fall alike; where
    there are fewer faces than folds, each face is a fold, and a single face gets its own temperature.
    """
    n = len(labels_N)
    # RandomState's stream is frozen by numpy's policy, that of newer generators is not.
    fold_N = np.random.RandomState(0).permutation(n) % folds
    temperature_N = np.empty(n)
    for fold in range(min(folds, n)):
        held_N = fold_N == fold
        others_N = ~held_N if n > 1 else held_N
        temperature_N[held_N] = fit_temperature(log_p_NK[others_N], labels_N[others_N])
    return temperature_N


def cross_fitted_ece(
    log_p_NK: NDArray[np.floating[Any]],
    labels_N: Ints,
    folds: int = FOLDS,
    *,
    error: Callable[[Floats, Ints], float] = metrics.ece,
) -> float:
    """Expected calibration error, each fold of the faces at the temperature that the others give it.

    A temperature that is fitted and judged on the same faces looks better than it is. `error` is `metrics.ece` or
    `metrics.balanced_ece`.
    """
    temperature_N = cross_fitted_temperatures(log_p_NK, labels_N, folds)
    return error(_softmax(np.asarray(log_p_NK, np.float64) / temperature_N[:, None]), labels_N)


def _softmax(logits_NK: Floats) -> Floats:
    raised_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
    p_NK: Floats = raised_NK / raised_NK.sum(1, keepdims=True)
    return p_NK
