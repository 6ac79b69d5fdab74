"""Quantiles against printed tables and closed forms."""

import math

import pytest

from mien.evaluation.statistics.student_t import normal_quantile, t_cdf, t_quantile

# Any textbook's table of Student's t, two-sided 95 % and one-sided 95 %.
PRINTED = [
    (1, 12.7062, 6.3138), (2, 4.3027, 2.9200), (3, 3.1824, 2.3534), (4, 2.7764, 2.1318), (9, 2.2622, 1.8331),
    (30, 2.0423, 1.6973), (120, 1.9799, 1.6577), (1000, 1.9623, 1.6464),
]  # fmt: skip


@pytest.mark.parametrize(("df", "two_sided", "one_sided"), PRINTED)
def test_t_quantile_is_that_of_the_printed_table(df: float, two_sided: float, one_sided: float) -> None:
    assert t_quantile(0.975, df) == pytest.approx(two_sided, abs=6e-5)
    assert t_quantile(0.95, df) == pytest.approx(one_sided, abs=6e-5)
    assert t_quantile(0.025, df) == -t_quantile(0.975, df)


@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.9999])
def test_closed_forms_for_one_two_and_four_degrees_of_freedom(p: float) -> None:
    assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-8)
    assert t_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-8)
    a = 4 * p * (1 - p)
    q = math.cos(math.acos(math.sqrt(a)) / 3) / math.sqrt(a)
    assert t_quantile(p, 4) == pytest.approx(2 * math.sqrt(q - 1), rel=1e-8)


@pytest.mark.parametrize("df", [0.7, 2.5, 3.37, 47.2, 3588.4])
def test_fractional_degrees_of_freedom_invert_the_density(df: float) -> None:
    """The area under the density, by Simpson's rule, up to the quantile."""
    t = t_quantile(0.9, df)
    front = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    n = 2000
    heights = [front * (1 + (t * i / n) ** 2 / df) ** (-(df + 1) / 2) for i in range(n + 1)]
    area = t / n / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))
    assert area == pytest.approx(0.4, abs=1e-8)
    assert t_cdf(t, df) == pytest.approx(0.9, abs=1e-9)


def test_many_degrees_of_freedom_are_normal() -> None:
    assert normal_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)
    assert t_quantile(0.975, 9e6) == pytest.approx(normal_quantile(0.975), abs=1e-6)
    assert t_quantile(0.975, math.inf) == normal_quantile(0.975)
    assert t_quantile(0.5, 3) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("p", "df"), [(0, 3), (1, 3), (0.5, 0)])
def test_quantile_of_invalid_arguments_raises(p: float, df: float) -> None:
    with pytest.raises(ValueError, match="needs 0 < p < 1"):
        t_quantile(p, df)
