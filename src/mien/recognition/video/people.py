"""Statistics of each person over a whole video.

Each frame is weighted by the seconds until the next one, so that an uneven frame rate does not bias the means.
K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.recognition.results import UNCERTAIN, VideoFrame
from mien.recognition.video.tracker import is_lost

MAX_BINS = 1600  # time bins; a longer video gets bins of twice the length
MIN_BIN_SECONDS = 0.05  # length of a bin at the beginning
MAX_LOST_PEOPLE = 32  # persons kept of those who are lost, those seen longest
MAX_FRAME_SECONDS = 2.0  # largest weight of a frame, if the next one is late or never comes

Floats = NDArray[np.float64]


@dataclass
class Person:
    """Statistics of one person.

    Attributes:
        number: Number of the person in the frames.
        first: Time of the first frame with the person, in seconds.
        last: Time of the last frame with the person, in seconds.
        seconds: Seconds for which the person was seen, without those in which they were hidden.
        sum_K: Sum of probabilities times seconds, float64 [K].
        last_frame: Count of analyzed frames at the last one with the person.
        bins: For each time bin with the person, seconds and the sum of probabilities times seconds.
        uncertain: Seconds for which the label was uncertain, by the beginning of the reason, such as `too small`.
    """

    number: int
    first: float
    last: float
    seconds: float
    sum_K: Floats
    last_frame: int = 0
    bins: dict[int, tuple[float, Floats]] = field(default_factory=dict)
    uncertain: dict[str, float] = field(default_factory=dict)

    @property
    def mean_K(self) -> Floats:
        """Mean probability of each class over the time for which the person was seen, float64 [K], sum 1."""
        return self.sum_K / self.seconds


class People:
    """Statistics of all persons in a video: write all frames, then `close`.

    Of those who are lost only `MAX_LOST_PEOPLE` are kept, so that passers-by do not fill the memory; those seen longest
    of all are always kept.

    Args:
        labels: Classes, in the order of the probabilities.

    Attributes:
        labels: Classes, in the order of the probabilities.
        person_count: Number of persons, including those that are not kept.
        frame_count: Number of analyzed frames.
        seconds: End of the last frame, in seconds.
        bin_seconds: Length of a time bin in seconds.

    Example:
        >>> from mien.detection.boxes import Box
        >>> from mien.recognition import PersonFace
        >>> face = PersonFace(Box(0, 0, 9, 9), 0.9, (), ("happy", "sad"), (0.8, 0.2), "happy", person=1)
        >>> people = People(("happy", "sad"))
        >>> people.write(VideoFrame(0, 0.0, 64, 48, (face,)))
        >>> people.write(VideoFrame(1, 0.5, 64, 48, ()))
        >>> people.close()
        >>> [(person.number, person.seconds, person.mean_K.tolist()) for person in people]
        [(1, 0.5, [0.8, 0.2])]
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels, self.frame_count, self.seconds, self.bin_seconds = labels, 0, 0.0, MIN_BIN_SECONDS
        self.person_count = 0
        self._people: dict[int, Person] = {}
        self._pending: VideoFrame | None = None
        self._step = 0.0

    def __iter__(self) -> Iterator[Person]:
        """Yield the persons that are kept, in the order of their first frames."""
        return iter(self._people.values())

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times must not decrease."""
        if self._pending is not None:
            self._step = frame.time - self._pending.time
            self._add(self._pending, self._step)
        self._pending = frame
        self.frame_count += 1

    def close(self) -> None:
        """Finish the statistics; the last frame gets the weight of the one before it."""
        if self._pending is not None:
            self._add(self._pending, self._step or MIN_BIN_SECONDS)
            self._pending = None

    def mean_over_time(self, person: Person) -> tuple[Floats, Floats]:
        """Return the centres of a person's time bins in seconds, [T], and the mean probabilities in them, [T,K]."""
        indices = sorted(person.bins)
        mean_TK = np.zeros((len(indices), len(self.labels)))
        for row, index in enumerate(indices):
            seconds, sum_K = person.bins[index]
            mean_TK[row] = sum_K / seconds
        return (np.array(indices, np.float64) + 0.5) * self.bin_seconds, mean_TK

    def _add(self, frame: VideoFrame, duration: float) -> None:
        duration = min(duration, MAX_FRAME_SECONDS)
        self.seconds = frame.time + duration
        if duration <= 0:
            return
        while self.seconds > MAX_BINS * self.bin_seconds:
            self._merge_bins()
        bin_seconds = list(self._split_into_bins(frame.time, self.seconds))
        for face in frame.faces:
            probs_K = np.asarray(face.probabilities)
            if face.person not in self._people:
                self._people[face.person] = Person(face.person, frame.time, frame.time, 0.0, np.zeros(len(self.labels)))
                self.person_count += 1
            person = self._people[face.person]
            person.last, person.last_frame = frame.time, self.frame_count
            person.seconds, person.sum_K = person.seconds + duration, person.sum_K + duration * probs_K
            if face.label == UNCERTAIN:
                reason = face.uncertain_reason.partition(":")[0]
                person.uncertain[reason] = person.uncertain.get(reason, 0.0) + duration
            for index, seconds in bin_seconds:
                seconds_before, sum_K = person.bins.get(index, (0.0, np.zeros(len(self.labels))))
                person.bins[index] = (seconds_before + seconds, sum_K + seconds * probs_K)

        if len(self._people) > 2 * MAX_LOST_PEOPLE:
            self._drop_lost(frame.time)

    def _drop_lost(self, time: float) -> None:
        """Drop persons who are lost and were seen for less time than others; their numbers are not used again."""
        lost = [p for p in self._people.values() if is_lost(time - p.last, self.frame_count - p.last_frame)]
        for person in sorted(lost, key=lambda p: -p.seconds)[MAX_LOST_PEOPLE:]:
            del self._people[person.number]

    def _split_into_bins(self, begin: float, end: float) -> Iterator[tuple[int, float]]:
        """Yield each bin between two times, and the seconds of it between them."""
        for index in range(int(begin / self.bin_seconds), math.ceil(end / self.bin_seconds)):
            seconds = min(end, (index + 1) * self.bin_seconds) - max(begin, index * self.bin_seconds)
            if seconds > 1e-6:
                yield index, seconds

    def _merge_bins(self) -> None:
        """Double the length of the bins."""
        self.bin_seconds *= 2
        for person in self._people.values():
            merged: dict[int, tuple[float, Floats]] = {}
            for index, (seconds, sum_K) in person.bins.items():
                other_seconds, other_K = merged.get(index // 2, (0.0, np.zeros(len(self.labels))))
                merged[index // 2] = (other_seconds + seconds, other_K + sum_K)
            person.bins = merged
