"""Tracking through movement, crossings and gaps; smoothing by seconds, not frames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.detection.boxes import Box, iou
from mien.errors import MienError
from mien.recognition.video.tracker import MAX_GAP, Smoother, Tracker

RATE = 25.0


def at(x: float, y: float = 100, side: float = 50) -> Box:
    """Return a box around (x, y)."""
    return Box(x - side / 2, y - side / 2, side, side)


def track(boxes_by_frame: list[list[Box]], rate: float = RATE) -> list[tuple[int, ...]]:
    tracker = Tracker()
    return [tracker.update(boxes, i / rate) for i, boxes in enumerate(boxes_by_frame)]


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


def test_tracker_moving_growing_face_is_one_person() -> None:
    boxes_by_frame = [[at(100 + 8 * i, 100 + 3 * i, 50 + i)] for i in range(40)]
    assert set(track(boxes_by_frame)) == {(1,)}


def test_tracker_ignores_order_of_boxes() -> None:
    assert track([[at(100), at(300)], [at(302), at(101)]]) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("drop", [0, 10])
def test_tracker_crossing_persons_keep_numbers(drop: float) -> None:
    """They pass in front of each other; the one behind may stand a little lower."""
    boxes_by_frame = [[at(100 + 10 * i), at(400 - 10 * i, 100 + drop)] for i in range(31)]
    found = track(boxes_by_frame)
    assert set(found) == {(1, 2)}, found


def test_tracker_person_hidden_while_crossing() -> None:
    boxes_by_frame = []
    for i in range(31):
        a, b = at(100 + 10 * i), at(400 - 10 * i, 104)
        boxes_by_frame.append([a] if iou(a, b) > 0.3 else [a, b])
    assert any(len(boxes) == 1 for boxes in boxes_by_frame)
    found = track(boxes_by_frame)
    assert found[0] == found[-1] == (1, 2)
    assert {persons[0] for persons in found} == {1}


def test_tracker_short_and_long_gap() -> None:
    def back_after(frames: int) -> int:
        boxes_by_frame = [[at(100 + 5 * i)] for i in range(10)] + [[] for _ in range(frames)]
        return track([*boxes_by_frame, [at(100 + 5 * len(boxes_by_frame))]])[-1][0]

    assert back_after(int(MAX_GAP * RATE) - 2) == 1
    assert back_after(int(MAX_GAP * RATE) + 3) == 2


def test_tracker_gap_with_low_frame_rate() -> None:
    boxes_by_frame = [[at(100)], [], [at(100)], [], [], [], [at(100)]]
    assert [persons for persons in track(boxes_by_frame, rate=0.1) if persons] == [(1,), (1,), (2,)]


def test_tracker_new_person_elsewhere() -> None:
    boxes_by_frame = [[at(100)], [at(102)], [], [at(400)], [at(402)]]
    assert track(boxes_by_frame) == [(1,), (1,), (), (2,), (2,)]


def test_tracker_numbers_are_unique() -> None:
    tracker = Tracker()
    tracker.update([at(100)], 0.0)
    tracker.update([], 10.0)
    for i in range(3):
        tracker.update([], 10.1 + i)
    assert tracker.tracks == ()
    assert tracker.update([at(100)], 20.0) == (2,)
    assert tracker.person_count == 2


def test_tracker_reset_forgets_all() -> None:
    tracker = Tracker()
    assert tracker.update([at(100), at(300)], 0.0) == (1, 2)
    tracker.reset()
    assert tracker.update([at(100)], 0.04) == (3,)


def look(*values: float) -> np.ndarray:
    """Return a normalised thumbnail."""
    pixels = np.array(values, np.float32) - np.mean(values, dtype=np.float32)
    return pixels / np.linalg.norm(pixels)


ONE, SIMILAR, UNLIKE, OPPOSITE = look(0, 1, 2, 3), look(1, 0, 2, 3), look(1, 3, 0, 2), look(3, 2, 1, 0)


@pytest.mark.parametrize(
    ("box", "thumbnail", "later", "person"),
    [
        (at(120), SIMILAR, 0.04, 1),  # jumps, but looks the same
        (at(120), UNLIKE, 0.04, 2),  # place and appearance jump
        (at(100, side=80), UNLIKE, 0.04, 2),  # size and appearance jump
        (at(102), UNLIKE, 0.04, 1),  # turns at its place
        (at(102), OPPOSITE, 0.04, 2),  # another face at the same place
        (at(120), None, 0.04, 1),  # too dark to compare
        (at(120), UNLIKE, MAX_GAP + 0.1, 1),  # had time to turn
    ],
)
def test_tracker_jump_needs_new_appearance(box: Box, thumbnail: np.ndarray, later: float, person: int) -> None:
    assert ONE @ SIMILAR > 0.5 > 0.3 > ONE @ UNLIKE >= 0 > ONE @ OPPOSITE
    tracker = Tracker()
    assert tracker.update([at(100)], 0.0, [ONE]) == (1,)
    assert tracker.update([box], later, [thumbnail]) == (person,)


def test_tracker_box_has_one_person() -> None:
    found = track([[at(100), at(112)], [at(106)]])
    assert len(found[1]) == 1
    assert found[1][0] in (1, 2)


def test_tracker_repeated_time_velocity_is_finite() -> None:
    tracker = Tracker()
    assert tracker.update([at(100)], 1.0) == tracker.update([at(105)], 1.0) == (1,)
    assert all(map(math.isfinite, tracker.tracks[0].velocity))


def test_smoother_weights_by_seconds() -> None:
    """A step from the first class to the second, seen at three frame rates, one of them uneven."""
    results = []
    for times in ([0.0, 0.5, 1.0], [i / 30 for i in range(31)], [0.0, 0.05, 0.4, 0.41, 0.99, 1.0]):
        smoother = Smoother(0.5)
        assert smoother.update(1, (1.0, 0.0), -0.0) == (1.0, 0.0)
        for time in times[1:]:
            after = smoother.update(1, (0.0, 1.0), time)
        results.append(after)
    for after in results:
        assert after == pytest.approx((math.exp(-2), 1 - math.exp(-2)))


def test_smoother_keeps_sums_and_separates_persons() -> None:
    smoother = Smoother(1.0)
    smoother.update(1, (0.2, 0.8), 0.0)
    assert smoother.update(2, (0.9, 0.1), 0.1) == pytest.approx((0.9, 0.1))
    assert sum(smoother.update(1, (0.7, 0.3), 0.1)) == pytest.approx(1)
    smoother.keep({2})
    assert smoother.update(1, (0.5, 0.5), 0.2) == pytest.approx((0.5, 0.5))


def test_smoother_zero_seconds_is_identity() -> None:
    smoother = Smoother(0)
    smoother.update(1, (1.0, 0.0), 0.0)
    assert smoother.update(1, (0.0, 1.0), 0.04) == (0.0, 1.0)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_smoother_wrong_seconds_raises(seconds: float) -> None:
    with pytest.raises(MienError, match="number of seconds, at least 0"):
        Smoother(seconds)
