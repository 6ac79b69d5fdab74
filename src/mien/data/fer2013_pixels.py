"""Parser of the pixel columns of FER2013, in fast batches.

A valid row has 2,304 numbers of one to three digits, none above 255, with one blank between them. `read_batch` and
`pixels_error` accept the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE

PIXELS = SIDE * SIDE
_ZERO, _BLANK, _LINE_END = b"0 \n"


def read_batch(texts: Sequence[bytes]) -> NDArray[np.uint8] | None:
    """Return the faces written in `texts`, uint8 [N,48,48], or None if any of them is invalid.

    The numbers are not parsed one by one. Every byte that is not a digit ends a number; the three bytes before it are
    the number's digits, and the distance to the end of the previous number says how many of them count.

    Args:
        texts: Pixel columns of N rows, without quotes and line ends.

    Example:
        >>> read_batch([b" ".join([b"7"] * PIXELS)]).shape
        (1, 48, 48)
        >>> read_batch([b"7 8 9"]) is None
        True
    """
    # A text has no line ends, so they mark where the numbers of one row stop and those of the next begin.
    text = np.frombuffer(b"\n".join((*texts, b"")), np.uint8)
    digit = text - np.uint8(_ZERO)  # other bytes wrap around to 10 and more
    is_digit = digit < 10
    end = np.flatnonzero(~is_digit)
    if end.size != len(texts) * PIXELS:
        return None
    ender = text.take(end).reshape(len(texts), PIXELS)
    if (ender[:, :-1] != _BLANK).any() or (ender[:, -1] != _LINE_END).any():
        return None
    length = end.copy()  # of each number, plus one
    length[1:] -= end[:-1]
    length[0] += 1
    if length.min() < 2 or length.max() > 4:
        return None

    # Before the first number of a batch these indices are negative and read the last bytes instead; the masks make
    # those zeros, as they do for the digits of the previous number.
    end -= 1
    below_100 = digit.take(end)
    end -= 1
    tens = digit.take(end)
    tens *= length > 2
    end -= 1
    hundreds = digit.take(end)
    hundreds *= length > 3
    tens *= np.uint8(10)
    below_100 += tens
    value = below_100 + hundreds * np.uint8(100)
    # 256 to 299 wrap around in 8 bits and become smaller than their last two digits; 300 and more have a 3 or more in
    # the hundreds.
    if hundreds.max() > 2 or (value < below_100).any():
        return None
    return value.reshape(len(texts), SIDE, SIDE)


def pixels_error(text: bytes) -> str | None:
    """Return why `text` is not one face, None if it is one.

    Args:
        text: Pixel column of a row, without quotes and line end.

    Example:
        >>> pixels_error(b"7 8 256")
        "pixel 2 (counted from 0) is '256', expected a whole number from 0 to 255"
    """
    numbers = text.split(b" ")
    for index, number in enumerate(numbers):
        if not number and len(numbers) > 1:
            return f"an extra blank before pixel {index} (counted from 0), expected one between numbers"
        if number and not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
            return f"pixel {index} (counted from 0) is {quoted(number)}, expected a whole number from 0 to 255"
    count = len(numbers) if text else 0
    return None if count == PIXELS else f"{count:,} pixels, expected {PIXELS:,}"


def quoted(raw: bytes, longest: int = 40) -> str:
    """Return bytes of a file as a short quotation for a message."""
    text = raw[:longest].decode("utf-8", errors="replace")
    return repr(text + "..." if len(raw) > longest else text)
