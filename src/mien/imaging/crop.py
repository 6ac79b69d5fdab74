"""Face crops: the crop rule of a model, and cropping.

H rows, W columns; (0, 0) is an image's upper left corner, so a pixel's middle lies at a half.
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
_FINEST = 32  # samples a side of one pixel, at most, that a large face is averaged over


@dataclass(frozen=True)
class CropRule:
    """The square that is cut around a face's box and brought to the model's input size.

    Attributes:
        margin: of the box's longer side, added on each side; 0 cuts at the box.
        shift_x, shift_y: where the square's centre lies from the box's, in parts of the box's longer side.
        upright: whether the face is turned until its eyes are level.
        provisional: whether these numbers are set and not yet measured.

    Raises:
        MienError: a number outside its range.
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
                raise MienError(f"crop rule: {field} is a number, got {value!r}")
            if not -0.5 < value <= 2:
                raise MienError(f"crop rule: {field} is above -0.5 and at most 2 sides of the box, got {value}")
        for field in ("upright", "provisional"):
            if not isinstance(getattr(self, field), bool):
                raise MienError(f"crop rule: {field} is true or false, got {getattr(self, field)!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> CropRule:
        """What `to_dict` gave; a `MienError` names a field that is missing or unknown."""
        fields = cls.__dataclass_fields__
        if not isinstance(told, Mapping) or set(told) != set(fields):
            raise MienError(f"a crop rule has the fields {', '.join(fields)}, got {told!r}")
        return cls(**told)


# YuNet's box as it is: in the models that ship no margin, shift or turn lost less (experiments/crop_rule.py).
DEFAULT_CROP_RULE = CropRule(provisional=False)


class Rectangle(Protocol):
    """What `crop` wants to know of a box: pixels of the image."""

    @property
    def left(self) -> float: ...
    @property
    def top(self) -> float: ...
    @property
    def width(self) -> float: ...
    @property
    def height(self) -> float: ...


def crop(
    image_HW3: Pixels, box: Rectangle, landmarks: Sequence[tuple[float, float]], rule: CropRule, side: int
) -> Pixels:
    """The face in `box` as its model wants it, grey uint8 [side,side]; what lies outside the image repeats its rim.

    Shrunk by averaging all that a pixel covers, enlarged by linear interpolation.

    Args:
        image_HW3: BGR, or grey [H,W].
        box: where the face is.
        landmarks: (x, y) of right and left eye first; without them it is not turned, whatever the rule says.
        rule: how far around the box, and whether upright.
        side: of the square, in pixels.
    """
    longer = max(box.width, box.height)
    wide = longer * (1 + 2 * rule.margin)
    roll = _roll(landmarks) if rule.upright else 0.0
    along, down = np.array([math.cos(roll), math.sin(roll)]), np.array([-math.sin(roll), math.cos(roll)])
    middle = np.array([box.left + box.width / 2, box.top + box.height / 2])
    middle = middle + longer * (rule.shift_x * along + rule.shift_y * down)

    left, top = (middle - wide / 2).tolist()
    inside = 0 <= left <= image_HW3.shape[1] - side and 0 <= top <= image_HW3.shape[0] - side
    if wide == side and roll == 0 and inside and left.is_integer() and top.is_integer():
        return _grey(image_HW3[int(top) : int(top) + side, int(left) : int(left) + side])  # as the below, sooner

    grey_HW, corner = _surroundings(image_HW3, middle, wide * (math.sqrt(0.5) if roll else 0.5))
    finer = min(max(1, math.ceil(wide / side - 0.01)), _FINEST)  # samples a side of one pixel of the crop
    step = wide / (side * finer)
    # Sample (u, v) lies at the square's corner plus (u + 1/2, v + 1/2) steps; OpenCV counts from pixels' middles.
    start = middle - corner - (along + down) * (wide - step) / 2 - 0.5
    matrix = np.column_stack([along * step, down * step, start])
    samples = cv2.warpAffine(
        grey_HW, matrix, (side * finer, side * finer), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if finer > 1:
        samples = cv2.resize(samples, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(samples, np.uint8)


def _roll(landmarks: Sequence[tuple[float, float]]) -> float:
    """How far the face is turned clockwise, in radians, by the line from its right eye to its left."""
    if len(landmarks) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = landmarks[:2]
    return math.atan2(left_y - right_y, left_x - right_x)


def _surroundings(image_HW3: Pixels, middle: NDArray[np.float64], reach: float) -> tuple[Pixels, NDArray[np.float64]]:
    """The part of the image within `reach` of `middle`, up and down and to the sides, grey, and its corner."""
    high, broad = image_HW3.shape[:2]
    reach += 2  # pixels for the interpolation
    left, top = (
        int(min(max(0, math.floor(at - reach)), size - 1)) for at, size in zip(middle, (broad, high), strict=True)
    )
    right, bottom = (
        int(max(at + 1, min(size, math.ceil(m + reach))))
        for at, size, m in zip((left, top), (broad, high), middle, strict=True)
    )
    part = image_HW3[top:bottom, left:right]
    return _grey(part), np.array([left, top], np.float64)


def _grey(part: Pixels) -> Pixels:
    """Part of a BGR image [H,W,3], or of a grey one, as grey [H,W]."""
    if part.ndim == 2:
        return part
    if part.strides[1:] != (3, 1):  # else OpenCV takes the part as it lies in the image
        part = np.ascontiguousarray(part)
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)
