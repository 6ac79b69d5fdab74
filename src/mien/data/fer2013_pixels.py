"""Parser of the pixel column of FER2013 in fast batches, and the array of faces.

A valid row has 2,304 numbers of one to three digits, none above 255, with one blank between them. `read_batch` and
`pixels_error` accept the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE, SPLITS, Split

PIXELS = SIDE * SIDE
BATCH = 64  # rows read together: half a megabyte of text, which stays in the second-level cache
_SHORTEST = 2 * PIXELS - 1  # bytes of a row: a digit and a blank for each pixel
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


class FaceArray:
    """All faces in file order, in one array.

    The array is allocated for the largest number of faces that a file of this size can hold; pages that are not written
    to take no memory. A split whose rows are consecutive is then a view, not a copy.

    Args:
        file_size: Size of the file in bytes.
    """

    def __init__(self, file_size: int) -> None:
        self.count = 0
        self._pixels_NHW = np.empty((file_size // _SHORTEST + BATCH, SIDE, SIDE), np.uint8)
        self._labels: list[int] = []
        self._splits: list[str] = []

    def add(self, faces_NHW: NDArray[np.uint8], labels: Sequence[int], splits: Sequence[str]) -> None:
        """Add faces with the label and the split of each."""
        end = self.count + len(faces_NHW)
        if end > len(self._pixels_NHW):  # the file grows while it is read
            self._pixels_NHW = np.concatenate([self._pixels_NHW, np.empty_like(self._pixels_NHW)])
        self._pixels_NHW[self.count : end] = faces_NHW
        self._labels += labels
        self._splits += splits
        self.count = end

    def splits(self, classes: Mapping[int, int] | None = None) -> dict[str, Split]:
        """Return the faces as splits.

        Args:
            classes: Class index for each label that was added; None if these are class indices already.
        """
        labels = self._labels if classes is None else [classes[label] for label in self._labels]
        split_N, labels_N = np.array(self._splits), np.array(labels, np.int64)
        splits = {}
        for name in SPLITS:
            rows_N = np.flatnonzero(split_N == name).astype(np.int64)
            if len(rows_N):
                consecutive = rows_N[-1] - rows_N[0] + 1 == len(rows_N)
                index = slice(int(rows_N[0]), int(rows_N[-1]) + 1) if consecutive else rows_N
                splits[name] = Split(name, self._pixels_NHW[index], labels_N[index], rows_N)
        return splits
