"""Reader of fer2013.csv and of Kaggle's three variants.

    fer2013.csv          emotion,pixels,Usage
    icml_face_data.csv   emotion, Usage, pixels      (blanks in the header)
    train.csv            emotion,pixels              (all rows are training)
    test.csv             pixels                      (no labels; all rows are test)

Source: Goodfellow et al. 2013, arXiv 1307.0414. The file is read once, line by line, in batches that stay in the
processor's cache; its MD5 is computed at the same time. At the first line in another form, the file is read by
`data.csv_variants` instead, which also lists the invalid rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mien.data import cache as data_cache
from mien.data.cache import ParsedCsv
from mien.data.csv_variants.reader import read_variant
from mien.data.dataset import NO_LABEL, TEST, TRAIN, USAGE, Dataset
from mien.data.fer2013_pixels import BATCH, FaceArray, pixels_error, read_batch
from mien.data.row_errors import unreadable
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
_LONGEST = 1 << 16  # a row has at most 9,240 bytes; a longer line is not in the original form
_EMOTIONS = {str(k).encode(): k for k in range(len(FER7))}
_USAGES = {name.encode(): split for name, split in USAGE.items()}


def read_csv(path: Path, *, cache: bool = True) -> Dataset:
    """Read one csv file, in any of the four forms or another one whose meaning is clear; the faces are in file order.

    Args:
        path: Path of the csv file.
        cache: Whether to read the arrays from the cache if the file is in it, and to write them there if not (see
            `data.cache`).

    Raises:
        DataError: The file is missing, its columns cannot be recognized, or it has invalid rows; names the first few
            of them.
    """
    try:
        cache = cache and path.is_file()  # a pipe can be read only once
        result = data_cache.read(path) if cache else None
        if result is None:
            key = data_cache.FileKey.of(path)
            result = _parse(path)
            if cache and data_cache.FileKey.of(path) == key:  # else the file has changed while it was read
                data_cache.write(key, result)
    except OSError as error:
        raise unreadable(path, error) from None
    known_as = KNOWN.get(result.md5)
    return Dataset("fer2013", path, result.md5, result.labels, result.splits, known_as, result.note or None)


def _parse(path: Path) -> ParsedCsv:
    """Return the content of `path`, read in the original form if it has it."""
    with open(path, "rb", buffering=1 << 20) as file:
        if file.seekable():
            return _read_original(file) or read_variant(file, path)
        with tempfile.TemporaryFile() as copy:  # a pipe, which can be read only once
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            return _read_original(copy) or read_variant(copy, path)


class _OtherForm(Exception):
    """A line is not in the original form."""


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
    def of(cls, header: bytes) -> _Columns:
        names = [
            _unquoted(n).decode("utf-8", "replace").lower() for n in header.removeprefix(b"\xef\xbb\xbf").split(b",")
        ]
        if "pixels" not in names or len(set(names)) != len(names) or not set(names) <= set(COLUMNS):
            raise _OtherForm
        emotion, pixels, usage = (names.index(n) if n in names else -1 for n in COLUMNS)
        return cls(emotion, pixels, usage, len(names))


@dataclass
class _Rows:
    """The rows of one batch: pixels as text, with label and split."""

    emotions: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    pixels: list[bytes] = field(default_factory=list)


def _read_original(file: BinaryIO) -> ParsedCsv | None:
    """Return the content of a file in the original form, read from its first byte to its last; None for other forms."""
    _keep_freed_memory()
    digest = hashlib.md5(usedforsecurity=False)
    try:
        header = file.readline(_LONGEST)
        digest.update(header)
        columns = _Columns.of(header)
        faces = FaceArray(os.fstat(file.fileno()).st_size)
        for rows in _batches(file, columns, digest):
            faces_NHW = read_batch(rows.pixels)
            if faces_NHW is None:
                raise _OtherForm
            faces.add(faces_NHW, rows.emotions, rows.splits)
    except _OtherForm:
        return None
    return ParsedCsv(digest.hexdigest(), faces.splits()) if faces.count else None


def _batches(file: BinaryIO, columns: _Columns, digest: hashlib._Hash) -> Iterator[_Rows]:
    """Split the lines into fields and yield `BATCH` rows at a time; lines at the end may be empty."""
    rows = _Rows()
    empty = False
    while line := file.readline(_LONGEST):
        digest.update(line)
        if not line.strip():
            empty = True
            continue
        if empty:
            raise _OtherForm
        _add_row(line, columns, rows)
        if len(rows.pixels) == BATCH:
            yield rows
            rows = _Rows()
    if rows.pixels:
        yield rows


def _keep_freed_memory() -> None:
    """Free one large block, so that each batch reuses the memory of the previous one.

    glibc returns freed blocks to the system if they are larger than a threshold, which it raises to the size of the
    largest block freed so far (`M_MMAP_THRESHOLD`). At first the threshold is smaller than the arrays of a batch: page
    faults in new memory would take a third of the whole time.
    """
    np.empty(24 << 20, np.uint8)


def _add_row(line: bytes, columns: _Columns, rows: _Rows) -> None:
    """Add the fields of `line` to `rows`."""
    fields = [_unquoted(f) for f in line.split(b",")]
    if len(fields) != columns.count:
        raise _OtherForm
    emotion = _EMOTIONS.get(fields[columns.emotion], NO_LABEL) if columns.emotion >= 0 else NO_LABEL
    split = _USAGES.get(fields[columns.usage]) if columns.usage >= 0 else columns.default_split
    if split is None or (emotion == NO_LABEL and columns.emotion >= 0):
        raise _OtherForm
    if not line.endswith(b"\n") and pixels_error(fields[columns.pixels]) is not None:
        raise _OtherForm
    rows.emotions.append(emotion)
    rows.splits.append(split)
    rows.pixels.append(fields[columns.pixels])


def _unquoted(text: bytes) -> bytes:
    """Return a field without surrounding blanks, line end and quotes."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text
