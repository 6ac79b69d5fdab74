"""Face crops of image files: the middle square of face crops, and detected faces of photos.

The faces of photos are detected and cropped as in recognition: by the same detector and the crop rule that models are
exported with. H rows, W columns.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.detection.boxes import Box, Detection
from mien.detection.detectors import Detector, build_detector
from mien.errors import DataError, ImageError
from mien.imaging.crop import DEFAULT_CROP_RULE, CropRule, crop
from mien.imaging.load import read_encoded, read_image_and_notes
from mien.threads import threads

AUTO, ALWAYS, NEVER = "auto", "always", "never"
CROP_MODES = (AUTO, ALWAYS, NEVER)
CROP_SIDE = 130  # pixels of the shorter side up to which `auto` takes an image as a face crop
DETECTOR = "yunet"
_AHEAD = 4  # images per thread that are read before they are used

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageFace:
    """The face of one image file, or why there is none.

    Attributes:
        path: Path of the file.
        data: Content of the file; empty if it cannot be read.
        face_HW: Face, gray uint8 [48,48]; None if the image cannot be read or has no face.
        detections: Detected faces, the largest first; None if the image was taken as a face crop.
        error: Why the image cannot be read, or empty.
        key: SHA-256 of the content.
    """

    path: Path
    data: bytes
    face_HW: Pixels | None
    detections: tuple[Detection, ...] | None = None
    error: str = ""
    key: bytes = b""


class FaceCropper:
    """Crops the face of an image. Several threads may call one at the same time.

    Args:
        mode: `auto` to detect faces in images whose shorter side is above `CROP_SIDE` pixels; `always` to detect them
            in all images; `never` to take the middle square of each.

    Raises:
        DataError: The mode is unknown.

    Example:
        >>> from mien.recognition import sample
        >>> face = FaceCropper("auto").read(Path(sample()))
        >>> face.face_HW.shape, len(face.detections)
        ((48, 48), 1)
    """

    def __init__(self, mode: str = AUTO) -> None:
        if mode not in CROP_MODES:
            raise DataError(f"--crop must be one of {', '.join(CROP_MODES)}, got '{mode}'")
        self.mode = mode
        self.rule = DEFAULT_CROP_RULE
        self._detector: Detector | None = None
        self._lock = threading.Lock()

    @property
    def settings(self) -> str:
        """Detector and crop rule, for digests of what was cropped."""
        return f"{DETECTOR} {self.rule}"

    def read(self, path: Path) -> ImageFace:
        """Return the face of an image file: the largest one in a photo."""
        try:
            data = read_encoded(path, path.name)
            image_HW3, notes, complete = read_image_and_notes(data, name=path.name)
        except ImageError as error:
            return ImageFace(path, b"", None, error=str(error).removeprefix(f"{path.name}: "))
        if not complete:
            return ImageFace(path, b"", None, error="; ".join(notes))
        key = hashlib.sha256(data).digest()
        if not self._is_photo(image_HW3):
            return ImageFace(path, data, middle_square(image_HW3), key=key)
        detections = sorted(self._detect(image_HW3), key=lambda d: -d.box.width * d.box.height)
        face_HW = None
        if detections:
            face_HW = crop(image_HW3, detections[0].box, detections[0].landmarks, self.rule, SIDE)
        return ImageFace(path, data, face_HW, tuple(detections), key=key)

    def read_all(self, paths: Iterable[Path]) -> Iterator[ImageFace]:
        """Yield the faces of image files in their order, read by several threads."""
        workers = threads()
        pending: list[Future[ImageFace]] = []
        with ThreadPoolExecutor(workers) as pool:
            for path in paths:
                pending.append(pool.submit(self.read, path))
                if len(pending) > _AHEAD * workers:
                    yield pending.pop(0).result()
            for future in pending:
                yield future.result()

    def _detect(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        with self._lock:  # the detector is loaded for the first photo
            self._detector = self._detector or build_detector(DETECTOR, threads=1)
        return self._detector(image_HW3)

    def _is_photo(self, image_HW3: Pixels) -> bool:
        return self.mode == ALWAYS or (self.mode == AUTO and min(image_HW3.shape[:2]) > CROP_SIDE)


def middle_square(image_HW3: Pixels) -> Pixels:
    """Return the middle square of an image, gray uint8 [48,48].

    Args:
        image_HW3: BGR image, uint8 [H,W,3].

    Example:
        >>> middle_square(np.zeros((60, 80, 3), np.uint8)).shape
        (48, 48)
    """
    height, width = image_HW3.shape[:2]
    side = min(height, width)
    box = Box((width - side) // 2, (height - side) // 2, side, side)
    return crop(image_HW3, box, (), CropRule(), SIDE)
