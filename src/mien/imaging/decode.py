"""Decoding of image bytes to BGR uint8 pixels.

OpenCV decodes; this is what it leaves to do. H rows, W columns, C channels.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.imaging.formats import (
    AVIF,
    BMP,
    JP2,
    JPEG,
    PNG,
    PNM,
    TIFF,
    Header,
    reset_tiff_orientation,
    strip_png_metadata,
)

Pixels = NDArray[np.uint8]

_OPAQUE = (JPEG, BMP, PNM)  # formats without alpha
_WHITE = 255
STRIP_PIXELS = 1 << 18  # pixels that are brought to 8 bits and laid over white at once
# EXIF's orientations as what brings the stored image upright: transposed, then mirrored about these axes.
_TURNS: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """The image in `data`, BGR uint8 [H,W,3]; of an animated one the first frame.

    Args:
        data: a whole file.
        header: what `read_header` tells of it.
        name: what to call it in errors.

    Raises:
        ImageError: it does not decode, or its samples are neither of 8 nor of 16 bits.
    """
    opaque = header.format in _OPAQUE
    if header.format == PNG:
        data = strip_png_metadata(data)
    if header.format == TIFF:
        data = reset_tiff_orientation(data)
    stored = _imdecode(data, cv2.IMREAD_COLOR if opaque else cv2.IMREAD_UNCHANGED)
    # JPEG 2000 and AVIF of 10 or 12 bits come unscaled, and then nothing tells how many they were.
    if stored is not None and header.format in (JP2, AVIF) and stored.dtype != np.uint8:
        stored = _imdecode(data, cv2.IMREAD_COLOR)
    if stored is None:
        raise ImageError(
            f"{name}: cannot be read, its {header.format} data is damaged, cut off, or of a rare kind; "
            "save it anew as PNG or JPEG"
        )
    if stored.shape[0] * stored.shape[1] > header.pixels:  # whatever else says its size twice
        raise ImageError(
            f"{name}: is damaged: it says {header.width} x {header.height} pixels and has {stored.shape[1]} x "
            f"{stored.shape[0]}"
        )
    if header.format == TIFF and stored.dtype == np.uint8 and stored.ndim == 3 and stored.shape[2] == 4:
        stored = _straight(np.asarray(stored, np.uint8))
    return upright(to_bgr(stored, name), header.orientation)


def to_bgr(stored: NDArray[np.generic], name: str, *, rgb: bool = False) -> Pixels:
    """Pixels of any usual kind as BGR uint8 [H,W,3], contiguous; alpha is laid over white.

    Args:
        stored: [H,W] or [H,W,C] with 1 grey, 2 grey and alpha, 3 color or 4 color and alpha, of 8 or 16 bits.
        name: what to call it in errors.
        rgb: whether colors are stored red first.

    Raises:
        ImageError: another shape or type.
    """
    channels = 1 if stored.ndim == 2 else stored.shape[2] if stored.ndim == 3 else 0
    if channels not in (1, 2, 3, 4) or 0 in stored.shape:
        raise ImageError(
            f"{name}: an image has the shape [H,W] or [H,W,C] with 1 to 4 channels, got {list(stored.shape)}"
        )
    if stored.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: holds {stored.dtype} samples, expected uint8 from 0 to 255 or uint16 from 0 to 65535; "
            "convert it, as its range cannot be told from its values"
        )
    if channels == 3 and stored.dtype == np.uint8 and not rgb:
        return np.ascontiguousarray(stored, np.uint8)
    stored_HWC = stored.reshape(*stored.shape[:2], channels)
    high, wide = stored.shape[:2]
    bgr_HW3 = np.empty((high, wide, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // wide)
    for top in range(0, high, rows):
        bgr_HW3[top : top + rows] = _strip_as_bgr(stored_HWC[top : top + rows], rgb)
    return bgr_HW3


def _strip_as_bgr(stored_HWC: NDArray[np.generic], rgb: bool) -> Pixels:
    """As `to_bgr`, of some rows: alpha takes twenty times an image's own memory, and more with 16 bits."""
    pixels = np.ascontiguousarray(stored_HWC)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257).reshape(pixels.shape)  # 65535 is 255
    channels = pixels.shape[2]
    alpha_HW1 = pixels[:, :, -1:] if channels in (2, 4) else None
    color = pixels[:, :, : channels - 1] if alpha_HW1 is not None else pixels
    if color.shape[2] == 1:
        color = cv2.cvtColor(np.ascontiguousarray(color), cv2.COLOR_GRAY2BGR)
    elif rgb:
        color = cv2.cvtColor(np.ascontiguousarray(color), cv2.COLOR_RGB2BGR)
    if alpha_HW1 is not None and alpha_HW1.min() < _WHITE:
        share = alpha_HW1.astype(np.float32) / _WHITE
        color = np.rint(color * share + _WHITE * (1 - share)).astype(np.uint8)
    return np.asarray(color, np.uint8)


def upright(stored: Pixels, orientation: int) -> Pixels:
    """The image as it is seen, of one that is stored with EXIF's `orientation`, 1 to 8."""
    transposed, mirrored = _TURNS[orientation]
    turned = cv2.transpose(stored) if transposed else stored
    return np.asarray(turned if mirrored is None else cv2.flip(turned, mirrored), np.uint8)


def _imdecode(data: bytes, how: int) -> NDArray[np.generic] | None:
    with _silent():
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION * (how >= 0))
        except (cv2.error, MemoryError):
            return None


def _straight(stored_HW4: Pixels) -> Pixels:
    """Colors of a TIFF as they were before libtiff multiplied them by alpha."""
    straight_HW4 = stored_HW4.copy()
    rows = max(1, STRIP_PIXELS // stored_HW4.shape[1])
    for top in range(0, len(stored_HW4), rows):
        strip = stored_HW4[top : top + rows]
        share = _WHITE / np.maximum(strip[:, :, 3:].astype(np.float32), 1)
        straight_HW4[top : top + rows, :, :3] = np.rint(strip[:, :, :3] * share).clip(0, _WHITE)
    return straight_HW4


_lock = threading.Lock()
_decoding, _usual = 0, 0


@contextmanager
def _silent() -> Iterator[None]:
    """Keep OpenCV from writing to stderr what becomes an error of ours; its level is the whole process's."""
    global _decoding, _usual
    with _lock:
        if _decoding == 0:
            _usual = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _decoding += 1
    try:
        yield
    finally:
        with _lock:
            _decoding -= 1
            if _decoding == 0:
                cv2.utils.logging.setLogLevel(_usual)
