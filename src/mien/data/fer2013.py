"""Reader of fer2013.csv and of Kaggle's three variants.

    fer2013.csv          emotion,pixels,Usage
    icml_face_data.csv   emotion, Usage, pixels      (blanks in the header)
    train.csv            emotion,pixels              (all of it trains)
    test.csv             pixels                      (no labels; all of it tests)

Source: Goodfellow et al. 2013, arXiv 1307.0414. The file is read once, line by line, in batches that stay in the
processor's cache; its MD5 is taken on the way.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mien.data import cache as cached
from mien.data.dataset import NO_LABEL, SIDE, SPLITS, TEST, TRAIN, USAGE, Dataset, Split
from mien.data.fer2013_pixels import fault, read_batch, shown
from mien.data.row_errors import RowErrors, unreadable
from mien.errors import DataError
from mien.labels import FER7

# MD5 of the files as published, and of the copy that mien was developed on.
KNOWN = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
    "23d0b16a00872ce2c91bf023f8129ad2": "fer2013.csv without PrivateTest",
}
COLUMNS = ("emotion", "pixels", "usage")
_BATCH = 64  # rows read together: half a megabyte of text, which stays in the second-level cache
_SHORTEST = 2 * SIDE * SIDE - 1  # bytes of a row: a digit and a blank for each pixel
_LONGEST = 1 << 16  # a row has at most 9,240 bytes; a longer line is not held in memory
_EMOTIONS = {str(k).encode(): k for k in range(len(FER7))}
_USAGES = {name.encode(): split for name, split in USAGE.items()}


def read_csv(path: Path, *, cache: bool = True) -> Dataset:
    """The faces of one csv file in any of the four forms, in file order.

    Args:
        path: the file.
        cache: take the arrays that were kept when the file was last read, and keep them this time (`data.cache`).

    Raises:
        DataError: no such file, not one of the four forms, or rows that break it; names the first few of them.
    """
    try:
        cache = cache and path.is_file()  # a pipe can be read once, so there is nothing to know again
        kept = cached.reopen(path) if cache else None
        if kept is None:
            before = cached.Key.of(path)
            kept = _parse(path)
            if cache and cached.Key.of(path) == before:  # else it was written to while we read
                cached.keep(before, *kept)
    except OSError as error:
        raise unreadable(path, error) from None
    md5, splits = kept
    return Dataset("fer2013", path, md5, FER7, splits, KNOWN.get(md5))


@dataclass(frozen=True)
class _Columns:
    """Where each field stands in a line, by the header; -1 for a column that is not there."""

    emotion: int
    pixels: int
    usage: int
    count: int

    @property
    def unsaid(self) -> str:
        """The split of rows that have no Usage: what has no labels can only be tested on."""
        return TRAIN if self.emotion >= 0 else TEST

    @classmethod
    def of(cls, header: bytes, path: Path) -> _Columns:
        names = [_bare(n).decode("utf-8", "replace").lower() for n in header.removeprefix(b"\xef\xbb\xbf").split(b",")]
        if "pixels" not in names or len(set(names)) != len(names) or not set(names) <= set(COLUMNS):
            raise DataError(
                f"{path}: the first line must be a header with the column pixels and, in any order, emotion and Usage "
                f"(the original says emotion,pixels,Usage); it is {shown(header.rstrip())}"
            )
        emotion, pixels, usage = (names.index(n) if n in names else -1 for n in COLUMNS)
        return cls(emotion, pixels, usage, len(names))


@dataclass
class _Rows:
    """The rows of one batch as text, and what is known of them."""

    first: int
    emotions: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    pixels: list[bytes] = field(default_factory=list)


def _parse(path: Path) -> tuple[str, dict[str, Split]]:
    """MD5 and splits of `path`, read from its first byte to its last."""
    _let_memory_stay()
    faults = RowErrors(path, "row")
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb", buffering=1 << 20) as file:
        header = file.readline(_LONGEST)
        if not header.strip():
            raise DataError(f"{path}: is empty, expected a csv with the header emotion,pixels,Usage")
        digest.update(header)
        faces = _Faces(os.fstat(file.fileno()).st_size)
        for rows in _batches(file, _Columns.of(header, path), digest, faults):
            faces_NHW = read_batch(rows.pixels)
            if faces_NHW is None:
                for i, text in enumerate(rows.pixels):
                    if (wrong := fault(text)) is not None:
                        faults.add(rows.first + i, wrong)
            elif not faults:
                faces.add(rows, faces_NHW)
    faults.raise_if_any()
    if not faces.count:
        raise DataError(f"{path}: has a header but no rows")
    return digest.hexdigest(), faces.splits()


def _batches(file: BinaryIO, columns: _Columns, digest: hashlib._Hash, faults: RowErrors) -> Iterator[_Rows]:
    """Cut the lines into fields; up to `_BATCH` rows at a time, with no gap between them.

    A line that cannot be cut goes to `faults` and ends its batch.
    """
    rows = _Rows(first=0)
    empty_at = None  # the row that an empty line stands for: fine at the end of a file, and only there
    for row, line in enumerate(_lines(file)):
        digest.update(line)
        if line.strip():
            if empty_at is not None:
                faults.add(empty_at, "an empty line, expected a row")
                empty_at = None
            wrong = _cut(line, columns, rows)
            if wrong is not None:
                faults.add(row, wrong + ("" if line.endswith(b"\n") else "; the line has no end: is the file cut off?"))
            if wrong is None and len(rows.pixels) < _BATCH:
                continue
        else:
            empty_at = row if empty_at is None else empty_at
        if rows.pixels:
            yield rows
        rows = _Rows(first=row + 1)
    if rows.pixels:
        yield rows


def _let_memory_stay() -> None:
    """Free one large block, so that the smaller ones of each batch are used again by the next.

    The C library of Linux hands freed blocks back to the system above a size that it learns from the largest freed so
    far. At first that is below a batch's arrays: each batch would fetch its memory anew, page by page, for a third of
    the whole time.
    """
    np.empty(24 << 20, np.uint8)


def _cut(line: bytes, columns: _Columns, rows: _Rows) -> str | None:
    """Put the fields of `line` into `rows`, or say what is wrong with them."""
    fields = [_bare(f) for f in line.split(b",")]
    if len(fields) != columns.count:
        return f"{len(fields)} fields, expected {columns.count}"
    emotion = _EMOTIONS.get(fields[columns.emotion], NO_LABEL) if columns.emotion >= 0 else NO_LABEL
    split = _USAGES.get(fields[columns.usage]) if columns.usage >= 0 else columns.unsaid
    if emotion == NO_LABEL and columns.emotion >= 0:
        return f"emotion {shown(fields[columns.emotion])}, expected a whole number from 0 to {len(FER7) - 1}"
    if split is None:
        return f"Usage {shown(fields[columns.usage])}, expected one of {', '.join(USAGE)}"
    if not line.endswith(b"\n") and (wrong := fault(fields[columns.pixels])) is not None:
        return wrong
    rows.emotions.append(emotion)
    rows.splits.append(split)
    rows.pixels.append(fields[columns.pixels])
    return None


def _bare(text: bytes) -> bytes:
    """A field without blanks around it, the line end and its quotes."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that are left in `file`; of an overlong one only the beginning, so that no file fills the memory."""
    while line := file.readline(_LONGEST):
        rest = line
        while len(rest) == _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST)
        yield line


class _Faces:
    """What was read, in file order, in one piece of memory.

    A file of so many bytes cannot hold more than so many faces; room for these is set aside, and what is not written to
    takes no memory. A split whose rows lie together is then a view, not a copy.
    """

    def __init__(self, file_size: int) -> None:
        self.count = 0
        self._pixels_NHW = np.empty((file_size // _SHORTEST + _BATCH, SIDE, SIDE), np.uint8)
        self._labels: list[int] = []
        self._splits: list[str] = []

    def add(self, rows: _Rows, faces_NHW: NDArray[np.uint8]) -> None:
        end = self.count + len(faces_NHW)
        if end > len(self._pixels_NHW):  # a pipe, or a file that grows: its size says nothing
            self._pixels_NHW = np.concatenate([self._pixels_NHW, np.empty_like(self._pixels_NHW)])
        self._pixels_NHW[self.count : end] = faces_NHW
        self._labels += rows.emotions
        self._splits += rows.splits
        self.count = end

    def splits(self) -> dict[str, Split]:
        """The faces as splits."""
        here_N, labels_N = np.array(self._splits), np.array(self._labels, np.int64)
        found = {}
        for name in SPLITS:
            rows_N = np.flatnonzero(here_N == name).astype(np.int64)
            if len(rows_N):
                together = rows_N[-1] - rows_N[0] + 1 == len(rows_N)
                where = slice(int(rows_N[0]), int(rows_N[-1]) + 1) if together else rows_N
                found[name] = Split(name, self._pixels_NHW[where], labels_N[where], rows_N)
        return found
