"""Faces in a stream of frames: detection, tracking, smoothing.

A look has two halves, so that between them the faces of many watchers can go through the model together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Detection
from mien.detection.detectors import VIDEO_LONGEST_SIDE, ConfigurableDetector
from mien.recognition.pipeline import Pipeline
from mien.recognition.results import SMOOTH, PersonFace
from mien.recognition.video.follower import WINDOW_PIXELS, Follower
from mien.recognition.video.tracker import Smoother

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameFaces:
    """What was seen in one frame, before the model is asked.

    Attributes:
        time: when, in seconds.
        found: each face with the number of its person, from left to right.
        faces_NHW: as the model wants them.
    """

    time: float
    found: tuple[tuple[int, Detection], ...]
    faces_NHW: Pixels


class FaceStream:
    """Follows the people in one frame after another.

    Attributes:
        pipeline: Pipeline that reads them, whose detector looks at copies of at most `longest_side` pixels a side.
    """

    def __init__(self, pipeline: Pipeline, *, smooth: float = SMOOTH, longest_side: int = VIDEO_LONGEST_SIDE) -> None:
        """Begin with nobody.

        Args:
            pipeline: Pipeline that reads them.
            smooth: seconds over which probabilities are smoothed, 0 for not at all.
            longest_side: pixels of a frame's longer side, above which faces are looked for in a smaller copy.

        Raises:
            MienError: `smooth` is no number of seconds.
        """
        self.pipeline, near = pipeline, pipeline.detector
        detector = pipeline.detector
        if isinstance(detector, ConfigurableDetector):
            self.pipeline = pipeline.with_detector(detector.with_longest_side(longest_side))
            near = detector.with_longest_side(WINDOW_PIXELS)
        # A detector with one answer to all images has none for a window.
        self._follower = Follower(self.pipeline.detect, None if detector.boxes_are_crops else near)
        self._smoother = Smoother(smooth)

    def look(self, image_HW3: Pixels, time: float) -> FrameFaces:
        """The faces in a BGR frame that is shown at `time`, in seconds; times never fall."""
        found = self._follower.look(image_HW3, time)
        return FrameFaces(time, found, self.pipeline.crop_faces(image_HW3, [one for _, one in found]))

    def tell(self, glance: FrameFaces, probs_NK: Floats) -> tuple[PersonFace, ...]:
        """The faces of `look` with what the model tells of them, float32 [N,K]; glances come in their order."""
        faces = []
        for (person, one), probs_K in zip(glance.found, probs_NK, strict=True):
            smoothed_K = self._smoother.update(person, probs_K.tolist(), glance.time)
            face = self.pipeline.face(one, np.asarray(smoothed_K, np.float32))
            faces.append(PersonFace(**vars(face), person=person))
        self._smoother.keep(self._follower.persons)
        return tuple(faces)
