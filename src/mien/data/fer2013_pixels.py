"""Parser of the pixel columns of FER2013, in fast batches.

Both hold a row to the same rule: 2,304 numbers of one to three digits, none above 255, one blank between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE

PIXELS = SIDE * SIDE
_ZERO, _BLANK, _LINE_END = b"0 \n"


def read_batch(texts: Sequence[bytes]) -> NDArray[np.uint8] | None:
    """The faces written in `texts`, uint8 [N,48,48], or None when any of them breaks the rule.

    No number is looked at by itself. Every byte that is no digit ends a number; the three bytes before it are that
    number's digits, and the distance to the byte that ended the number before says how many of them count.
    """
    # Line ends cannot stand inside a text, so they mark where one row's numbers stop and the next one's begin.
    text = np.frombuffer(b"\n".join((*texts, b"")), np.uint8)
    digit = text - np.uint8(_ZERO)  # what is no digit wraps around to 10 and more
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

    # Before the first number of a batch these places turn negative and read its last bytes instead; the masks make
    # those zeros, as they do for the digits of a neighbour.
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
    # 256 to 299 wrap around in 8 bits and come out smaller than their last two digits; 300 and more show in the third.
    if hundreds.max() > 2 or (value < below_100).any():
        return None
    return value.reshape(len(texts), SIDE, SIDE)


def fault(text: bytes) -> str | None:
    """What keeps `text` from being one face, in words, or None when nothing does."""
    numbers = text.split(b" ")
    for place, number in enumerate(numbers):
        if not number and len(numbers) > 1:
            return f"a blank too many before pixel {place} (counted from 0), expected one between numbers"
        if number and not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
            return f"pixel {place} (counted from 0) is {shown(number)}, expected a whole number from 0 to 255"
    found = len(numbers) if text else 0
    return None if found == PIXELS else f"{found:,} pixels, expected {PIXELS:,}"


def shown(raw: bytes, longest: int = 40) -> str:
    """Bytes of a file as a short quotation for a message."""
    text = raw[:longest].decode("utf-8", errors="replace")
    return repr(text + "..." if len(raw) > longest else text)
