"""Structure of JPEG files: size, orientation, scans, and where a truncated file ends.

Source: ITU-T T.81, annex B and G.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.imaging.tiff import UPRIGHT, exif_orientation

_MAX_PARTS = 100_000  # segments; a file with more would only take time
_MAX_SCANS = 50  # writers use about ten, and each scan goes over all pixels even if it has a few bytes
_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # marker with a length, which ends entropy-coded data
_END, _SCAN, _RESTART_INTERVAL = 0xD9, 0xDA, 0xDD
END_MARKER = b"\xff\xd9"
_COEFFICIENTS = 64  # of a block
_BASELINE = (0xC0, 0xC1)
_CMYK = 4  # components
_FILL, _FILL_CMYK = 128, 64  # half of the range; of CMYK and YCCK, OpenCV multiplies two of them
_ROUNDING = 1
_FIRST_ROWS = 17  # a row of blocks, and the row that is blended with it
_FILLED = 8  # pixels at the right edge that show whether a row of blocks was read to its end


class JpegStructure(NamedTuple):
    """What the markers of a JPEG say.

    Attributes:
        width, height: Size in pixels as stored.
        orientation: EXIF orientation.
        baseline: Whether each block is in one scan, from top to bottom.
        end: Number of bytes before the place where the file breaks off; None if it has its end marker.
        all_scans: Whether there is a scan for each coefficient of each component.
        restarts: Whether it may have restart markers, after which decoders go on if data is missing before.
        fill: Value of each channel, after conversion to BGR, where the data has no blocks.
    """

    width: int
    height: int
    orientation: int
    baseline: bool
    end: int | None
    all_scans: bool
    restarts: bool
    fill: int


def parse_jpeg(data: bytes) -> JpegStructure:
    """Return the structure of a JPEG.

    Raises:
        ValueError, IndexError, struct.error: There is no frame header, or there are too many segments or scans.
    """
    at, orientation, restarts = 2, UPRIGHT, False
    for _ in range(_MAX_PARTS):
        match = _NO_FILL.search(data, at + 1)  # after fill bytes, of which there may be any number
        at = match.start() - 1 if match else len(data)
        if data[at] != 0xFF:
            raise ValueError("marker expected")
        marker = data[at + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, count = struct.unpack_from(">HHB", data, at + 5)
            components = data[at + 10 : at + 2 + length : 3][:count]
            end, all_scans, later = _find_end(data, at + 2 + length, components)
            fill = _FILL if count < _CMYK else _FILL_CMYK
            baseline = marker in _BASELINE
            return JpegStructure(width, height, orientation, baseline, end, all_scans, restarts or later, fill)
        if marker in (_END, _SCAN) or length < 2:
            raise ValueError("no frame header before the pixels")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 10 : at + 2 + length])
        restarts |= marker == _RESTART_INTERVAL
        at += 2 + length
    raise ValueError("too many parts")


def close_jpeg(data: bytes, end: int) -> bytes:
    """Return a JPEG without end marker as a complete one, so that decoders read what it has.

    Args:
        data: Content of the file.
        end: Number of bytes to keep, from `parse_jpeg`.
    """
    return data[:end].rstrip(b"\xff") + END_MARKER


def complete_rows(stored_HW3: NDArray[np.generic], fill: int) -> int:
    """Return the number of rows above the area that a decoder filled because the data ended; 0 without a row of blocks.

    Decoders fill all missing blocks with one color, from some block to the lower right corner.

    Args:
        stored_HW3: Decoded pixels, BGR uint8 [H,W,3].
        fill: Value of the filled channels, from `parse_jpeg`.
    """
    height = len(stored_HW3)
    lowest, highest = (fill - _ROUNDING,) * 3, (fill + _ROUNDING,) * 3
    is_filled_HW: NDArray[np.bool_] = cv2.inRange(np.asarray(stored_HW3, np.uint8), lowest, highest).astype(bool)
    for filled_H, least in (
        (np.all(is_filled_HW[:, -_FILLED:], axis=1), 0),
        (np.all(is_filled_HW, axis=1), _FIRST_ROWS),
    ):
        rows = 0 if filled_H.all() else height - int(np.argmin(filled_H[::-1]))
        if rows > least:
            return rows
    return 0  # and not a margin of this color: at most a part of the first row of blocks was read


def _find_end(data: bytes, at: int, components: bytes) -> tuple[int | None, bool, bool]:
    """Return `end`, `all_scans` and `restarts` of the structure; scans begin at byte `at`.

    Raises:
        ValueError: There are too many scans or segments.
    """
    scans, restarts, missing = 0, False, {component: set(range(_COEFFICIENTS)) for component in components}
    for _ in range(_MAX_PARTS):
        match = _MARKER.search(data, at)
        if match is None:
            return len(data), not any(missing.values()), restarts
        start, marker = match.start(), data[match.start() + 1]
        if marker == _END:
            return None, not any(missing.values()), restarts
        at = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
        if len(data) < match.end() + 2 or at > len(data):  # the file ends within this segment
            return start, not any(missing.values()), restarts
        restarts |= marker == _RESTART_INTERVAL
        if marker == _SCAN:
            scans += 1
            _remove_scanned(data[match.end() + 2 : at], missing)
        if scans > _MAX_SCANS:
            raise ValueError("too many scans")
    raise ValueError("too many parts")


def _remove_scanned(header: bytes, missing: dict[int, set[int]]) -> None:
    """Remove the coefficients that a scan completes, by component; earlier scans of them may be less precise."""
    if len(header) < 4 or len(header) < 2 * header[0] + 4:
        return
    count = header[0]
    first, last, precision = header[2 * count + 1 : 2 * count + 4]
    if precision & 15 == 0:
        for component in header[1 : 2 * count + 1 : 2]:
            missing.get(component, set()).difference_update(range(first, last + 1))
