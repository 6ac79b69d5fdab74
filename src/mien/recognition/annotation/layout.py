"""Placement of panels beside faces without overlap.

Rectangles are left, top, width, height in pixels, one a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]
Rectangles = NDArray[np.float64]


def overlap(one: Rectangle, others_N4: Rectangles) -> NDArray[np.float64]:
    """How many pixels `one` shares with each of the others, float64 [N]."""
    left, top, wide, high = one
    across = np.minimum(others_N4[:, 0] + others_N4[:, 2], left + wide) - np.maximum(others_N4[:, 0], left)
    along = np.minimum(others_N4[:, 1] + others_N4[:, 3], top + high) - np.maximum(others_N4[:, 1], top)
    return np.asarray(np.maximum(across, 0) * np.maximum(along, 0), np.float64)


def place(
    boxes: Sequence[Rectangle], sizes: Sequence[tuple[float, float]], gaps: Sequence[float], wide: int, high: int
) -> tuple[list[Rectangle], float]:
    """A place for each box's panel, and how much they hide of what should be seen, as a share of the boxes' area.

    Args:
        boxes: the faces.
        sizes: width and height of each face's panel.
        gaps: pixels between a face and its panel.
        wide, high: of the image.
    """
    taken = np.array(boxes, np.float64).reshape(-1, 4)
    places: list[Rectangle] = []
    hidden = 0.0
    for box, size, gap in zip(boxes, sizes, gaps, strict=True):
        near = _around(box, size, gap, wide, high)
        costs = [float(overlap(at, taken).sum()) for at in near]
        best = int(np.argmin(np.round(costs)))  # else a rounding error decides between places that are as good
        hidden += costs[best]
        places.append(near[best])
        taken = np.vstack([taken, near[best]])
    return places, hidden / max(sum(w * h for _, _, w, h in boxes), 1)


def _around(box: Rectangle, size: tuple[float, float], gap: float, wide: int, high: int) -> list[Rectangle]:
    """Beside, below and above the box, in the order in which they are liked, shifted into the image."""
    (left, top, w, h), (a, b) = box, size
    right, bottom, rim = left + w + gap, top + h + gap, gap / 2
    at = [
        (right, top), (left - gap - a, top), (left, bottom), (left, top - gap - b),
        (right, top + h - b), (left - gap - a, top + h - b), (left + w - a, bottom), (left + w - a, top - gap - b),
        (left + gap, top + h - b - gap),  # within the box, where there is no room around it
    ]  # fmt: skip
    return [(_into(x, a, wide, rim), _into(y, b, high, rim), a, b) for x, y in at]


def _into(start: float, length: float, room: int, rim: float) -> float:
    return max(min(start, room - length - rim), min(rim, max(room - length, 0) / 2))
