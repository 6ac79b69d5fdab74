"""Tolerant reader of csv files of faces, such as those that pandas and spreadsheets write.

It is slower than the reader of the original form (`data.fer2013`) and more tolerant. A file with one clear meaning is
read, with a note; anything else is an error that names the column or the row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from mien.data.cache import ParsedCsv
from mien.data.csv_variants.form import HEAD, PIXELS, CsvForm, pixel_text, recognize
from mien.data.csv_variants.labels import LabelColumn, read_labels
from mien.data.dataset import NO_LABEL, TEST, TRAIN, USAGE, split_for
from mien.data.fer2013_pixels import BATCH, FaceArray, pixels_error, read_batch
from mien.data.row_errors import RowErrors
from mien.errors import DataError
from mien.labels import FER7

_LONGEST = 1 << 16  # characters of a line that are held in memory
_COMMENT = ("@", "#")  # first character of the lines after the last face, such as a citation
_EMPTY = "an empty line, expected a row"
_CUT_AT = (255, 256, 32_767)  # lengths to which spreadsheets and databases cut a text


@dataclass(frozen=True)
class _Row:
    """One row with its position in the file.

    Attributes:
        number: Number of the row, counted from 0.
        line: First line of the row, counted from 1.
        label: Text of the label; empty if there is no such column.
        split: Split.
        pixels: Pixels in the original form.
        error: Why the row cannot be read, or None.
    """

    number: int
    line: int
    label: str = ""
    split: str = ""
    pixels: bytes = b""
    error: str | None = None

    @property
    def is_face(self) -> bool:
        """Whether there are pixels, even if they are wrong."""
        return self.pixels.count(b" ") > 99 and self.pixels[:1].isdigit()


def read_variant(file: BinaryIO, path: Path) -> ParsedCsv:
    """Return the content of a csv file in another form.

    Args:
        file: The open file, which can be read from its beginning.
        path: Path of the file, for messages.

    Raises:
        DataError: The columns or some rows cannot be read; names them.
    """
    file.seek(0)
    head = file.read(HEAD)
    if not head.strip():
        raise DataError(f"{path}: is empty, expected a csv with the header emotion,pixels,Usage")
    form = recognize(head, path)
    faces = FaceArray(os.fstat(file.fileno()).st_size)
    errors = RowErrors(path, "row")
    texts = _Texts()
    end = _End()
    file.seek(0)
    text = io.TextIOWrapper(file, form.encoding, errors="replace", newline="")
    try:
        rows = end.before(_rows(text, form, path), errors)
        for batch in iter(lambda: list(itertools.islice(rows, BATCH)), []):
            _add(batch, faces, texts, errors)
    finally:
        text.detach()
    labels = LabelColumn(FER7, {"": NO_LABEL}, {})
    if form.label is not None:
        labels = read_labels(texts.counts, form.names[form.label])
        texts.add_errors(labels.errors, errors)
        if labels.problem is not None:
            raise DataError(f"{path}: {labels.problem}")
    errors.raise_if_any()
    if not faces.count:
        raise DataError(f"{path}: has a header but no rows")
    file.seek(0)
    digest = hashlib.md5(usedforsecurity=False)
    for part in iter(lambda: file.read(1 << 20), b""):
        digest.update(part)
    classes = {code: labels.indices[text] for text, code in texts.codes.items()}
    note = " ".join(sentence for sentence in (form.note, labels.note, end.note) if sentence)
    return ParsedCsv(digest.hexdigest(), faces.splits(classes), labels.labels, note)


class _Texts:
    """The texts of the label column, by which it is decided at the end what they mean."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self._rows: list[tuple[int, int, str]] = []

    def add(self, row: _Row) -> int:
        """Return the code of the label of `row`: a number for each different text."""
        self.counts[row.label] += 1
        self._rows.append((row.number, row.line, row.label))
        return self.codes.setdefault(row.label, len(self.codes))

    def add_errors(self, wrong: Mapping[str, str], errors: RowErrors) -> None:
        """Add the error of each row whose text is `wrong`."""
        if wrong:
            for number, line, text in self._rows:
                if text in wrong:
                    errors.add(number, wrong[text], line)


class _End:
    """The lines after the last face: empty ones and comments are allowed there, and nowhere else."""

    note = ""

    def before(self, rows: Iterable[tuple[_Row, str]], errors: RowErrors) -> Iterator[_Row]:
        """Yield the rows before the end; add an error for each line that is not a row and is followed by one.

        Args:
            rows: Rows, each with the beginning of its text, which is empty if all fields are.
            errors: Where errors are added.
        """
        ending: list[tuple[_Row, str]] = []
        in_comment = False
        for row, text in rows:
            in_comment = (in_comment or text.startswith(_COMMENT)) and not row.is_face
            if in_comment or (not text and not row.pixels):
                ending.append((row, text))
                continue
            if ending:
                first, text = ending[0]
                errors.add(first.number, f"{text[:40]!r}, expected a row" if text else _EMPTY, first.line)
                ending = []
            yield row
        comments = [(row, text) for row, text in ending if text]
        if comments:
            first, text = comments[0]
            self.note = f"Not read: the text after the last face, from line {first.line}, {text[:40]!r}."


def _add(rows: Sequence[_Row], faces: FaceArray, texts: _Texts, errors: RowErrors) -> None:
    """Add consecutive rows, and the errors of those that cannot be read."""
    valid = [row for row in rows if row.error is None]
    labels = [texts.add(row) for row in valid]
    faces_NHW = read_batch([row.pixels for row in valid]) if valid else None
    for row in rows:
        error = row.error
        if error is None and faces_NHW is None:
            error = pixels_error(row.pixels)
        if error is not None:
            errors.add(row.number, error, row.line)
    if faces_NHW is not None and not errors:
        faces.add(faces_NHW, labels, [row.split for row in valid])


class _Lines:
    """Lines of a text file; of an overlong one only the beginning, so that no file fills the memory."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self.complete = True  # whether the last line has a line end

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(_LONGEST):
            rest = line
            while len(rest) == _LONGEST and not rest.endswith(("\n", "\r")):
                rest = self._file.readline(_LONGEST)
            self.complete = rest.endswith(("\n", "\r"))
            yield line


def _rows(file: io.TextIOWrapper, form: CsvForm, path: Path) -> Iterator[tuple[_Row, str]]:
    """Yield each row with the beginning of its text; empty if all fields are."""
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=form.delimiter)
    line, number = 1, 0
    wants_header = form.has_header
    try:
        for fields in reader:
            text = "".join(field.strip() for field in fields[:4])
            if wants_header:
                wants_header = not text
            else:
                row = _row(number, line, fields, form)
                if row.error is not None and not lines.complete:
                    row = replace(row, error=f"{row.error}; the line has no end: is the file truncated?")
                yield row, text
                number += 1
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a csv near line {line}: {error}") from None


def _row(number: int, line: int, fields: list[str], form: CsvForm) -> _Row:
    """Return a row, with its error if its fields cannot be read."""
    fields = _merged(fields, form)
    if len(fields) != len(form.names):
        return _Row(number, line, error=f"{len(fields)} fields, expected {len(form.names)}")
    written = " ".join([fields[i] for i in form.pixels])
    pixels = pixel_text(written)
    split: str | None = TRAIN if form.label is not None else TEST
    error = None
    if form.split is not None:
        split = split_for(fields[form.split])
        if split is None:
            name, text = form.names[form.split], fields[form.split].strip()[:40]
            error = f"{name} {text!r}, expected one of {', '.join(USAGE)} or another name of these splits"
    if pixels.count(" ") + 1 != PIXELS:
        if "..." in written:
            error = "the list of pixels is abbreviated by '...'; write it with ' '.join(map(str, pixels))"
        elif len(written) in _CUT_AT:
            count = pixels.count(" ") + 1
            error = f"{count} pixels, expected {PIXELS:,}; the text is cut after {len(written)} characters"
    label = fields[form.label].strip() if form.label is not None else ""
    return _Row(number, line, label, split or "", pixels.encode("ascii", "replace"), error)


def _merged(fields: list[str], form: CsvForm) -> list[str]:
    """Return the fields without empty ones after the last column, and a list of pixels with commas as one field."""
    expected = len(form.names)
    if len(fields) > expected and not "".join(fields[expected:]).strip():
        return fields[:expected]
    at = form.pixels[0]
    if len(form.pixels) == 1 and len(fields) == expected - 1 + PIXELS:
        return [*fields[:at], " ".join(fields[at : at + PIXELS]), *fields[at + PIXELS :]]
    return fields
