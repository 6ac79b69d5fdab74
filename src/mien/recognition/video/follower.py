"""Face following: full detection now and then, local detection in between.

A search of the whole frame costs as much as decoding it. While everyone is found in a small window around the place
where they are expected, such searches are needed for newcomers alone.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection, iou
from mien.recognition.video.tracker import Tracker

SEARCH = 0.5  # seconds between searches of the whole frame: a newcomer is seen that much late, at most
WINDOW = 2.0  # a window's side, in longer sides of the face
WINDOW_PIXELS = 96  # a window's side as the detector looks at it
_KEEP = 0.3  # the least IoU of a face with where it was expected; less is another face
_TWICE = 0.6  # from this IoU on two windows have found the same face
# A cut: of small copies of two frames, more than half differs by so many levels, and they hardly correlate. So it is
# neither somebody who comes near, which leaves the rest as it was, nor a flash, which leaves light and dark apart.
_SMALL, _LEVELS, _SHARE, _ALIKE = (32, 18), 12, 0.5, 0.5

Pixels = NDArray[np.uint8]
Detect = Callable[[Pixels], tuple[Detection, ...]]


class Follower:
    """Finds everyone in one frame after another and tells who they are.

    Attributes:
        searches: how often a whole frame was searched.
        looks: frames so far.
    """

    def __init__(self, whole: Detect, near: Detect | None) -> None:
        """Begin with nobody.

        Args:
            whole: finds the faces of a frame.
            near: finds those of a window cut out of one; None searches every frame.
        """
        self._whole, self._near = whole, near
        self._tracker = Tracker()
        self._searched = -np.inf
        self._small: Pixels | None = None
        self.searches = self.looks = 0

    @property
    def persons(self) -> frozenset[int]:
        """Who is there or may come back."""
        return frozenset(track.person for track in self._tracker.tracks)

    def look(self, image_HW3: Pixels, time: float) -> tuple[tuple[int, Detection], ...]:
        """Each face in a BGR frame that is shown at `time`, from left to right, with the number of its person."""
        self.looks += 1
        if self._is_cut(image_HW3):
            self._tracker.cut()
            self._searched = -np.inf
        found = self._nearby(image_HW3, time)
        if found is None:
            found = self._whole(image_HW3)
            self._searched = time
            self.searches += 1
        found = tuple(sorted(found, key=lambda one: (one.box.left, one.box.top)))
        return tuple(zip(self._tracker.update([one.box for one in found], time), found, strict=True))

    def _nearby(self, image_HW3: Pixels, time: float) -> tuple[Detection, ...] | None:
        """Everyone, found near where they were; None where the whole frame must be searched."""
        tracks = self._tracker.tracks
        if self._near is None or time - self._searched >= SEARCH or any(track.missed for track in tracks):
            return None
        found: list[Detection] = []
        for track in tracks:
            one = self._in_window(image_HW3, track.at(time))
            if one is None or any(iou(one.box, other.box) >= _TWICE for other in found):
                return None
            found.append(one)
        return tuple(found)

    def _in_window(self, image_HW3: Pixels, expected: Box) -> Detection | None:
        """The face that is expected there; None where it is not."""
        assert self._near is not None
        left, top, right, bottom = _window(image_HW3, expected)
        if right - left < 2 or bottom - top < 2:
            return None
        small_HW3, times = _shrunk(image_HW3[top:bottom, left:right])
        there = [_moved(one, left, top, times) for one in self._near(small_HW3)]
        best = max(there, key=lambda one: iou(one.box, expected), default=None)
        return best if best is not None and iou(best.box, expected) >= _KEEP else None

    def _is_cut(self, image_HW3: Pixels) -> bool:
        """Whether this frame shows another scene than the one before."""
        step = max(1, min(image_HW3.shape[:2]) // 45)
        rough = np.ascontiguousarray(image_HW3[::step, ::step])
        small = cv2.cvtColor(cv2.resize(rough, _SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        before, self._small = self._small, np.asarray(small, np.uint8)
        if before is None:
            return False
        changed = np.count_nonzero(cv2.absdiff(before, self._small) > _LEVELS)
        if changed < _SHARE * before.size:
            return False
        a, b = before - before.mean(), self._small - self._small.mean()
        return bool((a * b).sum() < _ALIKE * np.sqrt((a * a).sum() * (b * b).sum()))


def _window(image_HW3: Pixels, box: Box) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a square around `box`, moved into the image; smaller where that is."""
    high, wide = image_HW3.shape[:2]
    side = round(WINDOW * max(box.width, box.height))
    left = round(min(max(box.left + box.width / 2 - side / 2, 0), max(wide - side, 0)))
    top = round(min(max(box.top + box.height / 2 - side / 2, 0), max(high - side, 0)))
    return left, top, min(left + side, wide), min(top + side, high)


def _shrunk(window_HW3: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """The window at `WINDOW_PIXELS`, and how many of its columns and rows became one.

    First by a whole number, which OpenCV does quickly, then by what is left: several times as fast as in one step.
    """
    high, wide = window_HW3.shape[:2]
    whole = max(high, wide) // WINDOW_PIXELS
    if whole < 1 or max(high, wide) == WINDOW_PIXELS:
        return window_HW3, (1.0, 1.0)
    small = window_HW3
    if whole > 1:
        high, wide = high // whole * whole, wide // whole * whole  # a few pixels at the rim are left out
        size = (wide // whole, high // whole)
        small = np.asarray(cv2.resize(window_HW3[:high, :wide], size, interpolation=cv2.INTER_AREA), np.uint8)
    left_over = max(small.shape[:2]) / WINDOW_PIXELS
    if left_over > 1:
        size = (max(1, round(small.shape[1] / left_over)), max(1, round(small.shape[0] / left_over)))
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return small, (wide / small.shape[1], high / small.shape[0])


def _moved(one: Detection, left: int, top: int, times: tuple[float, float]) -> Detection:
    """What was found in a shrunk window, in pixels of the frame."""
    across, down = times
    box = Box(left + across * one.box.left, top + down * one.box.top, across * one.box.width, down * one.box.height)
    return Detection(box, one.score, tuple((left + across * x, top + down * y) for x, y in one.landmarks))
