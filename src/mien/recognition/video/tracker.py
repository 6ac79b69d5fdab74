"""Tracking of persons by box overlap, and smoothing of probabilities.

A person keeps a number while the boxes of one look overlap those of the next. Times are in seconds, so that the frame
rate may vary; a *look* is a moment at which faces were searched.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, iou
from mien.errors import MienError
from mien.recognition.results import SMOOTH

OVERLAP = 0.2  # the least IoU at which two boxes may be of one person; half a box's width of movement leaves 0.33
GAP = 0.5  # seconds that a person may be hidden
MAX_MISSED_FRAMES = 2  # looks that a person may be hidden, however far apart they are


@dataclass(frozen=True)
class Track:
    """What is known of one person.

    Attributes:
        person: the number, from 1 on.
        box: where the face was last seen.
        seen: when, in seconds.
        missed: looks since then.
        speed: of the box's centre, pixels a second to the right and down.
    """

    person: int
    box: Box
    seen: float
    missed: int = 0
    speed: tuple[float, float] = (0.0, 0.0)

    def at(self, time: float) -> Box:
        """Where the face is expected: moved on at its speed, for at most `GAP` seconds."""
        prefetch = min(max(time - self.seen, 0.0), GAP)
        return replace(
            self.box, left=self.box.left + self.speed[0] * prefetch, top=self.box.top + self.speed[1] * prefetch
        )

    def met(self, box: Box, time: float) -> Track:
        """This person seen again in `box`; the speed is the mean of what it was and of the last step."""
        passed = time - self.seen
        if passed <= 0:
            return replace(self, box=box, missed=0)
        step_x = (box.left + box.right - self.box.left - self.box.right) / 2 / passed
        step_y = (box.top + box.bottom - self.box.top - self.box.bottom) / 2 / passed
        speed = ((self.speed[0] + step_x) / 2, (self.speed[1] + step_y) / 2)
        return replace(self, box=box, seen=time, missed=0, speed=speed)


def is_lost(seconds: float, looks: int) -> bool:
    """Whether a person who was not seen for so long, and in so many looks, gets a new number when they come back."""
    return seconds > GAP and looks > MAX_MISSED_FRAMES


class Tracker:
    """Gives each face the number of a person.

    Of all pairs of an expected box and a found one, that with the greatest overlap is one person, then the next, down
    to `OVERLAP`; a box that is left is somebody new. Who is not seen for more than `GAP` seconds and
    `MAX_MISSED_FRAMES` looks is gone, and gets a new number when they come back.
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._given = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Everyone who is not gone, hidden or not."""
        return tuple(self._tracks)

    @property
    def persons(self) -> int:
        """Numbers given so far."""
        return self._given

    def update(self, boxes: Sequence[Box], time: float) -> tuple[int, ...]:
        """The person of each of `boxes`, found at `time`; times never fall."""
        pairs = sorted(
            ((iou(track.at(time), box), t, b) for t, track in enumerate(self._tracks) for b, box in enumerate(boxes)),
            key=lambda pair: -pair[0],
        )
        track_of: dict[int, int] = {}  # box -> track
        for share, t, b in pairs:
            if share < OVERLAP:
                break
            if b not in track_of and t not in track_of.values():
                track_of[b] = t
        met = {t: self._tracks[t].met(boxes[b], time) for b, t in track_of.items()}
        after = [met.get(t, replace(track, missed=track.missed + 1)) for t, track in enumerate(self._tracks)]
        persons = []
        for b, box in enumerate(boxes):
            if b not in track_of:
                self._given += 1
                after.append(Track(self._given, box, time))
            persons.append(met[track_of[b]].person if b in track_of else self._given)
        self._tracks = [t for t in after if not is_lost(time - t.seen, t.missed)]
        return tuple(persons)

    def cut(self) -> None:
        """Another scene begins: nobody in it is known yet."""
        self._tracks = []


class Smoother:
    """Each person's probabilities, smoothed exponentially over time.

    What was told `seconds` ago counts 1/e of what is told now. A person's first probabilities stand as they are.

    Raises:
        MienError: `seconds` is below 0 or no number; 0 does not smooth.
    """

    def __init__(self, seconds: float = SMOOTH) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise MienError(f"probabilities are smoothed over a number of seconds from 0 on, got {seconds!r}")
        self._seconds = seconds
        self._told: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def update(self, person: int, probabilities_K: Sequence[float], time: float) -> tuple[float, ...]:
        """The smoothed probabilities of `person`, in all 1, after `probabilities_K` were told at `time`."""
        now_K = np.asarray(probabilities_K, np.float64)
        if person in self._told and self._seconds > 0:
            before, old_K = self._told[person]
            kept = math.exp(-max(time - before, 0.0) / self._seconds)
            now_K = kept * old_K + (1 - kept) * now_K
        self._told[person] = (time, now_K)
        return tuple(now_K.tolist())

    def keep(self, persons: Collection[int]) -> None:
        """Forget everyone else."""
        self._told = {person: told for person, told in self._told.items() if person in persons}
