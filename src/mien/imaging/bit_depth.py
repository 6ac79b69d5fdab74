"""Bit depth: which value is white in an image of 16 bits, or in a PNM of any depth.

Cameras and scanners store samples of 10, 12 or 14 bits in files of 16 bits, many of them without a hint.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.imaging.formats import PNG, PNM, TIFF, Header
from mien.imaging.png import significant_bits
from mien.imaging.tiff import bits_per_sample, max_sample_value

FULL = 65535
_DEPTHS = (8, 10, 12, 14)  # bits that are assumed for an image without a larger value
_PNM_HEAD = re.compile(rb"P[2356]\s+\d+\s+\d+\s+(\d{1,5})\s")
_PAM_MAXIMUM = re.compile(rb"^MAXVAL\s+(\d{1,5})\s*$", re.MULTILINE)


class WhiteLevel(NamedTuple):
    """The value that is white in an image.

    Attributes:
        value: Value of white, which becomes 255.
        note: Sentence about an assumption; empty if the file states the value, or nothing was assumed.
    """

    value: int
    note: str = ""


def stated_white(data: bytes, header: Header, *, decoded_bits: int) -> int | None:
    """Return the largest sample value that a file states; None if it states none, or its decoder has applied it.

    Args:
        data: Content of the file.
        header: Its header.
        decoded_bits: Bits of the decoded samples, 8 or 16.
    """
    if header.format == PNM:
        return _pnm_maximum(data[:4096], decoded_bits)
    if decoded_bits != 16:
        return None
    if header.format == PNG:
        bits = significant_bits(data)
        return (1 << bits) - 1 if bits is not None and 1 <= bits <= 16 else None
    if header.format == TIFF:
        # OpenCV scales packed samples of 10, 12 or 14 bits to 16 bits.
        return max_sample_value(data) if bits_per_sample(data) == 16 else FULL
    return None


def _pnm_maximum(head: bytes, decoded_bits: int) -> int | None:
    """Return the largest value of a PNM; None for text of 8 bits, which OpenCV scales."""
    if head[:2] == b"P7":
        match = _PAM_MAXIMUM.search(head.partition(b"ENDHDR")[0])
    else:
        match = _PNM_HEAD.match(re.sub(rb"#[^\n]*", b"", head))
    if match is None or not int(match[1]) or (decoded_bits == 8 and head[:2] in (b"P2", b"P3")):
        return None
    return int(match[1])


def white_level(colors: NDArray[np.generic], stated: int | None = None) -> WhiteLevel:
    """Return the white of an image of 16 bits.

    Args:
        colors: Samples without alpha, uint16.
        stated: Largest value that the file states. A file with larger values uses all 16 bits: writers that follow the
            PNG specification scale samples of fewer bits.

    Example:
        >>> white_level(np.array([0, 4000], np.uint16))
        WhiteLevel(value=4095, note='the values of this 16-bit image end at 4,000: read as 12 bits')
        >>> white_level(np.array([0, 4000], np.uint16), stated=65535)
        WhiteLevel(value=65535, note='')
    """
    largest = int(colors.max(initial=0))
    if stated:
        return WhiteLevel(stated if largest <= stated else FULL)
    bits = next((bits for bits in _DEPTHS if largest < 1 << bits), 16)
    if bits == 16 or not largest:
        return WhiteLevel(FULL)
    return WhiteLevel((1 << bits) - 1, f"the values of this 16-bit image end at {largest:,}: read as {bits} bits")
