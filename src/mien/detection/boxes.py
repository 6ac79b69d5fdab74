"""Boxes in an image and detected faces.

Pixels are those of the image as it is displayed, after EXIF orientation; (0, 0) is its upper left corner, x goes right,
y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mien.errors import MienError


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, which may reach beyond the edge of the image.

    Attributes:
        left: Horizontal position of the left side.
        top: Vertical position of the upper side.
        width: Width, above 0.
        height: Height, above 0.

    Raises:
        MienError: A number is not finite, or a side is not above 0.

    Example:
        >>> Box(10, 20, 30, 40).right
        40
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        sides = (self.left, self.top, self.width, self.height)
        if not all(math.isfinite(side) for side in sides):
            raise MienError(f"a box needs finite numbers for left, top, width and height in pixels, got {sides}")
        if not (self.width > 0 and self.height > 0):
            raise MienError(f"a box must be wider and higher than 0 pixels, got {self.width} by {self.height}")

    @property
    def right(self) -> float:
        """Horizontal position of the right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Vertical position of the lower side."""
        return self.top + self.height

    def to_dict(self) -> dict[str, float]:
        """Return left, top, width and height, rounded to hundredths of a pixel."""
        return {side: round(getattr(self, side), 2) for side in ("left", "top", "width", "height")}


@dataclass(frozen=True)
class Detection:
    """A detected face.

    Attributes:
        box: Box around the face; it may reach beyond the edge of the image.
        score: Score of the detector, 0 to 1.
        landmarks: Points (x, y): right eye, left eye, nose tip, right and left corner of the mouth; right and left are
            the person's own. Empty for a detector without landmarks.

    Example:
        >>> Detection(Box(10, 20, 30, 40), score=0.9).landmarks
        ()
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Searched:
    """The sizes in which an image was searched for faces.

    Attributes:
        scales: Longer side in pixels of each copy of the image that was searched, ascending.
        smallest_face: Height in pixels of the smallest face that is found as a rule.

    Example:
        >>> Searched((160, 1280), 14).to_dict()
        {'scales': [160, 1280], 'smallest_face': 14}
    """

    scales: tuple[int, ...]
    smallest_face: int

    def to_dict(self) -> dict[str, Any]:
        """Return both fields as JSON types."""
        return {"scales": list(self.scales), "smallest_face": self.smallest_face}


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1.

    Example:
        >>> iou(Box(0, 0, 10, 10), Box(5, 0, 10, 10))
        0.3333333333333333
    """
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (a.width * a.height + b.width * b.height - intersection)
