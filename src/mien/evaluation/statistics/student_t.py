"""Quantiles of the normal and of Student's t distribution."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300  # avoids a division by zero in the continued fraction
_TERMS = 10_000  # the fraction needs about sqrt(df) terms
_NORMAL_FROM_DF = 1e7  # degrees of freedom from which t and normal agree to seven digits


def normal_quantile(p: float) -> float:
    """Return the quantile of the standard normal distribution at probability `p`, 0 < p < 1."""
    return NormalDist().inv_cdf(p)


def t_cdf(t: float, df: float) -> float:
    """Return the cumulative distribution function of Student's t with `df` degrees of freedom (> 0, may be fractional).

    Source: Abramowitz and Stegun (1964), 26.7.1, by the incomplete beta function.
    """
    tail = 0.5 * _incomplete_beta(df / (df + t * t), df / 2, 0.5)
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Return the quantile of Student's t with `df` degrees of freedom at probability `p`, by bisection.

    Raises:
        ValueError: `p` is outside (0, 1) or `df` is not above 0.

    Example:
        >>> print(f"{t_quantile(0.975, df=2):.4f}")
        4.3027
    """
    if not (0 < p < 1 and df > 0):
        raise ValueError(f"needs 0 < p < 1 and df > 0, got p={p} and df={df}")
    if df > _NORMAL_FROM_DF:
        return normal_quantile(p)
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 2.0
    while t_cdf(high, df) < p:
        low, high = high, 2 * high
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), 0 <= x <= 1 (NIST DLMF 8.17.22 and 8.17.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)  # the fraction converges fast there
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return math.exp(log_front) / _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction 1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by Lentz's method (1976)."""
    f = c = 1.0
    d = 0.0
    for i in range(1, _TERMS):
        m = i // 2
        if i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        f *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return f
