"""Face crops: the crop rule of a model, and cropping.

H rows, W columns. (0, 0) is the upper left corner of an image, so the center of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

Pixels = NDArray[np.uint8]
_MAX_SAMPLES = 32  # most samples per side of an output pixel when a large face is averaged


@dataclass(frozen=True)
class CropRule:
    """The square around a face box that is cropped and resized to the input size of the model.

    Attributes:
        margin: Margin added on each side, as a fraction of the longer side of the box; 0 crops at the box.
        shift_x: Shift of the square's center to the right, as a fraction of the longer side of the box.
        shift_y: Shift of the square's center downwards, as a fraction of the longer side of the box.
        upright: Whether the face is rotated until its eyes are level.
        provisional: Whether these numbers are assumed and not yet measured.

    Raises:
        MienError: A number is out of its range.

    Example:
        >>> CropRule(margin=0.1).to_dict()["margin"]
        0.1
    """

    margin: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    upright: bool = False
    provisional: bool = True

    def __post_init__(self) -> None:
        for field in ("margin", "shift_x", "shift_y"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise MienError(f"crop rule: {field} must be a number, got {value!r}")
            if not -0.5 < value <= 2:
                raise MienError(f"crop rule: {field} must be above -0.5 and at most 2 (sides of the box), got {value}")
        for field in ("upright", "provisional"):
            if not isinstance(getattr(self, field), bool):
                raise MienError(f"crop rule: {field} must be true or false, got {getattr(self, field)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CropRule:
        """Return the rule that `to_dict` described.

        Raises:
            MienError: A field is missing or unknown, or a value is out of its range.
        """
        fields = cls.__dataclass_fields__
        if not isinstance(values, Mapping) or set(values) != set(fields):
            raise MienError(f"a crop rule must have the fields {', '.join(fields)}, got {values!r}")
        return cls(**values)


# The box of YuNet as it is: for the shipped models no margin, shift or rotation was better (experiments/crop_rule.py).
DEFAULT_CROP_RULE = CropRule(provisional=False)


class Rectangle(Protocol):
    """A box in pixels of the image, as `crop` needs it."""

    @property
    def left(self) -> float:
        """Horizontal position of the left side."""
        ...

    @property
    def top(self) -> float:
        """Vertical position of the upper side."""
        ...

    @property
    def width(self) -> float:
        """Width in pixels."""
        ...

    @property
    def height(self) -> float:
        """Height in pixels."""
        ...


def crop(
    image_HW3: Pixels, box: Rectangle, landmarks: Sequence[tuple[float, float]], rule: CropRule, side: int
) -> Pixels:
    """Return the face in a box as input of a model, gray uint8 [side,side].

    A face is shrunk by averaging and enlarged by linear interpolation. Outside the image its edge pixels are repeated.

    Args:
        image_HW3: BGR image, uint8 [H,W,3], or gray image, uint8 [H,W].
        box: Box of the face.
        landmarks: Points (x, y), first those of the right and the left eye; without them the face is not rotated.
        rule: Crop rule of the model.
        side: Side of the crop in pixels.

    Example:
        >>> from mien.detection.boxes import Box
        >>> crop(np.zeros((60, 80, 3), np.uint8), Box(10, 5, 40, 50), (), CropRule(), 48).shape
        (48, 48)
    """
    longer = max(box.width, box.height)
    width = longer * (1 + 2 * rule.margin)
    roll = _roll(landmarks) if rule.upright else 0.0
    x_axis, y_axis = np.array([math.cos(roll), math.sin(roll)]), np.array([-math.sin(roll), math.cos(roll)])
    center = np.array([box.left + box.width / 2, box.top + box.height / 2])
    center = center + longer * (rule.shift_x * x_axis + rule.shift_y * y_axis)

    left, top = (center - width / 2).tolist()
    inside = 0 <= left <= image_HW3.shape[1] - side and 0 <= top <= image_HW3.shape[0] - side
    if width == side and roll == 0 and inside and left.is_integer() and top.is_integer():
        # No resampling is needed: the same result as below, faster.
        return _grey(image_HW3[int(top) : int(top) + side, int(left) : int(left) + side])

    grey_HW, corner = _surroundings(image_HW3, center, width * (math.sqrt(0.5) if roll else 0.5))
    samples_per_pixel = min(max(1, math.ceil(width / side - 0.01)), _MAX_SAMPLES)  # along each side
    step = width / (side * samples_per_pixel)
    # Sample (u, v) is (u + 1/2, v + 1/2) steps from the corner of the square; OpenCV counts from pixel centers.
    start = center - corner - (x_axis + y_axis) * (width - step) / 2 - 0.5
    matrix = np.column_stack([x_axis * step, y_axis * step, start])
    size = (side * samples_per_pixel, side * samples_per_pixel)
    samples = cv2.warpAffine(
        grey_HW, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    if samples_per_pixel > 1:
        samples = cv2.resize(samples, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(samples, np.uint8)


def _roll(landmarks: Sequence[tuple[float, float]]) -> float:
    """Return the clockwise rotation of the line from the right eye to the left one, in radians."""
    if len(landmarks) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = landmarks[:2]
    return math.atan2(left_y - right_y, left_x - right_x)


def _surroundings(image_HW3: Pixels, center: NDArray[np.float64], reach: float) -> tuple[Pixels, NDArray[np.float64]]:
    """Return the part of the image within `reach` pixels of `center` in each direction, gray, and its corner (x, y)."""
    height, width = image_HW3.shape[:2]
    reach += 2  # pixels for the interpolation
    x, y = center.tolist()
    left = int(min(max(0, math.floor(x - reach)), width - 1))
    top = int(min(max(0, math.floor(y - reach)), height - 1))
    right = int(max(left + 1, min(width, math.ceil(x + reach))))
    bottom = int(max(top + 1, min(height, math.ceil(y + reach))))
    return _grey(image_HW3[top:bottom, left:right]), np.array([left, top], np.float64)


def _grey(part: Pixels) -> Pixels:
    """Return part of a BGR image [H,W,3] or of a gray image as gray [H,W]."""
    if part.ndim == 2:
        return part
    if part.strides[1:] != (3, 1):  # OpenCV would misread a part whose pixels are not contiguous
        part = np.ascontiguousarray(part)
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)
