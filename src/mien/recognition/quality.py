"""Quality of a face image: size, sharpness, brightness and pose, and the limits outside which its label is uncertain.

Sharpness and brightness are measured on the crop that the model sees. It has the same size for all faces, so they do
not depend on the resolution of the image. See `experiments/face_quality.py` for how the limits were chosen. H rows,
W columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Detection

MIN_SIZE = 20.0  # pixels
MIN_SHARPNESS = 0.065
MIN_BRIGHTNESS, MAX_BRIGHTNESS = 27.0, 211.0  # gray levels
NOSE_DEPTH = 0.45  # how far the tip of the nose is in front of the eyes, in distances between the eyes
_KERNEL, _KERNEL_SUM = 7, 1024  # side of Sobel's second derivative, and the sum of its weights without the difference
_MIN_CONTRAST = 1.0  # standard deviation in gray levels, below which contrast is rounding and noise

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class FaceQuality:
    """Quality of one face in an image.

    Yaw and roll are approximate and do not affect the label; they are None for a detector without landmarks.

    Attributes:
        size: Longer side of the box in pixels, which is the side of the crop.
        sharpness: Strength of small structures relative to the contrast, from 0; sharp photos have about 0.1.
        brightness: Mean gray level of the crop, 0 to 255.
        yaw: Rotation of the head to the person's own left, in degrees; negative to the right.
        roll: Clockwise rotation of the face in the image, in degrees, -180 to 180.

    Example:
        >>> FaceQuality(size=14, sharpness=0.1, brightness=128, yaw=None, roll=None).defect
        'too small: 14 px, at least 20 px'
    """

    size: float
    sharpness: float
    brightness: float
    yaw: float | None
    roll: float | None

    @property
    def defect(self) -> str:
        """Reason why the label is uncertain: the first limit that is not met; empty if all are met."""
        if self.size < MIN_SIZE:
            return f"too small: {_below(self.size, 0)} px, at least {MIN_SIZE:.0f} px"
        if self.brightness < MIN_BRIGHTNESS:
            return f"too dark: brightness {_below(self.brightness, 0)}, at least {MIN_BRIGHTNESS:.0f}"
        if self.brightness > MAX_BRIGHTNESS:
            return f"too bright: brightness {math.ceil(self.brightness)}, at most {MAX_BRIGHTNESS:.0f}"
        if self.sharpness < MIN_SHARPNESS:
            return f"too blurred: sharpness {_below(self.sharpness, 3)}, at least {MIN_SHARPNESS:g}"
        return ""

    def to_dict(self) -> dict[str, float | None]:
        """Return the fields as JSON types, rounded."""
        return {
            "size": round(self.size, 1),
            "sharpness": round(self.sharpness, 4),
            "brightness": round(self.brightness, 1),
            "yaw": None if self.yaw is None else round(self.yaw, 1),
            "roll": None if self.roll is None else round(self.roll, 1),
        }


def measure_quality(detection: Detection, face_HW: Pixels) -> FaceQuality:
    """Return the quality of a detected face.

    Args:
        detection: Detected face, in pixels of the whole image.
        face_HW: Crop of the face, gray uint8 [H,W].

    Example:
        >>> from mien.detection.boxes import Box
        >>> face_HW = np.tile(np.arange(48, dtype=np.uint8), (48, 1))
        >>> measure_quality(Detection(Box(10, 20, 64, 80), 0.9), face_HW)
        FaceQuality(size=80, sharpness=0.0, brightness=23.5, yaw=None, roll=None)
    """
    mean, deviation = cv2.meanStdDev(face_HW)
    brightness, contrast = float(mean[0, 0]), float(deviation[0, 0])
    yaw, roll = head_pose(detection.landmarks) or (None, None)
    size = max(detection.box.width, detection.box.height)
    return FaceQuality(size, _sharpness(face_HW, contrast), brightness, yaw, roll)


def head_pose(landmarks: tuple[tuple[float, float], ...]) -> tuple[float, float] | None:
    """Return approximate yaw and roll in degrees from five landmarks; None if there are none.

    With e the vector from the right to the left eye and n that from the middle of the eyes to the tip of the nose, roll
    is atan2(e_y, e_x) and yaw is atan((n·e / e·e) / `NOSE_DEPTH`): when a head turns, the distance between its eyes
    shrinks by the cosine, and the tip of the nose, which is in front of them, moves by the sine. Perspective and the
    shape of the face are not considered.

    Args:
        landmarks: Points (x, y) of right eye, left eye and tip of the nose first, as in `Detection`.

    Example:
        >>> head_pose(((30, 40), (70, 40), (50, 60), (35, 80), (65, 80)))
        (0.0, 0.0)
    """
    if len(landmarks) < 3:
        return None
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y) = landmarks[:3]
    eyes_x, eyes_y = left_x - right_x, left_y - right_y
    length = eyes_x * eyes_x + eyes_y * eyes_y
    shift = (nose_x - (left_x + right_x) / 2) * eyes_x + (nose_y - (left_y + right_y) / 2) * eyes_y
    return math.degrees(math.atan2(shift, NOSE_DEPTH * length)), math.degrees(math.atan2(eyes_y, eyes_x))


def _sharpness(face_HW: Pixels, contrast: float) -> float:
    """Return the root mean square of the second derivative, relative to the contrast, in the less sharp direction.

    Motion blurs one direction only. Sobel's kernel of 7x7 smooths before it differentiates, so noise of single pixels
    does not make a blurred face sharp.
    """
    norms = [cv2.norm(cv2.Sobel(face_HW, cv2.CV_32F, *order, ksize=_KERNEL)) for order in ((2, 0), (0, 2))]
    return float(min(norms)) / (_KERNEL_SUM * math.sqrt(face_HW.size) * max(contrast, _MIN_CONTRAST))


def _below(value: float, digits: int) -> str:
    """Return a number rounded down, so that it is printed as less than the limit that it does not reach."""
    return f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}"
