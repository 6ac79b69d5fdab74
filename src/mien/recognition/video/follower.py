"""Face following: full detection now and then, local detection in between.

Detection in the whole frame takes as long as decoding it. While all persons are detected in small windows around their
expected positions, full detection is only needed to find new ones.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection, iou
from mien.recognition.video.scenes import SceneDetector
from mien.recognition.video.tracker import Track, Tracker, is_lost

FULL_INTERVAL = 0.5  # seconds between full detections: the longest delay until a new person is found
WINDOW_SCALE = 2.0  # side of a window, in longer sides of the face
WINDOW_PIXELS = 96  # side of a window as the detector sees it
_MIN_IOU = 0.3  # of a face with its expected box; below it is another face
_DUPLICATE_IOU = 0.6  # from which two windows have found the same face
_THUMBNAIL_SIDE, _MIN_CONTRAST = 16, 4.0  # pixels; standard deviation in levels, below which it is noise
Pixels = NDArray[np.uint8]
Detect = Callable[[Pixels], tuple[Detection, ...]]


class Follower:
    """Detects the faces in consecutive frames and assigns them to persons.

    Args:
        detect_full: Function that detects the faces in a whole frame.
        detect_window: Function that detects the faces in a window of a frame; None for full detection in each frame.

    Attributes:
        full_detections: Number of full detections so far.
        frame_count: Number of frames so far.

    Example:
        >>> from mien.detection.detectors import build_detector
        >>> follower = Follower(build_detector("whole"), None)
        >>> [person for person, detection in follower.update(np.zeros((40, 60, 3), np.uint8), time=0.0)]
        [1]
    """

    def __init__(self, detect_full: Detect, detect_window: Detect | None) -> None:
        self._detect_full, self._detect_window = detect_full, detect_window
        self._tracker = Tracker()
        self._last_full = -np.inf
        self._scenes = SceneDetector()
        self._earlier: tuple[float, int, tuple[Track, ...]] | None = (
            None  # time, frame and tracks before a scene change
        )
        self.full_detections = self.frame_count = 0

    @property
    def people(self) -> frozenset[int]:
        """Numbers of the persons who are not lost, or who may return with the scene before the last change."""
        earlier = self._earlier[2] if self._earlier else ()
        return frozenset(track.person for track in (*self._tracker.tracks, *earlier))

    def update(self, image_HW3: Pixels, time: float) -> tuple[tuple[int, Detection], ...]:
        """Return the person number and detection of each face in a frame, from left to right.

        Args:
            image_HW3: BGR frame, uint8 [H,W,3].
            time: Time of the frame in seconds; times must not decrease.
        """
        self.frame_count += 1
        self._check_scene(image_HW3, time)
        detections = self._detect_nearby(image_HW3, time)
        if detections is None:
            detections = self._detect_full(image_HW3)
            self._last_full = time
            self.full_detections += 1
        detections = tuple(sorted(detections, key=lambda d: (d.box.left, d.box.top)))
        thumbnails = [_thumbnail(image_HW3, d.box) for d in detections]
        people = self._tracker.update([d.box for d in detections], time, thumbnails)
        return tuple(zip(people, detections, strict=True))

    def _check_scene(self, image_HW3: Pixels, time: float) -> None:
        """Forget all persons at a scene change, and go on with them if it was a flash."""
        if self._earlier and is_lost(time - self._earlier[0], self.frame_count - self._earlier[1]):
            self._earlier = None
        change = self._scenes.update(image_HW3)
        if change is None:
            return
        tracks, self._last_full = self._tracker.tracks, -np.inf
        if change == "back" and self._earlier:
            self._tracker.reset(self._earlier[2])
            self._earlier = None
        else:
            self._tracker.reset()
            self._earlier = time, self.frame_count, tracks

    def _detect_nearby(self, image_HW3: Pixels, time: float) -> tuple[Detection, ...] | None:
        """Detect all persons near their expected positions; None if full detection is needed."""
        tracks = self._tracker.tracks
        due = time - self._last_full >= FULL_INTERVAL
        if self._detect_window is None or due or any(track.missed for track in tracks):
            return None
        detections: list[Detection] = []
        for track in tracks:
            detection = self._detect_in_window(image_HW3, track.predict(time))
            if detection is None or any(iou(detection.box, other.box) >= _DUPLICATE_IOU for other in detections):
                return None
            detections.append(detection)
        return tuple(detections)

    def _detect_in_window(self, image_HW3: Pixels, expected: Box) -> Detection | None:
        """Return the face at an expected box; None if it is not there."""
        assert self._detect_window is not None
        left, top, right, bottom = _window(image_HW3, expected)
        if right - left < 2 or bottom - top < 2:
            return None
        small_HW3, scale = _shrink(image_HW3[top:bottom, left:right])
        detections = [_to_frame(d, left, top, scale) for d in self._detect_window(small_HW3)]
        best = max(detections, key=lambda d: iou(d.box, expected), default=None)
        return best if best is not None and iou(best.box, expected) >= _MIN_IOU else None


def _thumbnail(image_HW3: Pixels, box: Box) -> NDArray[np.float32] | None:
    """Return a thumbnail of a face, as in `Track`; None if it has no contrast."""
    height, width = image_HW3.shape[:2]
    left, top = max(round(box.left), 0), max(round(box.top), 0)
    right, bottom = min(round(box.right), width), min(round(box.bottom), height)
    if right - left < 2 or bottom - top < 2:
        return None
    step = max(1, min(right - left, bottom - top) // (2 * _THUMBNAIL_SIDE))
    green_HW = np.ascontiguousarray(image_HW3[top:bottom:step, left:right:step, 1])  # nearly the brightness
    small = cv2.resize(green_HW, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    pixels_P = small.ravel().astype(np.float32)
    pixels_P -= np.float32(cv2.mean(small)[0])
    norm = float(cv2.norm(pixels_P))
    return pixels_P / np.float32(norm) if norm >= _MIN_CONTRAST * _THUMBNAIL_SIDE else None


def _window(image_HW3: Pixels, box: Box) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a square around a box, shifted into the image and cropped to it."""
    height, width = image_HW3.shape[:2]
    side = round(WINDOW_SCALE * max(box.width, box.height))
    left = round(min(max(box.left + box.width / 2 - side / 2, 0), max(width - side, 0)))
    top = round(min(max(box.top + box.height / 2 - side / 2, 0), max(height - side, 0)))
    return left, top, min(left + side, width), min(top + side, height)


def _shrink(window_HW3: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """Return a window shrunk to `WINDOW_PIXELS`, and how many of its columns and rows became one.

    It is shrunk by a whole factor first, for which OpenCV is fast, then by the rest: several times as fast as one step.
    """
    height, width = window_HW3.shape[:2]
    factor = max(height, width) // WINDOW_PIXELS
    if factor < 1 or max(height, width) == WINDOW_PIXELS:
        return window_HW3, (1.0, 1.0)
    small_HW3 = window_HW3
    if factor > 1:
        height, width = height // factor * factor, width // factor * factor  # drops a few pixels at the edge
        size = (width // factor, height // factor)
        small_HW3 = np.asarray(cv2.resize(window_HW3[:height, :width], size, interpolation=cv2.INTER_AREA), np.uint8)
    rest = max(small_HW3.shape[:2]) / WINDOW_PIXELS
    if rest > 1:
        size = (max(1, round(small_HW3.shape[1] / rest)), max(1, round(small_HW3.shape[0] / rest)))
        small_HW3 = np.asarray(cv2.resize(small_HW3, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return small_HW3, (width / small_HW3.shape[1], height / small_HW3.shape[0])


def _to_frame(detection: Detection, left: int, top: int, scale: tuple[float, float]) -> Detection:
    """Convert a detection in a shrunk window to pixels of the frame."""
    (scale_x, scale_y), box = scale, detection.box
    box = Box(left + scale_x * box.left, top + scale_y * box.top, scale_x * box.width, scale_y * box.height)
    points = tuple((left + scale_x * x, top + scale_y * y) for x, y in detection.landmarks)
    return Detection(box, detection.score, points)
