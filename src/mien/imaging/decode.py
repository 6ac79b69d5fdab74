"""Decoding of image bytes to BGR uint8 pixels.

OpenCV decodes the data. This module applies orientation, alpha and bit depth. H rows, W columns, C channels.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.imaging.bit_depth import FULL, stated_white, white_level
from mien.imaging.decoder_log import captures_warnings, run_decoder
from mien.imaging.formats import AVIF, BMP, JP2, PNG, TIFF, Header, is_truncated, jp2_bits
from mien.imaging.jpeg import END_MARKER, JpegStructure, close_jpeg, complete_rows
from mien.imaging.png import is_cut, save_rows, strip_metadata
from mien.imaging.tiff import reset_tiff_orientation

Pixels = NDArray[np.uint8]

_WHITE = 255
_TRUNCATED, _WARNED = "truncated", "the decoder warns"
_DAMAGE = re.compile("Corrupt|Premature|Inconsistent|libpng error")
STRIP_PIXELS = 1 << 18  # pixels that are converted to 8 bits and blended with white at once
# For each EXIF orientation: whether the stored image is transposed, and the `cv2.flip` code applied after it.
_ORIENTATIONS: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


class DecodedImage(NamedTuple):
    """An image and what is to be known about its file.

    Attributes:
        image_HW3: Pixels as displayed, BGR uint8 [H,W,3].
        notes: Sentences: missing rows, damaged data, an assumed bit depth.
        complete: Whether the file is neither truncated nor damaged, as far as its decoder says.
    """

    image_HW3: Pixels
    notes: tuple[str, ...] = ()
    complete: bool = True


def decode(data: bytes, header: Header, name: str) -> DecodedImage:
    """Decode an image; of an animation the first frame.

    Of a truncated or damaged JPEG or PNG, the part that can be read is returned with a note.

    Args:
        data: Content of the image file.
        header: Header of the image, from `read_header`.
        name: Name of the image in errors.

    Raises:
        ImageError: The data cannot be decoded, or its samples have neither 8 nor 16 bits.
    """
    stored, note = _decode_stored(data, header)
    if stored is None:
        problem = (
            f"truncated {header.format} image: the file ends before its data; download or copy it again"
            if note or is_truncated(data, header)
            else f"cannot decode the {header.format} data: it is damaged, truncated or of an unsupported variant; "
            "save the image again as PNG or JPEG"
        )
        raise ImageError(f"{name}: {problem}")
    if stored.shape[0] * stored.shape[1] > header.pixels:  # a format that states its size twice
        raise ImageError(
            f"{name}: damaged image: the header says {header.width} x {header.height} pixels, the data has "
            f"{stored.shape[1]} x {stored.shape[0]}"
        )
    if header.format == TIFF and stored.dtype == np.uint8 and stored.ndim == 3 and stored.shape[2] == 4:
        stored = _unpremultiply(np.asarray(stored, np.uint8))
    complete = not note or note.startswith(_WARNED)
    image_HW3, notes, _ = to_bgr(
        stored, name, stated_white=stated_white(data, header, decoded_bits=8 * stored.itemsize)
    )
    return DecodedImage(apply_orientation(image_HW3, header.orientation), (note, *notes) if note else notes, complete)


def _decode_stored(data: bytes, header: Header) -> tuple[NDArray[np.generic] | None, str]:
    """Return the pixels as stored, and a note if the file is truncated or damaged; None if it cannot be read."""
    if header.jpeg is not None:
        return _decode_jpeg(data, header.jpeg)
    if header.format == PNG:
        return _decode_png(data, header)
    if header.format == TIFF:
        data = reset_tiff_orientation(data)
    stored, warnings = _imdecode(data, cv2.IMREAD_COLOR if header.format == BMP else cv2.IMREAD_UNCHANGED)
    # OpenCV does not scale samples of 10 or 12 bits of JPEG 2000 and AVIF, and does not return their bit depth.
    if stored is not None and stored.dtype != np.uint8 and (header.format == AVIF or not _has_16_bits(data, header)):
        stored, warnings = _imdecode(data, cv2.IMREAD_COLOR)
    return stored, _damage(warnings)


def _has_16_bits(data: bytes, header: Header) -> bool:
    """Return whether the samples of a format other than JPEG 2000 are stored as they are, or have 16 bits there."""
    return header.format != JP2 or jp2_bits(data) == 16


def _decode_jpeg(data: bytes, structure: JpegStructure) -> tuple[NDArray[np.generic] | None, str]:
    # A file that has an end marker nevertheless has something like a marker in damaged data.
    cut = structure.end is not None and not data.rstrip(b"\0").endswith(END_MARKER)
    if structure.end is not None:
        data = close_jpeg(data, structure.end)
    stored, warnings = _imdecode(data, cv2.IMREAD_COLOR)
    if stored is None:
        return None, _TRUNCATED if cut else ""
    ended_early = any("remature end" in warning for warning in warnings)
    rows = len(stored)
    if structure.baseline and ((ended_early and not structure.restarts) or cut):
        rows = complete_rows(stored, structure.fill)
    if not captures_warnings():  # only the pixels show it, and an area of this color may be in the image
        ended_early, rows = cut and rows < len(stored), max(rows, 1)
    if not rows and ended_early:
        return None, _TRUNCATED if cut else ""
    if ended_early and structure.baseline:
        return stored, _share_note(rows, len(stored), cut, warnings)
    if cut and (ended_early or not structure.all_scans):
        return stored, f"{_TRUNCATED}: parts of the image are missing or have less detail"
    return stored, _damage(warnings) or ("" if structure.all_scans else "damaged: scans of the image are missing")


def _decode_png(data: bytes, header: Header) -> tuple[NDArray[np.generic] | None, str]:
    stored, warnings = _imdecode(strip_metadata(data), cv2.IMREAD_UNCHANGED)
    if stored is not None:
        return stored, _damage(warnings)
    cut = is_cut(data)
    saved = save_rows(data)
    if saved is None:
        return None, _TRUNCATED if cut else ""
    stored, _ = _imdecode(saved.data, cv2.IMREAD_UNCHANGED)
    return stored, _share_note(saved.rows, header.height, cut, warnings)


def _share_note(rows: int, height: int, cut: bool, warnings: tuple[str, ...]) -> str:
    """Return how much of an image was read, from the top."""
    if cut:
        return f"{_TRUNCATED}: {min(100 * rows // height, 99)} % of the rows could be read"
    if rows == height:
        return _damage(warnings)
    reason = f" ({'; '.join(warnings)})" if warnings else ""
    return f"damaged: {100 * rows // height} % of the rows could be read{reason}"


def _damage(warnings: tuple[str, ...]) -> str:
    """Return a note on the warnings of a decoder, which are not always about damage."""
    if not warnings:
        return ""
    kind = "damaged" if any(_DAMAGE.match(warning) for warning in warnings) else _WARNED
    return f"{kind}: {'; '.join(warnings)}"


def to_bgr(
    stored: NDArray[np.generic], name: str, *, rgb: bool = False, stated_white: int | None = None
) -> DecodedImage:
    """Return pixels as contiguous BGR uint8 [H,W,3]; transparent pixels are blended with white.

    Args:
        stored: Pixels of 8 or 16 bits, [H,W] or [H,W,C] with 1 channel (grey), 2 (grey, alpha), 3 (color) or 4
            (color, alpha).
        name: Name of the image in errors.
        rgb: Whether red is the first channel.
        stated_white: Largest sample value that the file states; by default it follows from the values, see
            `mien.imaging.bit_depth.white_level`.

    Raises:
        ImageError: The pixels have another shape or type.

    Example:
        >>> to_bgr(np.full((2, 2), 7, np.uint8), "grey.png").image_HW3.shape
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
    white, note = stated_white or _WHITE, ""
    if stored.dtype == np.uint16:
        white, note = white_level(stored[..., : channels - 1] if channels in (2, 4) else stored, stated_white)
    if channels == 3 and white == _WHITE and stored.dtype == np.uint8 and not rgb:
        return DecodedImage(np.ascontiguousarray(stored, np.uint8))
    stored_HWC = stored.reshape(*stored.shape[:2], channels)
    height, width = stored.shape[:2]
    bgr_HW3 = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    opaque = white if channels in (2, 4) and int(stored_HWC[..., -1].max()) <= white else FULL
    for top in range(0, height, rows):
        bgr_HW3[top : top + rows] = _strip_to_bgr(stored_HWC[top : top + rows], rgb, white, opaque)
    return DecodedImage(bgr_HW3, (note,) if note else ())


def _strip_to_bgr(stored_HWC: NDArray[np.generic], rgb: bool, white: int, opaque: int) -> Pixels:
    """Convert some rows like `to_bgr`: blending a whole image would take twenty times its memory.

    Args:
        stored_HWC: Rows.
        rgb: Whether red is the first channel.
        white: Value of white.
        opaque: Value of alpha where the image is opaque, if the samples have 16 bits.
    """
    channels = stored_HWC.shape[2]
    alpha_HW1 = np.ascontiguousarray(stored_HWC[:, :, -1:]) if channels in (2, 4) else None
    color = np.ascontiguousarray(stored_HWC[:, :, : channels - 1] if alpha_HW1 is not None else stored_HWC)
    if white != _WHITE or color.dtype == np.uint16:
        color = cv2.convertScaleAbs(color, alpha=_WHITE / white).reshape(color.shape)
    if alpha_HW1 is not None and alpha_HW1.dtype == np.uint16:
        alpha_HW1 = cv2.convertScaleAbs(alpha_HW1, alpha=_WHITE / opaque).reshape(alpha_HW1.shape)
    if color.shape[2] == 1:
        color = cv2.cvtColor(color, cv2.COLOR_GRAY2BGR)
    elif rgb:
        color = cv2.cvtColor(color, cv2.COLOR_RGB2BGR)
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


def _imdecode(data: bytes, flags: int) -> tuple[NDArray[np.generic] | None, tuple[str, ...]]:
    """Return the pixels, None if OpenCV cannot decode them, and the warnings of the decoder."""

    def call() -> NDArray[np.generic] | None:
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION * (flags >= 0))
        except (cv2.error, MemoryError):
            return None

    return run_decoder(call)


def _unpremultiply(stored_HW4: Pixels) -> Pixels:
    """Undo the multiplication of colors by alpha that libtiff applies."""
    straight_HW4 = stored_HW4.copy()
    rows = max(1, STRIP_PIXELS // stored_HW4.shape[1])
    for top in range(0, len(stored_HW4), rows):
        strip_HW4 = stored_HW4[top : top + rows]
        factor_HW1 = _WHITE / np.maximum(strip_HW4[:, :, 3:].astype(np.float32), 1)
        straight_HW4[top : top + rows, :, :3] = np.rint(strip_HW4[:, :, :3] * factor_HW1).clip(0, _WHITE)
    return straight_HW4
