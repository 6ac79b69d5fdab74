"""Registry of face detectors, each found by its name.

To add one, write a function that returns a `Detector` and put `@detector` above it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box, Detection
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.detection.yunet import YuNet

THRESHOLD = 0.65  # the score that a face needs
LONGEST = 1280  # pixels of a photo's longer side, above which faces are looked for in a smaller copy
VIDEO_LONGEST_SIDE = 640  # the same for a frame of a video

Pixels = NDArray[np.uint8]


class Detector(Protocol):
    """What finds faces. Several threads may call one at the same time.

    Attributes:
        name: as in `DETECTORS`.
        crops: whether its boxes are crops as models were trained on, so that no crop rule is applied to them.
    """

    @property
    def name(self) -> str: ...
    @property
    def crops(self) -> bool: ...

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        """The faces in a BGR uint8 image [H,W,3], from left to right."""
        ...


@runtime_checkable
class ConfigurableDetector(Detector, Protocol):
    """A detector that can be had for images of another size, with other threads, or more or less sure."""

    def with_longest_side(self, longest_side: int) -> ConfigurableDetector:
        """The same detector, which looks at copies whose longer side is at most `longest_side` pixels."""
        ...

    def with_threads(self, threads: int) -> ConfigurableDetector:
        """The same detector, with a model that uses so many threads."""
        ...

    def with_threshold(self, threshold: float) -> ConfigurableDetector:
        """The same detector, which wants another score of a face."""
        ...


class DetectorFactory(Protocol):
    """What makes a detector, from options that each may leave unused."""

    __name__: str

    def __call__(self, *, threshold: float, longest_side: int, threads: int | None) -> Detector: ...


DETECTORS: dict[str, DetectorFactory] = {}


def detector(make: DetectorFactory) -> DetectorFactory:
    """Put a maker of detectors into `DETECTORS`, under the function's name."""
    if make.__name__ in DETECTORS:
        raise MienError(f"two detectors are called '{make.__name__}'")
    DETECTORS[make.__name__] = make
    return make


def build_detector(
    name: str, *, threshold: float = THRESHOLD, longest_side: int = LONGEST, threads: int | None = None
) -> Detector:
    """The detector called `name`, ready to be asked.

    Args:
        name: one of `DETECTORS`: `yunet`, or `whole`, for images that are each a face already.
        threshold: the score that a face needs, 0 to 1.
        longest_side: in pixels; an image whose longer side is above it is looked at in a smaller copy.
        threads: of one forward; default `mien.threads.threads()`.

    Raises:
        MienError: none is called so, or an option is out of its range.
    """
    if not isinstance(name, str) or name not in DETECTORS:
        raise MienError(f"no detector is called {name!r}; there are: {', '.join(DETECTORS)}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise MienError(f"the detector's threshold is a score above 0 and at most 1, got {threshold!r}")
    if isinstance(longest_side, bool) or not isinstance(longest_side, int) or longest_side < 32:
        raise MienError(f"longest_side is a whole number of pixels from 32 on, got {longest_side!r}")
    return DETECTORS[name](threshold=float(threshold), longest_side=longest_side, threads=threads)


@detector
def yunet(*, threshold: float, longest_side: int, threads: int | None) -> Detector:
    """YuNet 2023mar: faces from about 10 pixels on, upright or turned by up to about 40 degrees."""
    from mien.detection.yunet import YuNet

    return _Scaled("yunet", YuNet(threads=threads), threshold, longest_side)


@detector
def whole(*, threshold: float, longest_side: int, threads: int | None) -> Detector:
    """The image is the face: its middle square, as in folders that models learn from."""
    return _Whole()


@dataclass(frozen=True)
class _Scaled:
    """A model that finds faces in images of a bearable size."""

    name: str
    model: YuNet
    threshold: float
    longest_side: int
    crops: bool = False

    def with_longest_side(self, longest_side: int) -> _Scaled:
        return replace(self, longest_side=longest_side)

    def with_threads(self, threads: int) -> _Scaled:
        return replace(self, model=self.model.with_threads(threads))

    def with_threshold(self, threshold: float) -> _Scaled:
        return replace(self, threshold=threshold)

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        high, wide = image_HW3.shape[:2]
        longer = max(high, wide)
        if longer > self.longest_side:
            size = [max(1, round(side * self.longest_side / longer)) for side in (wide, high)]
            small = np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            small = image_HW3
        scale = np.array([wide / small.shape[1], high / small.shape[0]])
        found = [_detection(row, scale) for row in self.model(small, self.threshold).astype(np.float64)]
        inside = [d for d in found if d is not None and _middle_is_inside(d.box, wide, high)]
        return tuple(sorted(inside, key=lambda d: (d.box.left, d.box.top)))


def _detection(row_15: NDArray[np.float64], scale_2: NDArray[np.float64]) -> Detection | None:
    """A row of YuNet's brought to the whole image's pixels; None for numbers that are none."""
    left, top, width, height = (row_15[:4].reshape(2, 2) * scale_2).ravel().tolist()
    if not np.isfinite(row_15).all() or not (width > 0 and height > 0):
        return None
    points = row_15[4:14].reshape(5, 2) * scale_2
    return Detection(Box(left, top, width, height), float(row_15[14]), tuple((float(x), float(y)) for x, y in points))


def _middle_is_inside(box: Box, wide: int, high: int) -> bool:
    """A face whose middle lies outside, in what was added around the image, was seen in nothing."""
    return 0 <= box.left + box.width / 2 <= wide and 0 <= box.top + box.height / 2 <= high


@dataclass(frozen=True)
class _Whole:
    name: str = "whole"
    crops: bool = True

    def __call__(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        high, wide = image_HW3.shape[:2]
        side = min(high, wide)
        return (Detection(Box((wide - side) // 2, (high - side) // 2, side, side), 1.0),)
