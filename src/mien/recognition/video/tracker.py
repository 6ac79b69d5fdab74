"""Tracking of persons by box overlap, and smoothing of probabilities.

A person keeps a number while the boxes of consecutive analyzed frames overlap and the face does not change abruptly.
Times are in seconds, so the frame rate may vary.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, iou
from mien.errors import MienError
from mien.recognition.results import SMOOTH

MIN_IOU = 0.2  # of two boxes of one person; a movement by half the width of a box leaves 0.33
# Correlation of two thumbnails of one face, at least; below it, another face has appeared. Two thumbnails of different
# persons correlate by 0.1 in the median, and of one person by more than 0.3, if the boxes differ by up to a tenth.
MIN_SIMILARITY, MIN_SIMILARITY_IN_PLACE = 0.3, 0.0
PLACE_IOU = 0.5  # of two boxes at the same place and of the same size
MAX_GAP = 0.5  # seconds for which a person may be missing
MAX_MISSED_FRAMES = 2  # analyzed frames in which a person may be missing, however far apart they are


@dataclass(frozen=True)
class Track:
    """State of one person.

    Attributes:
        person: Number of the person, from 1.
        box: Last box of the face.
        last_seen: Time of that box, in seconds.
        missed: Number of analyzed frames since then.
        velocity: Velocity of the box center, pixels per second to the right and down.
        thumbnail: Normalized pixels of the face, float32 [P], whose products are correlations; None if it has no
            contrast.

    Example:
        >>> Track(1, Box(10, 20, 30, 40), last_seen=0.0, velocity=(100.0, 0.0)).predict(0.1).left
        20.0
    """

    person: int
    box: Box
    last_seen: float
    missed: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)
    thumbnail: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def predict(self, time: float) -> Box:
        """Return the expected box at a time: the last box, moved at its velocity for at most `MAX_GAP` seconds."""
        elapsed = min(max(time - self.last_seen, 0.0), MAX_GAP)
        left, top = self.box.left + self.velocity[0] * elapsed, self.box.top + self.velocity[1] * elapsed
        return replace(self.box, left=left, top=top)

    def may_be(self, overlap: float, thumbnail: NDArray[np.float32] | None, time: float) -> bool:
        """Return whether a face may be that of the person: its place, size and appearance do not change abruptly.

        Args:
            overlap: Intersection over union of its box with the expected one.
            thumbnail: Its thumbnail.
            time: Time in seconds; after more than `MAX_GAP` seconds the appearance may have changed.
        """
        if overlap < MIN_IOU:
            return False
        if thumbnail is None or self.thumbnail is None or time - self.last_seen > MAX_GAP:
            return True
        least = MIN_SIMILARITY if overlap < PLACE_IOU else MIN_SIMILARITY_IN_PLACE
        return float(thumbnail @ self.thumbnail) >= least

    def updated(self, box: Box, time: float, thumbnail: NDArray[np.float32] | None = None) -> Track:
        """Return the track with a new box; the velocity is the mean of the old one and that of the last step."""
        elapsed = time - self.last_seen
        if elapsed <= 0:
            return replace(self, box=box, missed=0, thumbnail=thumbnail)
        step_x = (box.left + box.right - self.box.left - self.box.right) / 2 / elapsed
        step_y = (box.top + box.bottom - self.box.top - self.box.bottom) / 2 / elapsed
        velocity = ((self.velocity[0] + step_x) / 2, (self.velocity[1] + step_y) / 2)
        return replace(self, box=box, last_seen=time, missed=0, velocity=velocity, thumbnail=thumbnail)


def is_lost(seconds: float, frames: int) -> bool:
    """Return whether a person missing for so many seconds and analyzed frames gets a new number on return.

    Example:
        >>> is_lost(0.4, 10), is_lost(10.0, 2), is_lost(0.6, 3)
        (False, False, True)
    """
    return seconds > MAX_GAP and frames > MAX_MISSED_FRAMES


class Tracker:
    """Assigns a person number to each face box.

    Expected and detected boxes are matched greedily, the pair with the highest intersection over union first, down to
    `MIN_IOU`. A detected box without a match is a new person, and so is a face whose appearance changes abruptly. A
    person missing for more than `MAX_GAP` seconds and `MAX_MISSED_FRAMES` analyzed frames is lost and gets a new number
    on return.

    Example:
        >>> tracker = Tracker()
        >>> tracker.update([Box(0, 0, 50, 50), Box(200, 0, 50, 50)], time=0.0)
        (1, 2)
        >>> tracker.update([Box(205, 0, 50, 50)], time=0.04)
        (2,)
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._person_count = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Tracks of all persons who are not lost, including those who are missing."""
        return tuple(self._tracks)

    @property
    def person_count(self) -> int:
        """Number of persons so far."""
        return self._person_count

    def update(
        self, boxes: Sequence[Box], time: float, thumbnails: Sequence[NDArray[np.float32] | None] = ()
    ) -> tuple[int, ...]:
        """Return the person number of each box.

        Args:
            boxes: Boxes of the detected faces in one frame.
            time: Time of the frame in seconds; times must not decrease.
            thumbnails: Thumbnail of each face, as in `Track`; without them, only the boxes are compared.
        """
        thumbnails = thumbnails or [None] * len(boxes)
        pairs = sorted(
            (
                (iou(track.predict(time), box), t, b)
                for t, track in enumerate(self._tracks)
                for b, box in enumerate(boxes)
            ),
            key=lambda pair: -pair[0],
        )
        track_of: dict[int, int] = {}  # index of the box -> index of the track
        for overlap, t, b in pairs:
            if overlap < MIN_IOU:
                break
            is_free = b not in track_of and t not in track_of.values()
            if is_free and self._tracks[t].may_be(overlap, thumbnails[b], time):
                track_of[b] = t
        matched = {t: self._tracks[t].updated(boxes[b], time, thumbnails[b]) for b, t in track_of.items()}
        tracks = [matched.get(t, replace(track, missed=track.missed + 1)) for t, track in enumerate(self._tracks)]
        people = []
        for b, box in enumerate(boxes):
            if b not in track_of:
                self._person_count += 1
                tracks.append(Track(self._person_count, box, time, thumbnail=thumbnails[b]))
            people.append(matched[track_of[b]].person if b in track_of else self._person_count)
        self._tracks = [t for t in tracks if not is_lost(time - t.last_seen, t.missed)]
        return tuple(people)

    def reset(self, tracks: Sequence[Track] = ()) -> None:
        """Forget all persons, at a scene change; their numbers are not used again.

        Args:
            tracks: Tracks with which to go on, after the return to an earlier scene.
        """
        self._tracks = list(tracks)


class Smoother:
    """Exponential smoothing of each person's probabilities over time.

    Probabilities from `seconds` ago have 1/e of the weight of those of now. The first ones of a person are unchanged.

    Args:
        seconds: Time constant in seconds; 0 does not smooth.

    Raises:
        MienError: `seconds` is negative or not a number.

    Example:
        >>> smoother = Smoother(0.5)
        >>> smoother.update(1, (1.0, 0.0), time=0.0)
        (1.0, 0.0)
        >>> [round(p, 2) for p in smoother.update(1, (0.0, 1.0), time=0.5)]
        [0.37, 0.63]
    """

    def __init__(self, seconds: float = SMOOTH) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise MienError(f"smooth must be a number of seconds, at least 0, got {seconds!r}")
        self._seconds = seconds
        self._states: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def update(self, person: int, probs_K: Sequence[float], time: float) -> tuple[float, ...]:
        """Return the smoothed probabilities of a person, which sum to 1, given those at `time` in seconds."""
        smoothed_K = np.asarray(probs_K, np.float64)
        if person in self._states and self._seconds > 0:
            last_time, last_K = self._states[person]
            weight = math.exp(-max(time - last_time, 0.0) / self._seconds)
            smoothed_K = weight * last_K + (1 - weight) * smoothed_K
        self._states[person] = (time, smoothed_K)
        return tuple(smoothed_K.tolist())

    def keep(self, people: Collection[int]) -> None:
        """Forget all other persons."""
        self._states = {person: state for person, state in self._states.items() if person in people}
