"""Persons keep their numbers through movement, crossings and gaps; smoothing counts seconds, not frames."""

from __future__ import annotations

import math

import pytest

from mien.detection.boxes import Box, iou
from mien.errors import MienError
from mien.recognition.video.tracker import GAP, Smoother, Tracker

RATE = 25.0


def at(x: float, y: float = 100, side: float = 50) -> Box:
    """A box around (x, y)."""
    return Box(x - side / 2, y - side / 2, side, side)


def persons_of(looks: list[list[Box]], rate: float = RATE) -> list[tuple[int, ...]]:
    tracker = Tracker()
    return [tracker.update(boxes, i / rate) for i, boxes in enumerate(looks)]


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10), 1.0),
        (Box(0, 0, 10, 10), Box(5, 0, 10, 10), 1 / 3),
        (Box(0, 0, 10, 10), Box(2, 2, 5, 5), 0.25),
        (Box(0, 0, 10, 10), Box(10, 0, 10, 10), 0.0),
        (Box(0, 0, 10, 10), Box(50, 50, 10, 10), 0.0),
    ],
)
def test_iou(a: Box, b: Box, share: float) -> None:
    assert iou(a, b) == pytest.approx(share)
    assert iou(b, a) == pytest.approx(share)


def test_one_who_moves_and_grows_is_one_person() -> None:
    looks = [[at(100 + 8 * i, 100 + 3 * i, 50 + i)] for i in range(40)]
    assert set(persons_of(looks)) == {(1,)}


def test_the_order_of_the_boxes_does_not_matter() -> None:
    assert persons_of([[at(100), at(300)], [at(302), at(101)]]) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("drop", [0, 10])
def test_two_who_cross_keep_their_numbers(drop: float) -> None:
    """They pass in front of each other; the one behind may stand a little lower."""
    looks = [[at(100 + 10 * i), at(400 - 10 * i, 100 + drop)] for i in range(31)]
    found = persons_of(looks)
    assert set(found) == {(1, 2)}, found


def test_one_hidden_while_they_cross_is_known_again() -> None:
    looks = []
    for i in range(31):
        a, b = at(100 + 10 * i), at(400 - 10 * i, 104)
        looks.append([a] if iou(a, b) > 0.3 else [a, b])
    assert any(len(boxes) == 1 for boxes in looks)
    found = persons_of(looks)
    assert found[0] == found[-1] == (1, 2)
    assert {persons[0] for persons in found} == {1}


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    def back_after(frames: int) -> int:
        looks = [[at(100 + 5 * i)] for i in range(10)] + [[] for _ in range(frames)]
        return persons_of([*looks, [at(100 + 5 * len(looks))]])[-1][0]

    assert back_after(int(GAP * RATE) - 2) == 1
    assert back_after(int(GAP * RATE) + 3) == 2


def test_far_apart_looks_have_gaps_too() -> None:
    looks = [[at(100)], [], [at(100)], [], [], [], [at(100)]]
    assert [persons for persons in persons_of(looks, rate=0.1) if persons] == [(1,), (1,), (2,)]


def test_someone_leaves_and_a_new_one_comes_elsewhere() -> None:
    looks = [[at(100)], [at(102)], [], [at(400)], [at(402)]]
    assert persons_of(looks) == [(1,), (1,), (), (2,), (2,)]


def test_numbers_are_not_given_twice() -> None:
    tracker = Tracker()
    tracker.update([at(100)], 0.0)
    tracker.update([], 10.0)
    for i in range(3):
        tracker.update([], 10.1 + i)
    assert tracker.tracks == ()
    assert tracker.update([at(100)], 20.0) == (2,)
    assert tracker.persons == 2


def test_after_a_cut_nobody_is_known() -> None:
    tracker = Tracker()
    assert tracker.update([at(100), at(300)], 0.0) == (1, 2)
    tracker.cut()
    assert tracker.update([at(100)], 0.04) == (3,)


def test_a_box_is_given_to_one_person_only() -> None:
    found = persons_of([[at(100), at(112)], [at(106)]])
    assert len(found[1]) == 1
    assert found[1][0] in (1, 2)


def test_a_repeated_time_moves_nobody_to_infinity() -> None:
    tracker = Tracker()
    assert tracker.update([at(100)], 1.0) == tracker.update([at(105)], 1.0) == (1,)
    assert all(map(math.isfinite, tracker.tracks[0].speed))


def test_smoothing_counts_seconds_not_frames() -> None:
    """A step from the first class to the second, seen at three frame rates, one of them uneven."""
    told = []
    for times in ([0.0, 0.5, 1.0], [i / 30 for i in range(31)], [0.0, 0.05, 0.4, 0.41, 0.99, 1.0]):
        smoother = Smoother(0.5)
        assert smoother.update(1, (1.0, 0.0), -0.0) == (1.0, 0.0)
        for time in times[1:]:
            after = smoother.update(1, (0.0, 1.0), time)
        told.append(after)
    for after in told:
        assert after == pytest.approx((math.exp(-2), 1 - math.exp(-2)))


def test_smoothing_keeps_sums_and_persons_apart() -> None:
    smoother = Smoother(1.0)
    smoother.update(1, (0.2, 0.8), 0.0)
    assert smoother.update(2, (0.9, 0.1), 0.1) == pytest.approx((0.9, 0.1))
    assert sum(smoother.update(1, (0.7, 0.3), 0.1)) == pytest.approx(1)
    smoother.keep({2})
    assert smoother.update(1, (0.5, 0.5), 0.2) == pytest.approx((0.5, 0.5))


def test_smoothing_over_no_time_changes_nothing() -> None:
    smoother = Smoother(0)
    smoother.update(1, (1.0, 0.0), 0.0)
    assert smoother.update(1, (0.0, 1.0), 0.04) == (0.0, 1.0)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_smoothing_over_no_number_of_seconds(seconds: float) -> None:
    with pytest.raises(MienError, match="number of seconds from 0 on"):
        Smoother(seconds)
