"""Confidence intervals over seeds and faces.

A study measures a value v[s, i] for each of S seeds and each of N faces: whether the prediction is correct, or the
difference of two arms of the same seed on the face. A repeated study would draw other seeds *and* other faces, so an
interval for it has to cover both. With D_s the mean over faces, d_i the mean over seeds and e the residual
v[s, i] - D_s - d_i + mean, the variance of the grand mean has two independent parts:

    A = s²(D)/S                     variance from the seeds, including the noise of a seed on a face
    F = s²(d)/N - s²(e)/(SN)        variance that the faces add (0 if the estimate is negative)

The interval is mean ± sqrt(t²A + u²F), where t and u are quantiles of Student's t with S - 1 and N - 1 degrees of
freedom. This is Banerjee's interval (1960, Sankhya 22:357). Its coverage is at least the nominal level: the probability
that a squared normal is below x is concave in x, so the probability for a mixture of t²A and u²F is at least the
mixture of the two probabilities, each of which is the level. The usual sum with Satterthwaite's degrees of freedom is
narrower, but its coverage is too low at three seeds. `experiments/verdict_coverage.py` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics.student_t import normal_quantile, t_quantile

LEVEL = 0.95
BOTH, FACES, SEEDS = "seeds and faces", "faces only", "seeds only"


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: Mean over seeds and faces.
        low, high: Ends of the interval, in the unit of `mean`.
        covers: Sources of variance in the interval: `seeds and faces`, `faces only` or `seeds only`.
        se_seeds, se_faces: Standard errors from seeds and from faces; 0 where not covered.
        level: Confidence level, 0 to 1.
    """

    mean: float
    low: float
    high: float
    covers: str
    se_seeds: float
    se_faces: float
    level: float = LEVEL

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> Mapping[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def two_way_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """Return the interval of the mean over seeds and faces.

    Args:
        values_SN: One value per seed and face, [S,N], S >= 2 and N >= 2.
        level: Confidence level, 0 to 1.

    Raises:
        ValueError: Fewer than two seeds or two faces, which give no variance.

    Example:
        >>> interval = two_way_interval(np.array([[0.0, 4.0], [3.0, 3.0], [6.0, 8.0]]))
        >>> interval.mean, interval.covers
        (4.0, 'seeds and faces')
    """
    s, n = _shape(values_SN, seeds=2)
    mean, mean_S, mean_N = float(values_SN.mean()), values_SN.mean(1), values_SN.mean(0)
    squares = float(np.square(values_SN, dtype=np.float64).sum()) - s * n * mean**2
    residual = squares - n * float(np.square(mean_S - mean).sum()) - s * float(np.square(mean_N - mean).sum())
    own_faces = _variance_of_mean(mean_N) - residual / ((s - 1) * (n - 1) * s * n)
    return _interval(mean, _variance_of_mean(mean_S), s - 1, max(0.0, own_faces), n - 1, BOTH, level)


def faces_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """Return the interval for these seeds, which covers the draw of faces only; values_SN [S,N], N >= 2."""
    _, n = _shape(values_SN, seeds=1)
    return _interval(float(values_SN.mean()), 0.0, 1, _variance_of_mean(values_SN.mean(0)), n - 1, FACES, level)


def seeds_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """Return the interval for these faces, which covers the draw of seeds only; values_SN [S,N], S >= 2."""
    s, _ = _shape(values_SN, seeds=2)
    return _interval(float(values_SN.mean()), _variance_of_mean(values_SN.mean(1)), s - 1, 0.0, 1, SEEDS, level)


def wilson_interval(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, within [0, 1].

    Source: Wilson (1927), J. Am. Stat. Assoc. 22:209.

    Args:
        successes: Number of successes, 0 to `n`.
        n: Number of trials.
        level: Confidence level, 0 to 1.

    Raises:
        ValueError: `n` is below 1, or `successes` is outside 0 to `n`.

    Example:
        >>> low, high = wilson_interval(81, 263)
        >>> print(f"{low:.4f} to {high:.4f}")
        0.2553 to 0.3662
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"needs n >= 1 and 0 <= successes <= n, got {successes} of {n}")
    z = normal_quantile(0.5 + level / 2)
    p, z2n = successes / n, z * z / n
    centre = (p + z2n / 2) / (1 + z2n)
    half = z / (1 + z2n) * math.sqrt(p * (1 - p) / n + z2n / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _interval(
    mean: float, var_seeds: float, df_seeds: int, var_faces: float, df_faces: int, covers: str, level: float
) -> Interval:
    t, u = (t_quantile(0.5 + level / 2, df) for df in (df_seeds, df_faces))
    half = math.sqrt(t * t * var_seeds + u * u * var_faces)
    return Interval(mean, mean - half, mean + half, covers, math.sqrt(var_seeds), math.sqrt(var_faces), level)


def _variance_of_mean(x: NDArray[np.floating[Any]]) -> float:
    return float(x.var(ddof=1)) / len(x)


def _shape(values_SN: NDArray[Any], seeds: int) -> tuple[int, int]:
    if values_SN.ndim != 2 or values_SN.shape[0] < seeds or values_SN.shape[1] < 2:
        raise ValueError(f"needs values [S,N] with S >= {seeds} and N >= 2, got {list(values_SN.shape)}")
    return values_SN.shape[0], values_SN.shape[1]
