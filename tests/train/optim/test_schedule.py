"""The rate of each step, by hand."""

from __future__ import annotations

import pytest

from mien.train.optim.schedule import SCHEDULES, rate


def rates(schedule: str, warm: int = 0, whole: int = 4) -> list[float]:
    return [rate(schedule, 0.8, step, warm=warm, whole=whole) for step in range(whole)]


def test_each_schedule_by_hand() -> None:
    assert rates("constant") == [0.8, 0.8, 0.8, 0.8]
    assert rates("triangular") == pytest.approx([0.8, 0.6, 0.4, 0.2])
    # Half a cosine at 0, 45, 90 and 135 degrees.
    assert rates("cosine") == pytest.approx([0.8, 0.4 * (1 + 0.5**0.5), 0.4, 0.4 * (1 - 0.5**0.5)])


def test_warm_up_rises_in_equal_parts_and_the_schedule_begins_where_it_ends() -> None:
    assert rates("constant", warm=4, whole=6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert rates("triangular", warm=2, whole=6) == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_the_rate_is_never_above_its_peak_nor_0(schedule: str) -> None:
    assert all(0 < r <= 0.8 for r in rates(schedule, warm=13, whole=100))
