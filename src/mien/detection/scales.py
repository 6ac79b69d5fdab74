"""Detection at several sizes of one image, merged into one list of faces.

A detector finds the faces whose size it was trained on. An image is therefore searched in up to three copies: a
close-up copy for faces that fill the image, the base copy that one-scale detection uses, and a fine copy for small
faces in a large or long image. The fine copy is searched in overlapping tiles, each cut from the image itself, so that
no more than a tile is in memory.

H rows, W columns, N boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection, Searched
from mien.detection.detectors import SMALLEST, ConfigurableDetector, shrink
from mien.detection.yunet import NMS_IOU, nms
from mien.errors import MienError

SCALES = ("auto", "one")  # several sizes, or the base copy only
CLOSE_UP = 128  # longer side of the close-up copy in pixels
LARGEST = 360  # pixels of a face in a copy, above which the detector loses it or finds parts of it
MAX_SHRINK = 3.0  # factor by which the base copy may shrink the image before the fine copy is searched too
FINE_PIXELS = 4  # pixels of the fine copy at most, in squares of the base copy's longest side
_SMALLEST_PART = 0.25  # part of a face that is taken for a face: least height, as a fraction of the face
_INSIDE = 0.5  # share of the area of such a part that is inside the face
_MIN_OVERLAP = 64  # pixels that tiles share at least

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class MultiScaleDetector:
    """A detector that searches an image in several sizes.

    Attributes:
        detector: Detector for one size.
        min_face: Height in pixels of the smallest face to search for; None to search for small faces only as far as
            the default limit on the size of the fine copy allows.

    Raises:
        MienError: `min_face` is not a whole number above 0.

    Example:
        >>> from mien.detection.detectors import build_detector
        >>> detector = MultiScaleDetector(build_detector("yunet"))
        >>> detector.searched(4000, 6000)
        Searched(scales=(128, 1280, 3135), smallest_face=39)
    """

    detector: ConfigurableDetector
    min_face: int | None = None

    def __post_init__(self) -> None:
        if self.min_face is not None and (
            isinstance(self.min_face, bool) or not isinstance(self.min_face, int) or self.min_face < 1
        ):
            raise MienError(f"min_face must be a whole number of pixels, at least 1, got {self.min_face!r}")

    @property
    def name(self) -> str:
        """Name of the detector for one size."""
        return self.detector.name

    @property
    def boxes_are_crops(self) -> bool:
        """Whether the crop rule of a model is not applied to the boxes."""
        return self.detector.boxes_are_crops

    @property
    def threshold(self) -> float:
        """Least score of a face."""
        return self.detector.threshold

    @property
    def longest_side(self) -> int:
        """Longer side of the base copy in pixels."""
        return self.detector.longest_side

    def with_longest_side(self, longest_side: int) -> MultiScaleDetector:
        """Return the same detector with a base copy of another size."""
        return replace(self, detector=self.detector.with_longest_side(longest_side))

    def with_threads(self, threads: int) -> MultiScaleDetector:
        """Return the same detector with a model that uses `threads` threads."""
        return replace(self, detector=self.detector.with_threads(threads))

    def with_threshold(self, threshold: float) -> MultiScaleDetector:
        """Return the same detector with another least score of a face."""
        return replace(self, detector=self.detector.with_threshold(threshold))

    def one_scale(self) -> ConfigurableDetector:
        """Return the detector for one size."""
        return self.detector

    def searched(self, height: int, width: int) -> Searched:
        """Return the sizes in which an image of `height` x `width` pixels is searched."""
        longer, base = max(height, width), self.detector.searched(height, width)
        fine = self._fine_scale(height, width)
        scales = (*((CLOSE_UP,) if self._has_close_up(longer) else ()), *base.scales)
        if fine is None:
            return replace(base, scales=scales)
        return Searched((*scales, round(fine * longer)), math.ceil(SMALLEST / fine - 1e-9))

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        """Return the faces in a BGR image, uint8 [H,W,3], from left to right."""
        return self.candidates(image_HW3, self.threshold)

    def candidates(self, image_HW3: Pixels, least: float) -> tuple[Detection, ...]:
        """Return the faces, and the places with a score from `least` to the threshold that may be faces."""
        height, width = image_HW3.shape[:2]
        base, fine = max(1.0, max(height, width) / self.longest_side), self._fine_scale(height, width)
        passes = [(base, self.detector.candidates(image_HW3, least))]
        if self._has_close_up(max(height, width)):
            passes.append((max(height, width) / CLOSE_UP, self._close_up(image_HW3, least)))
        if fine is not None:
            passes.append((1 / fine, tuple(self._in_tiles(image_HW3, fine, round(2 * SMALLEST * base * fine), least))))
        return merge([(factor, found) for factor, found in passes if found], self.threshold)

    def _has_close_up(self, longer: int) -> bool:
        """Return whether a face in the base copy can be too large for the detector."""
        return min(longer, self.longest_side) > LARGEST

    def _fine_scale(self, height: int, width: int) -> float | None:
        """Return the size of the fine copy as a fraction of the image; None if the base copy is enough."""
        base = min(1.0, self.longest_side / max(height, width))
        if self.min_face is not None:
            fine = min(1.0, SMALLEST / self.min_face)
            return fine if fine > base else None
        return (
            min(1.0, self.longest_side * math.sqrt(FINE_PIXELS / (height * width))) if base * MAX_SHRINK < 1 else None
        )

    def _close_up(self, image_HW3: Pixels, least: float) -> tuple[Detection, ...]:
        small_HW3 = shrink(image_HW3, CLOSE_UP / max(image_HW3.shape[:2]))
        scale = image_HW3.shape[1] / small_HW3.shape[1], image_HW3.shape[0] / small_HW3.shape[0]
        return tuple(moved(d, (0, 0), scale) for d in self.detector.candidates(small_HW3, least))

    def _in_tiles(self, image_HW3: Pixels, fine: float, largest: int, least: float) -> Iterator[Detection]:
        """Yield the faces in the tiles of the fine copy that are not larger than `largest` pixels there.

        Tiles share more than the largest face, and a face is taken from the tile whose part of the image its center is
        in, so no face is cut in the tile that it is taken from.
        """
        height, width = image_HW3.shape[:2]
        shared = math.ceil(max(_MIN_OVERLAP, 2 * largest) / fine)
        side = max(int(self.longest_side / fine), 2 * shared)
        for rows, columns in product(_tiles(height, side, shared), _tiles(width, side, shared)):
            tile_HW3 = image_HW3[rows.begin : rows.end, columns.begin : columns.end]
            small_HW3 = shrink(tile_HW3, fine)
            scale = tile_HW3.shape[1] / small_HW3.shape[1], tile_HW3.shape[0] / small_HW3.shape[0]
            for found in self.detector.with_longest_side(max(small_HW3.shape[:2]) + 32).candidates(small_HW3, least):
                detection = moved(found, (columns.begin, rows.begin), scale)
                x, y = detection.box.left + detection.box.width / 2, detection.box.top + detection.box.height / 2
                own = columns.first <= x < columns.last and rows.first <= y < rows.last
                if own and max(found.box.width, found.box.height) <= largest:
                    yield detection


@dataclass(frozen=True)
class _Tile:
    """Part of the rows or columns of an image: those that are searched, and those whose faces are its own."""

    begin: int
    end: int
    first: float
    last: float


def _tiles(length: int, side: int, shared: int) -> list[_Tile]:
    """Return tiles of at most `side` pixels that cover `length` pixels; neighbors share at least `shared`."""
    count = max(1, math.ceil((length - shared) / (side - shared)))
    begins = [round(i * max(0, length - side) / max(1, count - 1)) for i in range(count)]
    middles = [(begin + side + following) / 2 for begin, following in pairwise(begins)]
    edges = [-math.inf, *middles, math.inf]
    return [_Tile(begin, min(begin + side, length), *edges[i : i + 2]) for i, begin in enumerate(begins)]


def moved(detection: Detection, corner: tuple[float, float], scale: tuple[float, float]) -> Detection:
    """Return a detection in a part of an image, reduced by `scale` (x, y), in pixels of the image.

    Example:
        >>> moved(Detection(Box(1, 2, 3, 4), 0.9), (100, 0), (2, 2)).box
        Box(left=102, top=4, width=6, height=8)
    """
    (left, top), (scale_x, scale_y), box = corner, scale, detection.box
    box = Box(left + scale_x * box.left, top + scale_y * box.top, scale_x * box.width, scale_y * box.height)
    points = tuple((left + scale_x * x, top + scale_y * y) for x, y in detection.landmarks)
    return Detection(box, detection.score, points)


def merge(passes: list[tuple[float, tuple[Detection, ...]]], threshold: float) -> tuple[Detection, ...]:
    """Return the faces that were found in several copies of an image, once each, from left to right.

    Of boxes of the same face, that of the copy in which the face has a size that the detector was trained on is kept;
    of several such copies, that of the first. A box inside a face that is too large for its copy is a part of this
    face, and is dropped.

    Args:
        passes: For each copy the factor by which it is smaller than the image, and the faces in pixels of the image.
        threshold: Score from which a detection is a face; those below it do not remove any face.
    """
    if len(passes) < 2:
        return passes[0][1] if passes else ()
    found = [detection for _, detections in passes for detection in detections]
    factor_N = np.repeat([factor for factor, _ in passes], [len(detections) for _, detections in passes])
    order_N = np.repeat(np.arange(len(passes)), [len(detections) for _, detections in passes])
    box_N4 = np.array([[d.box.left, d.box.top, d.box.width, d.box.height] for d in found])
    score_N = np.array([d.score for d in found])
    size_N = box_N4[:, 2:].max(1)
    fits_N = (size_N <= LARGEST * factor_N) & (size_N >= SMALLEST * factor_N)
    keep_N = np.ones(len(found), bool)
    for i in np.flatnonzero(fits_N & (score_N >= threshold) & (size_N > LARGEST * factor_N.min())):
        left, top, width, height = box_N4[i]
        x_N, y_N = (box_N4[:, :2] + box_N4[:, 2:] / 2).T
        inside_N = (abs(x_N - left - width / 2) < _INSIDE * width) & (abs(y_N - top - height / 2) < _INSIDE * height)
        part_N = inside_N & (size_N[i] > LARGEST * factor_N) & (size_N > _SMALLEST_PART * size_N[i])
        keep_N &= ~part_N
    # One rank in place of the score: faces before candidates, fitting sizes before others, then copies in their order.
    rank_N = 8.0 * (score_N >= threshold) + 4.0 * fits_N - order_N + score_N
    kept = np.flatnonzero(keep_N)
    kept = kept[nms(box_N4[kept].astype(np.float32), rank_N[kept].astype(np.float32), NMS_IOU)]
    return tuple(sorted((found[i] for i in kept), key=lambda d: (d.box.left, d.box.top)))
