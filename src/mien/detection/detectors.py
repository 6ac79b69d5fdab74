"""Registry of face detectors by name.

To add one, write a function that returns a `Detector` and decorate it with `@detector`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection, Searched
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.detection.yunet import YuNet

THRESHOLD = 0.65  # least score of a face
LONGEST_SIDE = 1280  # pixels of a photo's longer side, above which faces are detected in a smaller copy
VIDEO_LONGEST_SIDE = 640  # the same for a video frame
SMALLEST = 20  # pixels of the height of a face, from which nearly all are found

Pixels = NDArray[np.uint8]


class Detector(Protocol):
    """A face detector. Several threads may call one at the same time.

    Attributes:
        name: Name in `DETECTORS`.
        boxes_are_crops: Whether the boxes are crops like those that models are trained on, so that the crop rule of a
            model is not applied to them.
    """

    @property
    def name(self) -> str:
        """Name in `DETECTORS`."""
        ...

    @property
    def boxes_are_crops(self) -> bool:
        """Whether the crop rule of a model is not applied to the boxes."""
        ...

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        """Return the faces in a BGR image, uint8 [H,W,3], from left to right."""
        ...


@runtime_checkable
class ConfigurableDetector(Detector, Protocol):
    """A detector that can be copied with another image size, number of threads or threshold.

    Attributes:
        threshold: Least score of a face.
        longest_side: Pixels of an image's longer side, above which faces are detected in a smaller copy.
    """

    @property
    def threshold(self) -> float:
        """Least score of a face."""
        ...

    @property
    def longest_side(self) -> int:
        """Pixels of an image's longer side, above which faces are detected in a smaller copy."""
        ...

    def candidates(self, image_HW3: Pixels, least: float) -> tuple[Detection, ...]:
        """Return the faces, and the places with a score from `least` to the threshold that may be faces."""
        ...

    def searched(self, height: int, width: int) -> Searched:
        """Return the sizes in which an image of `height` x `width` pixels is searched."""
        ...

    def one_scale(self) -> ConfigurableDetector:
        """Return the detector that searches an image in one size."""
        ...

    def with_longest_side(self, longest_side: int) -> ConfigurableDetector:
        """Return the same detector for images whose longer side is reduced to at most `longest_side` pixels."""
        ...

    def with_threads(self, threads: int) -> ConfigurableDetector:
        """Return the same detector with a model that uses `threads` threads."""
        ...

    def with_threshold(self, threshold: float) -> ConfigurableDetector:
        """Return the same detector with another least score of a face."""
        ...


class DetectorFactory(Protocol):
    """A function that builds a detector; it may ignore options that do not apply."""

    __name__: str

    def __call__(self, *, threshold: float, longest_side: int, threads: int | None) -> Detector:
        """Return a detector; the options are those of `build_detector`."""
        ...


DETECTORS: dict[str, DetectorFactory] = {}


def detector(factory: DetectorFactory) -> DetectorFactory:
    """Register a function that builds a detector in `DETECTORS`, under its own name."""
    if factory.__name__ in DETECTORS:
        raise MienError(f"detector '{factory.__name__}' is already registered")
    DETECTORS[factory.__name__] = factory
    return factory


def build_detector(
    name: str, *, threshold: float = THRESHOLD, longest_side: int = LONGEST_SIDE, threads: int | None = None
) -> Detector:
    """Return the detector of a name.

    Args:
        name: One of `DETECTORS`: `yunet`, or `whole` for images that are face crops already.
        threshold: Least score of a face, 0 to 1.
        longest_side: Pixels of an image's longer side, above which faces are detected in a smaller copy.
        threads: Number of threads of one forward pass; default `mien.threads.threads()`.

    Raises:
        MienError: The name is unknown, or an option is out of its range.

    Example:
        >>> build_detector("whole")(np.zeros((60, 80, 3), np.uint8))[0].box
        Box(left=10, top=0, width=60, height=60)
    """
    if not isinstance(name, str) or name not in DETECTORS:
        raise MienError(f"unknown detector {name!r}; available: {', '.join(DETECTORS)}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise MienError(f"threshold must be a number above 0 and at most 1, got {threshold!r}")
    if isinstance(longest_side, bool) or not isinstance(longest_side, int) or longest_side < 32:
        raise MienError(f"longest_side must be a whole number of pixels, at least 32, got {longest_side!r}")
    return DETECTORS[name](threshold=float(threshold), longest_side=longest_side, threads=threads)


@detector
def yunet(*, threshold: float, longest_side: int, threads: int | None) -> Detector:
    """Return YuNet 2023mar, for faces from about 10 pixels, upright or rotated by up to about 40 degrees."""
    from mien.detection.yunet import YuNet

    return _YuNetDetector("yunet", YuNet(threads=threads), threshold, longest_side)


@detector
def whole(*, threshold: float, longest_side: int, threads: int | None) -> Detector:
    """Return a detector that takes the central square of each image as the face, as training folders do."""
    return _WholeImage()


@dataclass(frozen=True)
class _YuNetDetector:
    """YuNet on images that are reduced to a limited size."""

    name: str
    model: YuNet
    threshold: float
    longest_side: int
    boxes_are_crops: bool = False

    def with_longest_side(self, longest_side: int) -> _YuNetDetector:
        return replace(self, longest_side=longest_side)

    def with_threads(self, threads: int) -> _YuNetDetector:
        return replace(self, model=self.model.with_threads(threads))

    def with_threshold(self, threshold: float) -> _YuNetDetector:
        return replace(self, threshold=threshold)

    def one_scale(self) -> _YuNetDetector:
        return self

    def searched(self, height: int, width: int) -> Searched:
        longer = max(height, width)
        scale = min(longer, self.longest_side)
        return Searched((scale,), math.ceil(SMALLEST * longer / scale))

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        return self.candidates(image_HW3, self.threshold)

    def candidates(self, image_HW3: Pixels, least: float) -> tuple[Detection, ...]:
        height, width = image_HW3.shape[:2]
        longer = max(height, width)
        small_HW3 = image_HW3
        if longer > self.longest_side:
            size = [max(1, round(side * self.longest_side / longer)) for side in (width, height)]
            small_HW3 = np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)
        scale_2 = np.array([width / small_HW3.shape[1], height / small_HW3.shape[0]])
        faces_N15 = self.model(small_HW3, min(least, self.threshold)).astype(np.float64)
        faces_N15[:, :14] *= np.tile(scale_2, 7)
        return tuple(sorted(_detections(faces_N15, width, height), key=lambda d: (d.box.left, d.box.top)))


def _detections(faces_N15: NDArray[np.float64], width: int, height: int) -> Iterator[Detection]:
    """Yield the rows of YuNet's output, in pixels of the image, that are finite and have their center in the image.

    Other centers are in the padding.
    """
    center_N2 = faces_N15[:, :2] + faces_N15[:, 2:4] / 2
    inside_N = ((center_N2 >= 0) & (center_N2 <= (width, height))).all(1) & (faces_N15[:, 2:4] > 0).all(1)
    for face in faces_N15[inside_N & np.isfinite(faces_N15).all(1)].tolist():
        points = tuple(zip(face[4:14:2], face[5:14:2], strict=True))
        yield Detection(Box(*face[:4]), face[14], points)


def shrink(image_HW3: Pixels, scale: float) -> Pixels:
    """Return an image reduced to a fraction of its size: by halves and a whole factor, for which OpenCV is fast, first.

    Example:
        >>> shrink(np.zeros((100, 300, 3), np.uint8), 0.3).shape
        (30, 90, 3)
    """
    height, width = image_HW3.shape[:2]
    size, factor = (max(1, round(width * scale)), max(1, round(height * scale))), int(1 / scale + 1e-9)
    while factor > 1 and min(image_HW3.shape[:2]) > 1:
        step = 2 if factor % 2 == 0 else min(factor, *image_HW3.shape[:2])
        factor //= step
        rows, columns = (
            image_HW3.shape[0] // step,
            image_HW3.shape[1] // step,
        )  # up to a few pixels at the edge are left out
        part_HW3 = image_HW3[: rows * step, : columns * step]
        image_HW3 = np.asarray(cv2.resize(part_HW3, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    if image_HW3.shape[1::-1] == size or scale >= 1:
        return image_HW3
    return np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class _WholeImage:
    """The central square of each image as its face."""

    name: str = "whole"
    boxes_are_crops: bool = True

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        height, width = image_HW3.shape[:2]
        side = min(height, width)
        return (Detection(Box((width - side) // 2, (height - side) // 2, side, side), 1.0),)
