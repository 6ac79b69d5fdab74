"""Learning-rate schedules."""

from __future__ import annotations

import pytest

from mien.train.optim.schedule import SCHEDULES, learning_rate


def rates(schedule: str, warm: int = 0, whole: int = 4) -> list[float]:
    return [learning_rate(schedule, 0.8, step, warmup_steps=warm, total_steps=whole) for step in range(whole)]


def test_learning_rate_of_each_schedule() -> None:
    assert rates("constant") == [0.8, 0.8, 0.8, 0.8]
    assert rates("triangular") == pytest.approx([0.8, 0.6, 0.4, 0.2])
    # Half a cosine at 0, 45, 90 and 135 degrees.
    assert rates("cosine") == pytest.approx([0.8, 0.4 * (1 + 0.5**0.5), 0.4, 0.4 * (1 - 0.5**0.5)])


def test_learning_rate_warms_up_linearly() -> None:
    assert rates("constant", warm=4, whole=6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert rates("triangular", warm=2, whole=6) == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_learning_rate_is_positive_and_at_most_peak(schedule: str) -> None:
    assert all(0 < r <= 0.8 for r in rates(schedule, warm=13, whole=100))
