"""Statistics of each person over a whole video.

Each look counts for the seconds until the next one, so that an uneven frame rate weighs nothing twice. K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.recognition.results import VideoFrame
from mien.recognition.video.tracker import is_lost

MAX_BINS = 1600  # of time; when a video needs more, two become one
MIN_BIN_SECONDS = 0.05  # seconds of a bin at first
KEPT = 32  # of those who are gone, whoever was seen longest
MAX_FRAME_SECONDS = 2.0  # seconds that a look counts for at most, where the next one is late or never comes

Floats = NDArray[np.float64]


@dataclass
class Person:
    """What was seen of one person.

    Attributes:
        number: as in the frames.
        first, last: seconds at which the first and the last look began.
        look: the number of the last look.
        seen: seconds in all, without those in which they were hidden.
        sum_K: probabilities times seconds.
        bins: of each bin of time with them in it, seconds and probabilities times seconds.
    """

    number: int
    first: float
    last: float
    seen: float
    sum_K: Floats
    look: int = 0
    bins: dict[int, tuple[float, Floats]] = field(default_factory=dict)

    @property
    def mean_K(self) -> Floats:
        """The mean probability of each class over the time that they were seen, in all 1."""
        return self.sum_K / self.seen


class People:
    """Everyone in a video; add one frame after another, then `close`.

    Of those who are gone for good only `KEPT` are kept, so that a street's passers-by do not fill the memory; whoever
    is among the `KEPT` seen longest of all is kept to the end.

    Attributes:
        labels: the classes, in the order of the probabilities.
        met: how many persons there were.
        looks: frames that were read.
        seconds: of the last one.
        bin_seconds: how long a bin of time is.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels, self.looks, self.seconds, self.bin_seconds = labels, 0, 0.0, MIN_BIN_SECONDS
        self.met = 0
        self._of: dict[int, Person] = {}
        self._waiting: VideoFrame | None = None
        self._step = 0.0

    def __iter__(self) -> Iterator[Person]:
        """Those who are kept, in the order in which they came."""
        return iter(self._of.values())

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times do not fall."""
        if self._waiting is not None:
            self._step = frame.time - self._waiting.time
            self._count(self._waiting, self._step)
        self._waiting = frame
        self.looks += 1

    def close(self) -> None:
        """No more frames come: the last one counts as long as the one before it."""
        if self._waiting is not None:
            self._count(self._waiting, self._step or MIN_BIN_SECONDS)
            self._waiting = None

    def mean_over_time(self, person: Person) -> tuple[Floats, Floats]:
        """The middles of a person's bins in seconds, [T], and the mean probabilities in them, [T,K]."""
        at = sorted(person.bins)
        mean_TK = np.zeros((len(at), len(self.labels)))
        for row, bin_ in enumerate(at):
            seconds, sum_K = person.bins[bin_]
            mean_TK[row] = sum_K / seconds
        return (np.array(at, np.float64) + 0.5) * self.bin_seconds, mean_TK

    def _count(self, frame: VideoFrame, lasts: float) -> None:
        lasts = min(lasts, MAX_FRAME_SECONDS)
        self.seconds = frame.time + lasts
        if lasts <= 0:
            return
        while self.seconds > MAX_BINS * self.bin_seconds:
            self._halve()
        shares = list(self._shares(frame.time, self.seconds))
        for face in frame.faces:
            likely_K = np.asarray(face.probabilities)
            new = Person(face.person, frame.time, frame.time, 0.0, np.zeros(len(self.labels)))
            one = self._of.setdefault(face.person, new)
            self.met += one is new
            one.last, one.seen, one.sum_K = frame.time, one.seen + lasts, one.sum_K + lasts * likely_K
            one.look = self.looks
            for at, share in shares:
                before, sum_K = one.bins.get(at, (0.0, np.zeros(len(self.labels))))
                one.bins[at] = (before + share, sum_K + share * likely_K)

        if len(self._of) > 2 * KEPT:
            self._forget(frame.time)

    def _forget(self, time: float) -> None:
        """Drop those who do not come back and were not seen as long as others: their numbers are not given again."""
        gone = [one for one in self._of.values() if is_lost(time - one.last, self.looks - one.look)]
        for one in sorted(gone, key=lambda one: -one.seen)[KEPT:]:
            del self._of[one.number]

    def _shares(self, begin: float, end: float) -> Iterator[tuple[int, float]]:
        """Each bin between two times, and how many seconds of it."""
        for at in range(int(begin / self.bin_seconds), math.ceil(end / self.bin_seconds)):
            share = min(end, (at + 1) * self.bin_seconds) - max(begin, at * self.bin_seconds)
            if share > 1e-6:
                yield at, share

    def _halve(self) -> None:
        """Bins twice as long."""
        self.bin_seconds *= 2
        for one in self._of.values():
            fewer: dict[int, tuple[float, Floats]] = {}
            for at, (seconds, sum_K) in one.bins.items():
                before, other_K = fewer.get(at // 2, (0.0, np.zeros(len(self.labels))))
                fewer[at // 2] = (before + seconds, other_K + sum_K)
            one.bins = fewer
