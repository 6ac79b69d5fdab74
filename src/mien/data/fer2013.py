"""Reader of fer2013.csv and of Kaggle's three variants.

    fer2013.csv          emotion,pixels,Usage
    icml_face_data.csv   emotion, Usage, pixels      (blanks in the header)
    train.csv            emotion,pixels              (all rows are training)
    test.csv             pixels                      (no labels; all rows are test)

Source: Goodfellow et al. 2013, arXiv 1307.0414. The file is read once, line by line, in batches that stay in the
processor's cache; its MD5 is computed at the same time.
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

from mien.data import cache as data_cache
from mien.data.dataset import NO_LABEL, SIDE, SPLITS, TEST, TRAIN, USAGE, Dataset, Split
from mien.data.fer2013_pixels import pixels_error, quoted, read_batch
from mien.data.row_errors import RowErrors, unreadable
from mien.errors import DataError
from mien.labels import FER7

# MD5 of the files as published, and of the copy that mien was developed with.
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
_LONGEST = 1 << 16  # a row has at most 9,240 bytes; of a longer line only this many are held in memory
_EMOTIONS = {str(k).encode(): k for k in range(len(FER7))}
_USAGES = {name.encode(): split for name, split in USAGE.items()}


def read_csv(path: Path, *, cache: bool = True) -> Dataset:
    """Read one csv file in any of the four forms; the faces are in file order.

    Args:
        path: Path of the csv file.
        cache: Whether to read the arrays from the cache if the file is in it, and to write them there if not (see
            `data.cache`).

    Raises:
        DataError: The file is missing, is in none of the four forms, or has invalid rows; names the first few of them.
    """
    try:
        cache = cache and path.is_file()  # a pipe can be read only once
        result = data_cache.read(path) if cache else None
        if result is None:
            key = data_cache.FileKey.of(path)
            result = _parse(path)
            if cache and data_cache.FileKey.of(path) == key:  # else the file has changed while it was read
                data_cache.write(key, *result)
    except OSError as error:
        raise unreadable(path, error) from None
    md5, splits = result
    return Dataset("fer2013", path, md5, FER7, splits, KNOWN.get(md5))


@dataclass(frozen=True)
class _Columns:
    """Index of each column in the header; -1 for a missing column."""

    emotion: int
    pixels: int
    usage: int
    count: int

    @property
    def default_split(self) -> str:
        """Split of rows without a Usage: without labels they are test."""
        return TRAIN if self.emotion >= 0 else TEST

    @classmethod
    def of(cls, header: bytes, path: Path) -> _Columns:
        names = [
            _unquoted(n).decode("utf-8", "replace").lower() for n in header.removeprefix(b"\xef\xbb\xbf").split(b",")
        ]
        if "pixels" not in names or len(set(names)) != len(names) or not set(names) <= set(COLUMNS):
            raise DataError(
                f"{path}: the first line must be a header with the column pixels and, in any order, emotion and Usage "
                f"(the original says emotion,pixels,Usage); it is {quoted(header.rstrip())}"
            )
        emotion, pixels, usage = (names.index(n) if n in names else -1 for n in COLUMNS)
        return cls(emotion, pixels, usage, len(names))


@dataclass
class _Rows:
    """The rows of one batch: pixels as text, with label and split."""

    first: int
    emotions: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    pixels: list[bytes] = field(default_factory=list)


def _parse(path: Path) -> tuple[str, dict[str, Split]]:
    """Return MD5 and splits of `path`, read from its first byte to its last."""
    _keep_freed_memory()
    errors = RowErrors(path, "row")
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb", buffering=1 << 20) as file:
        header = file.readline(_LONGEST)
        if not header.strip():
            raise DataError(f"{path}: is empty, expected a csv with the header emotion,pixels,Usage")
        digest.update(header)
        faces = _Faces(os.fstat(file.fileno()).st_size)
        for rows in _batches(file, _Columns.of(header, path), digest, errors):
            faces_NHW = read_batch(rows.pixels)
            if faces_NHW is None:
                for i, text in enumerate(rows.pixels):
                    if (error := pixels_error(text)) is not None:
                        errors.add(rows.first + i, error)
            elif not errors:
                faces.add(rows, faces_NHW)
    errors.raise_if_any()
    if not faces.count:
        raise DataError(f"{path}: has a header but no rows")
    return digest.hexdigest(), faces.splits()


def _batches(file: BinaryIO, columns: _Columns, digest: hashlib._Hash, errors: RowErrors) -> Iterator[_Rows]:
    """Split the lines into fields and yield up to `_BATCH` consecutive rows at a time.

    A line that cannot be split is added to `errors` and ends its batch.
    """
    rows = _Rows(first=0)
    empty_at = None  # row of an empty line, which is allowed only at the end of a file
    for row, line in enumerate(_lines(file)):
        digest.update(line)
        if line.strip():
            if empty_at is not None:
                errors.add(empty_at, "an empty line, expected a row")
                empty_at = None
            error = _add_row(line, columns, rows)
            if error is not None:
                errors.add(
                    row, error + ("" if line.endswith(b"\n") else "; the line has no end: is the file truncated?")
                )
            if error is None and len(rows.pixels) < _BATCH:
                continue
        else:
            empty_at = row if empty_at is None else empty_at
        if rows.pixels:
            yield rows
        rows = _Rows(first=row + 1)
    if rows.pixels:
        yield rows


def _keep_freed_memory() -> None:
    """Free one large block, so that each batch reuses the memory of the previous one.

    glibc returns freed blocks to the system if they are larger than a threshold, which it raises to the size of the
    largest block freed so far (`M_MMAP_THRESHOLD`). At first the threshold is smaller than the arrays of a batch: page
    faults in new memory would take a third of the whole time.
    """
    np.empty(24 << 20, np.uint8)


def _add_row(line: bytes, columns: _Columns, rows: _Rows) -> str | None:
    """Add the fields of `line` to `rows` and return None, or return why they are invalid."""
    fields = [_unquoted(f) for f in line.split(b",")]
    if len(fields) != columns.count:
        return f"{len(fields)} fields, expected {columns.count}"
    emotion = _EMOTIONS.get(fields[columns.emotion], NO_LABEL) if columns.emotion >= 0 else NO_LABEL
    split = _USAGES.get(fields[columns.usage]) if columns.usage >= 0 else columns.default_split
    if emotion == NO_LABEL and columns.emotion >= 0:
        return f"emotion {quoted(fields[columns.emotion])}, expected a whole number from 0 to {len(FER7) - 1}"
    if split is None:
        return f"Usage {quoted(fields[columns.usage])}, expected one of {', '.join(USAGE)}"
    if not line.endswith(b"\n") and (error := pixels_error(fields[columns.pixels])) is not None:
        return error
    rows.emotions.append(emotion)
    rows.splits.append(split)
    rows.pixels.append(fields[columns.pixels])
    return None


def _unquoted(text: bytes) -> bytes:
    """Return a field without surrounding blanks, line end and quotes."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the remaining lines of `file`; of an overlong one only the beginning, so that no file fills the memory."""
    while line := file.readline(_LONGEST):
        rest = line
        while len(rest) == _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST)
        yield line


class _Faces:
    """All faces in file order, in one array.

    The array is allocated for the largest number of faces that a file of this size can hold; pages that are not written
    to take no memory. A split whose rows are consecutive is then a view, not a copy.
    """

    def __init__(self, file_size: int) -> None:
        self.count = 0
        self._pixels_NHW = np.empty((file_size // _SHORTEST + _BATCH, SIDE, SIDE), np.uint8)
        self._labels: list[int] = []
        self._splits: list[str] = []

    def add(self, rows: _Rows, faces_NHW: NDArray[np.uint8]) -> None:
        end = self.count + len(faces_NHW)
        if end > len(self._pixels_NHW):  # a pipe, or a growing file: its size is not known
            self._pixels_NHW = np.concatenate([self._pixels_NHW, np.empty_like(self._pixels_NHW)])
        self._pixels_NHW[self.count : end] = faces_NHW
        self._labels += rows.emotions
        self._splits += rows.splits
        self.count = end

    def splits(self) -> dict[str, Split]:
        """Return the faces as splits."""
        split_N, labels_N = np.array(self._splits), np.array(self._labels, np.int64)
        splits = {}
        for name in SPLITS:
            rows_N = np.flatnonzero(split_N == name).astype(np.int64)
            if len(rows_N):
                consecutive = rows_N[-1] - rows_N[0] + 1 == len(rows_N)
                index = slice(int(rows_N[0]), int(rows_N[-1]) + 1) if consecutive else rows_N
                splits[name] = Split(name, self._pixels_NHW[index], labels_N[index], rows_N)
        return splits
