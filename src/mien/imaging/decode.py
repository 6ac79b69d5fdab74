"""Decoding of image bytes to BGR uint8 pixels.

OpenCV decodes the data. This module applies orientation, alpha and bit depth. H rows, W columns, C channels.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.imaging.formats import AVIF, BMP, JP2, JPEG, PNG, PNM, TIFF, Header, strip_png_metadata
from mien.imaging.tiff import reset_tiff_orientation

Pixels = NDArray[np.uint8]

_OPAQUE = (JPEG, BMP, PNM)  # formats without alpha
_WHITE = 255
STRIP_PIXELS = 1 << 18  # pixels that are converted to 8 bits and blended with white at once
# For each EXIF orientation: whether the stored image is transposed, and the `cv2.flip` code applied after it.
_ORIENTATIONS: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """Return an encoded image as BGR uint8 [H,W,3]; of an animation the first frame.

    Args:
        data: Content of the image file.
        header: Header of the image, from `read_header`.
        name: Name of the image in errors.

    Raises:
        ImageError: The data cannot be decoded, or its samples have neither 8 nor 16 bits.
    """
    opaque = header.format in _OPAQUE
    if header.format == PNG:
        data = strip_png_metadata(data)
    if header.format == TIFF:
        data = reset_tiff_orientation(data)
    stored = _imdecode(data, cv2.IMREAD_COLOR if opaque else cv2.IMREAD_UNCHANGED)
    # OpenCV does not scale samples of 10 or 12 bits of JPEG 2000 and AVIF, and does not return their bit depth.
    if stored is not None and header.format in (JP2, AVIF) and stored.dtype != np.uint8:
        stored = _imdecode(data, cv2.IMREAD_COLOR)
    if stored is None:
        raise ImageError(
            f"{name}: cannot decode the {header.format} data: it is damaged, truncated or of an unsupported variant; "
            "save the image again as PNG or JPEG"
        )
    if stored.shape[0] * stored.shape[1] > header.pixels:  # a format that states its size twice
        raise ImageError(
            f"{name}: damaged image: the header says {header.width} x {header.height} pixels, the data has "
            f"{stored.shape[1]} x {stored.shape[0]}"
        )
    if header.format == TIFF and stored.dtype == np.uint8 and stored.ndim == 3 and stored.shape[2] == 4:
        stored = _unpremultiply(np.asarray(stored, np.uint8))
    return apply_orientation(to_bgr(stored, name), header.orientation)


def to_bgr(stored: NDArray[np.generic], name: str, *, rgb: bool = False) -> Pixels:
    """Return pixels as contiguous BGR uint8 [H,W,3]; transparent pixels are blended with white.

    Args:
        stored: Pixels of 8 or 16 bits, [H,W] or [H,W,C] with 1 channel (grey), 2 (grey, alpha), 3 (color) or 4
            (color, alpha).
        name: Name of the image in errors.
        rgb: Whether red is the first channel.

    Raises:
        ImageError: The pixels have another shape or type.

    Example:
        >>> to_bgr(np.full((2, 2), 7, np.uint8), "grey.png").shape
        (2, 2, 3)
    """
    channels = 1 if stored.ndim == 2 else stored.shape[2] if stored.ndim == 3 else 0
    if channels not in (1, 2, 3, 4) or 0 in stored.shape:
        raise ImageError(
            f"{name}: an image must have the shape [H,W] or [H,W,C] with 1 to 4 channels, got {list(stored.shape)}"
        )
    if stored.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: pixels of type {stored.dtype} are not supported, expected uint8 (0 to 255) or uint16 (0 to "
            "65535); convert the image first"
        )
    if channels == 3 and stored.dtype == np.uint8 and not rgb:
        return np.ascontiguousarray(stored, np.uint8)
    stored_HWC = stored.reshape(*stored.shape[:2], channels)
    height, width = stored.shape[:2]
    bgr_HW3 = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bgr_HW3[top : top + rows] = _strip_to_bgr(stored_HWC[top : top + rows], rgb)
    return bgr_HW3


def _strip_to_bgr(stored_HWC: NDArray[np.generic], rgb: bool) -> Pixels:
    """Convert some rows like `to_bgr`: blending a whole image would take twenty times its memory."""
    pixels = np.ascontiguousarray(stored_HWC)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257).reshape(pixels.shape)  # 65535 becomes 255
    channels = pixels.shape[2]
    alpha_HW1 = pixels[:, :, -1:] if channels in (2, 4) else None
    color = pixels[:, :, : channels - 1] if alpha_HW1 is not None else pixels
    if color.shape[2] == 1:
        color = cv2.cvtColor(np.ascontiguousarray(color), cv2.COLOR_GRAY2BGR)
    elif rgb:
        color = cv2.cvtColor(np.ascontiguousarray(color), cv2.COLOR_RGB2BGR)
    if alpha_HW1 is not None and alpha_HW1.min() < _WHITE:
        opacity = alpha_HW1.astype(np.float32) / _WHITE
        color = np.rint(color * opacity + _WHITE * (1 - opacity)).astype(np.uint8)
    return np.asarray(color, np.uint8)


def apply_orientation(stored_HW3: Pixels, orientation: int) -> Pixels:
    """Return a stored image as it is displayed, given its EXIF orientation, 1 to 8.

    Example:
        >>> apply_orientation(np.zeros((4, 6, 3), np.uint8), 6).shape
        (6, 4, 3)
    """
    transposed, flip_code = _ORIENTATIONS[orientation]
    image_HW3 = cv2.transpose(stored_HW3) if transposed else stored_HW3
    return np.asarray(image_HW3 if flip_code is None else cv2.flip(image_HW3, flip_code), np.uint8)


def _imdecode(data: bytes, flags: int) -> NDArray[np.generic] | None:
    with _opencv_silenced():
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION * (flags >= 0))
        except (cv2.error, MemoryError):
            return None


def _unpremultiply(stored_HW4: Pixels) -> Pixels:
    """Undo the multiplication of colors by alpha that libtiff applies."""
    straight_HW4 = stored_HW4.copy()
    rows = max(1, STRIP_PIXELS // stored_HW4.shape[1])
    for top in range(0, len(stored_HW4), rows):
        strip_HW4 = stored_HW4[top : top + rows]
        factor_HW1 = _WHITE / np.maximum(strip_HW4[:, :, 3:].astype(np.float32), 1)
        straight_HW4[top : top + rows, :, :3] = np.rint(strip_HW4[:, :, :3] * factor_HW1).clip(0, _WHITE)
    return straight_HW4


_log_lock = threading.Lock()
_decoding, _log_level = 0, 0


@contextmanager
def _opencv_silenced() -> Iterator[None]:
    """Keep OpenCV from writing decoding errors to stderr.

    Its log level belongs to the process, so calls of several threads are counted.
    """
    global _decoding, _log_level
    with _log_lock:
        if _decoding == 0:
            _log_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _decoding += 1
    try:
        yield
    finally:
        with _log_lock:
            _decoding -= 1
            if _decoding == 0:
                cv2.utils.logging.setLogLevel(_log_level)
