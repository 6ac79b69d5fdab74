"""Faces in a stream of frames: detection, tracking, smoothing.

Each frame is analyzed in two steps, so that the face crops of several streams can be predicted in one batch between
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Detection
from mien.detection.detectors import VIDEO_LONGEST_SIDE, ConfigurableDetector
from mien.recognition.pipeline import Pipeline
from mien.recognition.quality import FaceQuality
from mien.recognition.results import SMOOTH, PersonFace
from mien.recognition.video.follower import WINDOW_PIXELS, Follower
from mien.recognition.video.tracker import Smoother

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameFaces:
    """Faces of one frame, before the model predicts their probabilities.

    Attributes:
        time: Time of the frame in seconds.
        detections: Person number and detection of each face, from left to right.
        faces_NHW: Face crops for the model, uint8 [N,48,48].
        qualities: Quality of each face; None for each face if they are not measured.
    """

    time: float
    detections: tuple[tuple[int, Detection], ...]
    faces_NHW: Pixels
    qualities: tuple[FaceQuality | None, ...]


class FaceStream:
    """Detects and follows the faces in consecutive frames, and smooths their probabilities.

    Attributes:
        pipeline: Pipeline whose detector reduces frames to at most `longest_side` pixels.

    Example:
        >>> import mien
        >>> from mien.imaging.load import read_image
        >>> from mien.recognition import sample
        >>> stream = FaceStream(mien.load("nano").pipeline)
        >>> frame_faces = stream.detect_and_crop(read_image(sample()), time=0.0)
        >>> [face.person for face in stream.smooth(frame_faces, stream.pipeline.predict(frame_faces.faces_NHW))]
        [1]
    """

    def __init__(self, pipeline: Pipeline, *, smooth: float = SMOOTH, longest_side: int = VIDEO_LONGEST_SIDE) -> None:
        """Start without persons.

        Args:
            pipeline: Pipeline that detects, crops and predicts.
            smooth: Time constant of the smoothing in seconds, 0 for none.
            longest_side: Pixels of a frame's longer side, above which faces are detected in a smaller copy.

        Raises:
            MienError: `smooth` is negative or not a number.
        """
        self.pipeline, window_detector = pipeline, pipeline.detector
        detector = pipeline.detector
        if isinstance(detector, ConfigurableDetector):
            self.pipeline = pipeline.with_detector(detector.with_longest_side(longest_side))
            window_detector = detector.with_longest_side(WINDOW_PIXELS)
        # A detector that returns the whole image as a face cannot search a window.
        self._follower = Follower(self.pipeline.detect, None if detector.boxes_are_crops else window_detector)
        self._smoother = Smoother(smooth)

    def detect_and_crop(self, image_HW3: Pixels, time: float) -> FrameFaces:
        """Return the faces in a frame.

        Args:
            image_HW3: BGR frame, uint8 [H,W,3].
            time: Time of the frame in seconds; times must not decrease.
        """
        people = self._follower.update(image_HW3, time)
        detections = [detection for _, detection in people]
        faces_NHW = self.pipeline.crop_faces(image_HW3, detections)
        return FrameFaces(time, people, faces_NHW, self.pipeline.measure(detections, faces_NHW))

    def smooth(self, frame_faces: FrameFaces, probs_NK: Floats) -> tuple[PersonFace, ...]:
        """Return the faces of a frame with smoothed probabilities; frames must come in their order.

        The quality is that of the frame. So a label is `uncertain` while a face is blurred, and its probabilities are
        still those of the last half second.

        Args:
            frame_faces: Faces from `detect_and_crop`.
            probs_NK: Probabilities of each class for each face, float32 [N,K].
        """
        faces = []
        for (person, detection), probs_K, quality in zip(
            frame_faces.detections, probs_NK, frame_faces.qualities, strict=True
        ):
            smoothed_K = self._smoother.update(person, probs_K.tolist(), frame_faces.time)
            face = self.pipeline.face(detection, np.asarray(smoothed_K, np.float32), quality)
            faces.append(PersonFace(**vars(face), person=person))
        self._smoother.keep(self._follower.people)
        return tuple(faces)
