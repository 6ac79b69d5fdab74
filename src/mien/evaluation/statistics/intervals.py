"""Confidence intervals over seeds and faces.

A study measures, for each of S seeds and each of N faces, some figure v[s, i]: whether the model was right, or by how
much two arms of the same seed differ on the face. Another study would draw other seeds *and* other faces, so an
interval that speaks about the next study has to cover both draws. With D_s the mean over faces, d_i the mean over
seeds and e the residual v[s, i] - D_s - d_i + mean, the variance of the grand mean has two independent parts:

    A = s²(D)/S                     what the draw of seeds brings, the noise peculiar to a seed on a face included
    F = s²(d)/N - s²(e)/(SN)        what the draw of faces adds to it (0 where the estimate falls below)

and the interval is mean ± sqrt(t²A + u²F), with t and u the quantiles of Student's t for S - 1 and N - 1 degrees of
freedom. That is Banerjee's interval (1960, Sankhya 22:357) and it holds the truth at least as often as it says: the
chance that a squared normal stays below x is concave in x, so the chance for a mixture of t²A and u²F is no less than
the mixture of the two chances, each of which is the level. The usual sum with Satterthwaite's degrees of freedom is
narrower, but falls short at three seeds. `experiments/verdict_coverage.py` measures both.
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
    """A mean with the range that holds the truth in `level` of all studies.

    Attributes:
        mean: over seeds and faces.
        low, high: the ends, in the unit of `mean`.
        covers: which draws the interval accounts for: `seeds and faces`, `faces only` or `seeds only`.
        se_seeds, se_faces: the standard errors that the two draws contribute; 0 where not accounted for.
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
        """The fields as JSON types."""
        return asdict(self)


def two_way_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """The interval that covers the draw of seeds and the draw of faces.

    Args:
        values_SN: one figure per seed and face, [S,N], S >= 2 and N >= 2.

    Raises:
        ValueError: fewer than two seeds or two faces: nothing says then how much that draw matters.
    """
    s, n = _shape(values_SN, seeds=2)
    mean, mean_S, mean_N = float(values_SN.mean()), values_SN.mean(1), values_SN.mean(0)
    squares = float(np.square(values_SN, dtype=np.float64).sum()) - s * n * mean**2
    residual = squares - n * float(np.square(mean_S - mean).sum()) - s * float(np.square(mean_N - mean).sum())
    own_faces = _variance_of_mean(mean_N) - residual / ((s - 1) * (n - 1) * s * n)
    return _interval(mean, _variance_of_mean(mean_S), s - 1, max(0.0, own_faces), n - 1, BOTH, level)


def faces_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """The interval for these very seeds: it covers the draw of faces alone. values_SN: [S,N], N >= 2."""
    _, n = _shape(values_SN, seeds=1)
    return _interval(float(values_SN.mean()), 0.0, 1, _variance_of_mean(values_SN.mean(0)), n - 1, FACES, level)


def seeds_interval(values_SN: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], level: float = LEVEL) -> Interval:
    """The interval for these very faces: it covers the draw of seeds alone. values_SN: [S,N], S >= 2."""
    s, _ = _shape(values_SN, seeds=2)
    return _interval(float(values_SN.mean()), _variance_of_mean(values_SN.mean(1)), s - 1, 0.0, 1, SEEDS, level)


def wilson_interval(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a proportion of `n` faces, within [0, 1].

    Source: Wilson (1927), J. Am. Stat. Assoc. 22:209.

    Raises:
        ValueError: `n` below 1, or `successes` outside 0 to `n`.
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
