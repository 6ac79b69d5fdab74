"""The orientation of an image that is turned by 90, 180 or 270 degrees, from the faces in it.

YuNet returns upright landmarks for a face that is upside down, so a small model looks at the crops of the faces, and of
places that may be faces. If it takes them for rotated, faces are detected in the rotated image too, and the image is
rotated if they have higher scores there.

H rows, W columns, N faces, R rotations.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection
from mien.detection.detectors import ConfigurableDetector, shrink
from mien.detection.scales import moved
from mien.imaging.crop import CropRule, crop
from mien.model_files import SHIPPED, read_asset
from mien.model_graph import open_session

ORIENTATIONS = ("auto", "off")
ROTATIONS = (0, 90, 180, 270)  # degrees clockwise by which an image can be rotated
FILE = SHIPPED / "orientation.onnx"
SHA256 = "c0ca2f8759ce2418b0d516265ec47e031b4bd910765fab2e5907869a1ebe1db4"
SIDE = 48  # pixels of a crop
CANDIDATE = 0.3  # least score of a place that is examined
MAX_PLACES = 3  # places that are examined, those with the highest scores
WEIGHT_POWER = 4  # of the score of a place in the mean over places: a clear face counts more than doubtful ones
MIN_PROBABILITY = 0.6  # of the rotation, from which faces are detected in the rotated image
CLEAR_FACE, CLEAR = 0.8, 0.9  # scores of the best place and of its being upright, from which no other is examined
MIN_COPY_SIDE = 128  # least pixels of the longer side of the copies that are searched if no face was found
COPY_SHRINK = 6  # by how much they are smaller than the base copy of the detector
WINDOW = 256  # pixels of a place and its surroundings in which a face is searched after rotation
COPY_CANDIDATE = 0.5  # least score of a place in these copies

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class UprightImage:
    """An image whose faces are upright, and the faces.

    Attributes:
        image_HW3: BGR image, uint8 [H,W,3], rotated.
        detections: Faces in pixels of the rotated image, from left to right.
        rotation: Degrees clockwise by which the image was rotated.
    """

    image_HW3: Pixels
    detections: tuple[Detection, ...]
    rotation: int


def detect_upright(image_HW3: Pixels, detector: ConfigurableDetector) -> UprightImage:
    """Return the faces in a BGR image, uint8 [H,W,3], rotated so that they are upright.

    Args:
        image_HW3: BGR image, uint8 [H,W,3].
        detector: Detector; an image without faces is searched again in three small rotated copies.

    Raises:
        ModelError: The shipped model file is missing or damaged.

    Example:
        >>> from mien.detection.detectors import build_detector
        >>> detect_upright(np.zeros((60, 80, 3), np.uint8), build_detector("yunet")).rotation
        0
    """
    candidates = detector.candidates(image_HW3, CANDIDATE)
    faces = tuple(d for d in candidates if d.score >= detector.threshold)
    places = [(0, d) for d in candidates]
    if not faces:
        places += _search_copies(image_HW3, detector.one_scale())
    rotation = likely_rotation(image_HW3, places)
    if rotation and (faces or _is_confirmed(image_HW3, places, rotation, detector.one_scale())):
        rotated_HW3 = rotate(image_HW3, rotation)
        rotated_faces = detector(rotated_HW3)
        if sum(d.score for d in rotated_faces) > sum(d.score for d in faces):
            return UprightImage(rotated_HW3, rotated_faces, rotation)
    return UprightImage(image_HW3, faces, 0)


def likely_rotation(image_HW3: Pixels, places: Sequence[tuple[int, Detection]]) -> int:
    """Return the degrees clockwise by which the faces in an image seem to be rotated; 0 if it is not clear.

    The model decides; for a face that was found in a rotated copy only, this rotation counts as much as the model.

    Args:
        image_HW3: BGR image, uint8 [H,W,3].
        places: Faces, and places with a lower score that may be faces, in pixels of the image, each with the rotation
            of the copy that it was found in.
    """
    if not places:
        return 0
    places = sorted(places, key=lambda place: -place[1].score)[:MAX_PLACES]
    if places[0][1].score >= CLEAR_FACE and rotation_probabilities(image_HW3, [places[0][1].box])[0, 0] >= CLEAR:
        return 0  # as in most images
    weight_N = np.array([d.score**WEIGHT_POWER for _, d in places])
    evidence_NR = rotation_probabilities(image_HW3, [d.box for _, d in places])
    for i, (rotation, _) in enumerate(places):
        if rotation:
            evidence_NR[i] = (evidence_NR[i] + (np.array(ROTATIONS) == rotation)) / 2
    mean_R = np.average(evidence_NR, 0, weight_N)
    best = int(mean_R.argmax())
    return ROTATIONS[best] if mean_R[best] >= MIN_PROBABILITY else 0


def _is_confirmed(
    image_HW3: Pixels, places: Sequence[tuple[int, Detection]], rotation: int, detector: ConfigurableDetector
) -> bool:
    """Return whether a face is detected at the best place after rotation; if not, the image need not be searched."""
    height, width = image_HW3.shape[:2]
    box = max(places, key=lambda place: place[1].score)[1].box
    x, y, side = box.left + box.width / 2, box.top + box.height / 2, 3 * max(box.width, box.height)
    left, top = int(max(0, x - side / 2)), int(max(0, y - side / 2))
    part_HW3 = image_HW3[top : int(min(height, y + side / 2)), left : int(min(width, x + side / 2))]
    return part_HW3.size > 0 and bool(detector(rotate(shrink(part_HW3, min(1.0, WINDOW / side)), rotation)))


def rotation_probabilities(image_HW3: Pixels, boxes: Sequence[Box]) -> Floats:
    """Return for the face in each box the probabilities of `ROTATIONS`, float32 [N,4].

    Each crop is shown to the model in all four rotations; the result is the geometric mean, normalized.

    Args:
        image_HW3: BGR image, uint8 [H,W,3].
        boxes: Boxes of the faces.

    Raises:
        ModelError: The shipped model file is missing or damaged.
    """
    faces_NHW = np.stack([crop(image_HW3, box, (), CropRule(), SIDE) for box in boxes])
    turned_RNHW = np.stack([np.rot90(faces_NHW, -r, (1, 2)) for r in range(len(ROTATIONS))])
    probs = _session().run(["rotations"], {"faces": turned_RNHW.reshape(-1, SIDE, SIDE)})[0]
    log_RNR = np.log(np.maximum(probs.reshape(len(ROTATIONS), len(boxes), len(ROTATIONS)), 1e-6))
    mean_NR = np.exp(np.mean([np.roll(log_NR, r, 1) for r, log_NR in enumerate(log_RNR)], 0))
    return np.asarray(mean_NR / mean_NR.sum(1, keepdims=True), np.float32)


@functools.cache
def _session() -> Any:
    """Return the session of the model, which is opened once; several threads may use it at the same time."""
    return open_session(read_asset(FILE, SHA256), str(FILE), 1)


def rotate(image_HW3: Pixels, rotation: int) -> Pixels:
    """Return an image rotated clockwise by 0, 90, 180 or 270 degrees.

    Example:
        >>> rotate(np.zeros((60, 80, 3), np.uint8), 90).shape
        (80, 60, 3)
    """
    return np.asarray(cv2.rotate(image_HW3, _CODES[rotation]), np.uint8) if rotation else image_HW3


def rotate_back(detection: Detection, rotation: int, height: int, width: int) -> Detection:
    """Return a detection in a rotated image in pixels of the image as it was.

    Args:
        detection: Detection in the rotated image.
        rotation: Degrees clockwise by which the image was rotated.
        height: Height of the image before its rotation.
        width: Width of the image before its rotation.

    Example:
        >>> rotate_back(Detection(Box(0, 0, 10, 20), 0.9), 90, height=60, width=80).box
        Box(left=0, top=50, width=20, height=10)
    """
    if not rotation:
        return detection
    box = detection.box
    corners = [_back(point, rotation, height, width) for point in ((box.left, box.top), (box.right, box.bottom))]
    (left, right), (top, bottom) = (sorted(side) for side in zip(*corners, strict=True))
    points = tuple(_back(point, rotation, height, width) for point in detection.landmarks)
    return Detection(Box(left, top, right - left, bottom - top), detection.score, points)


def _back(point: tuple[float, float], rotation: int, height: int, width: int) -> tuple[float, float]:
    x, y = point
    return {90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[rotation]


def _search_copies(image_HW3: Pixels, detector: ConfigurableDetector) -> list[tuple[int, Detection]]:
    """Return the faces in three small rotated copies, in pixels of the image, each with the rotation of its copy.

    The copies are side by side on one sheet, as three calls of the detector would take longer.
    """
    height, width = image_HW3.shape[:2]
    side = max(MIN_COPY_SIDE, min(max(height, width), detector.longest_side) // COPY_SHRINK)
    small_HW3 = shrink(image_HW3, min(1.0, side / max(height, width)))
    rows, columns = small_HW3.shape[:2]
    scale = width / columns, height / rows
    sheet_HW3 = np.zeros((max(rows, columns), 2 * rows + columns, 3), np.uint8)
    places, left = [], 0
    for rotation in ROTATIONS[1:]:
        copy_HW3 = rotate(small_HW3, rotation)
        sheet_HW3[: copy_HW3.shape[0], left : left + copy_HW3.shape[1]] = copy_HW3
        left += copy_HW3.shape[1]
    for found in detector.with_longest_side(max(sheet_HW3.shape)).candidates(sheet_HW3, COPY_CANDIDATE):
        left, center = 0, found.box.left + found.box.width / 2
        for rotation in ROTATIONS[1:]:
            copy_width = columns if rotation == 180 else rows
            if left <= center < left + copy_width:
                upright = rotate_back(moved(found, (-left, 0), (1, 1)), rotation, rows, columns)
                places.append((rotation, moved(upright, (0, 0), scale)))
            left += copy_width
    return places
