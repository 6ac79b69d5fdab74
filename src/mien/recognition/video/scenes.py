"""Scene changes: hard cuts between two frames, in bright and in dark scenes.

Small gray copies of two frames are compared. At a cut, most pixels change by much, compared with the contrast of the
scene, and the ranks of their brightness hardly correlate. The ranks are the same after a change of light, and a bright
face in a dark scene has no more weight than its area. In a fade, consecutive frames differ little.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (32, 18)  # of a small copy
_MIN_CHANGED = 0.5  # part of the pixels that change at a cut
_MAX_CORRELATION = 0.5  # of the ranks of the pixels at a cut
_MIN_CHANGE = 0.25  # change of a pixel, in standard deviations of the scene
_NOISE, _MAX_CHANGE = 2, 12  # levels; smaller changes may be noise, larger ones always count

Pixels = NDArray[np.uint8]


class SceneDetector:
    """Finds scene changes in consecutive frames, and the return to the scene before the last change.

    Example:
        >>> detector, noise = SceneDetector(), np.random.default_rng(0)
        >>> a, b = (np.repeat(noise.integers(0, 30, (9, 16, 3), np.uint8), 20, axis=1).repeat(20, axis=0) for _ in "ab")
        >>> [detector.update(frame) for frame in (a, a, b, b, a)]
        [None, None, 'new', None, 'back']
    """

    def __init__(self) -> None:
        self._last: Pixels | None = None
        self._earlier: Pixels | None = None  # last frame before the last change

    def update(self, image_HW3: Pixels) -> Literal["new", "back"] | None:
        """Return whether a frame begins a new scene, or goes back to the one before the last change; None if neither.

        Args:
            image_HW3: BGR frame, uint8 [H,W,3].
        """
        before, self._last = self._last, _small_copy(image_HW3)
        if before is None or not _is_cut(before, self._last):
            return None
        is_back = self._earlier is not None and not _is_cut(self._earlier, self._last)
        self._earlier = before
        return "back" if is_back else "new"


def _small_copy(image_HW3: Pixels) -> Pixels:
    """Return a small gray copy of a frame."""
    step = max(1, min(image_HW3.shape[:2]) // 45)
    sampled = np.ascontiguousarray(image_HW3[::step, ::step])
    return np.asarray(
        cv2.cvtColor(cv2.resize(sampled, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY), np.uint8
    )


def _is_cut(a_HW: Pixels, b_HW: Pixels) -> bool:
    """Return whether two small copies show different scenes."""
    difference_HW = cv2.absdiff(a_HW, b_HW)
    if np.count_nonzero(difference_HW > _NOISE) < _MIN_CHANGED * a_HW.size:
        return False
    contrast = min(_contrast(a_HW), _contrast(b_HW))
    least = int(min(max(_MIN_CHANGE * contrast, _NOISE), _MAX_CHANGE))
    if np.count_nonzero(difference_HW > least) < _MIN_CHANGED * a_HW.size:
        return False
    a_P, b_P = _ranks(a_HW), _ranks(b_HW)
    return bool(a_P @ b_P < _MAX_CORRELATION * np.sqrt((a_P @ a_P) * (b_P @ b_P)) or not (a_P.any() and b_P.any()))


def _contrast(image_HW: Pixels) -> float:
    """Return the standard deviation of the pixels, estimated from their quartiles, so that a face hardly changes it."""
    low, high = np.percentile(image_HW, (25, 75))
    return float(high - low) / 1.35


def _ranks(image_HW: Pixels) -> NDArray[np.float64]:
    """Return the rank of each pixel, as a difference from the mean; equal pixels have equal ranks."""
    counts = np.bincount(image_HW.ravel(), minlength=256)
    ranks_P = (np.cumsum(counts) - counts / 2)[image_HW.ravel()]
    return np.asarray(ranks_P - ranks_P.mean(), np.float64)
