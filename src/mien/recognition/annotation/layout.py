"""Placement of panels beside faces without overlap.

Rectangles are left, top, width and height in pixels; N rectangles are float64 [N,4].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]
Rectangles = NDArray[np.float64]


def intersection_areas(rectangle: Rectangle, others_N4: Rectangles) -> NDArray[np.float64]:
    """Return the area of the intersection of a rectangle with each of the others in pixels, float64 [N].

    Example:
        >>> intersection_areas((0, 0, 10, 10), np.array([[5.0, 5, 10, 10], [20, 0, 5, 5]])).tolist()
        [25.0, 0.0]
    """
    left, top, width, height = rectangle
    width_N = np.minimum(others_N4[:, 0] + others_N4[:, 2], left + width) - np.maximum(others_N4[:, 0], left)
    height_N = np.minimum(others_N4[:, 1] + others_N4[:, 3], top + height) - np.maximum(others_N4[:, 1], top)
    return np.asarray(np.maximum(width_N, 0) * np.maximum(height_N, 0), np.float64)


def place_panels(
    boxes: Sequence[Rectangle], sizes: Sequence[tuple[float, float]], gaps: Sequence[float], width: int, height: int
) -> tuple[list[Rectangle], float]:
    """Return the position of each face's panel, and the area that panels cover, as a fraction of the boxes' area.

    The panels are placed greedily, each where it covers the least of the faces and the panels before it.

    Args:
        boxes: Boxes of the faces.
        sizes: Width and height of each face's panel.
        gaps: Pixels between each face and its panel.
        width: Width of the image.
        height: Height of the image.

    Example:
        >>> place_panels([(10, 10, 20, 20)], [(30, 15)], [4], 100, 80)
        ([(34, 10, 30, 15)], 0.0)
    """
    occupied_N4 = np.array(boxes, np.float64).reshape(-1, 4)
    positions: list[Rectangle] = []
    covered = 0.0
    for box, size, gap in zip(boxes, sizes, gaps, strict=True):
        candidates = _candidates(box, size, gap, width, height)
        costs = [float(intersection_areas(candidate, occupied_N4).sum()) for candidate in candidates]
        best = int(np.argmin(np.round(costs)))  # rounded, so that rounding errors do not choose between equals
        covered += costs[best]
        positions.append(candidates[best])
        occupied_N4 = np.vstack([occupied_N4, candidates[best]])
    return positions, covered / max(sum(w * h for _, _, w, h in boxes), 1)


def _candidates(box: Rectangle, size: tuple[float, float], gap: float, width: int, height: int) -> list[Rectangle]:
    """Return positions beside, below and above a box, in order of preference, shifted into the image."""
    (left, top, w, h), (a, b) = box, size
    right, bottom, margin = left + w + gap, top + h + gap, gap / 2
    corners = [
        (right, top), (left - gap - a, top), (left, bottom), (left, top - gap - b),
        (right, top + h - b), (left - gap - a, top + h - b), (left + w - a, bottom), (left + w - a, top - gap - b),
        (left + gap, top + h - b - gap),  # inside the box, if there is no room around it
    ]  # fmt: skip
    return [(_shift_inside(x, a, width, margin), _shift_inside(y, b, height, margin), a, b) for x, y in corners]


def _shift_inside(start: float, length: float, available: int, margin: float) -> float:
    """Shift an interval into the image, with a margin if there is room."""
    return max(min(start, available - length - margin), min(margin, max(available - length, 0) / 2))
