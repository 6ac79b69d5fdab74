"""Files of results taken up again: which pictures they hold, and what was torn off at their end cut away."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mien.errors import MienError
from mien.read.results import as_text


def lines(out: Path, labels: Sequence[str]) -> dict[str, bool]:
    """The pictures in a file of JSON lines, and whether each could be read; a last line without an end is cut off.

    Raises:
        MienError: a line is not what mien writes, or tells other classes apart than `labels`.
        OSError: the file cannot be read or cut.
    """
    done: dict[str, bool] = {}
    end = 0
    with out.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # the process was killed while it wrote
            try:
                told = json.loads(line)
                faces = [list(face["probabilities"]) for face in told["faces"]]
                done[as_text(told["source"])] = not told["error"]
            except (ValueError, TypeError, KeyError, AttributeError):
                raise _foreign(out, number) from None
            if any(names != list(labels) for names in faces):
                raise other_columns(out, faces[0], labels)
            end += len(line)
    _cut(out, end, b'{"source"')
    return done


def table(out: Path, columns: Sequence[str]) -> dict[str, bool]:
    """The pictures in a csv, and whether each could be read; a last picture that has not all its rows is cut off.

    Raises:
        MienError: it is no csv of mien's, or has other columns.
        OSError: the file cannot be read or cut.
    """
    with out.open("rb") as file:
        try:
            done, end = _pictures(_Whole(file), columns, out)
        except csv.Error:
            raise _foreign(out, 1) from None
    _cut(out, end, columns[0].encode())
    return done


def _pictures(whole: _Whole, columns: Sequence[str], out: Path) -> tuple[dict[str, bool], int]:
    """The pictures that have all their rows, and after how many bytes the last of them ends."""
    reader = csv.reader(whole)
    header = next(reader, [])
    if header and header != list(columns):
        raise other_columns(out, header, columns)
    done: dict[str, bool] = {}
    end, missing = whole.bytes, 0  # rows that are still to come of the picture at hand
    for row in reader:
        if len(row) != len(columns) or not row[1].isdecimal():
            if not whole.ended:
                raise _foreign(out, reader.line_num)
            break  # torn within a field that spans lines
        missing = (missing or max(int(row[1]), 1)) - 1
        if missing == 0:
            done[row[0]] = not row[-1]
            end = whole.bytes
    return done, end


def other_columns(out: Path, found: Sequence[str], wanted: Sequence[str]) -> MienError:
    """What to tell where a file was written by another net."""
    held, written = ", ".join(found), ", ".join(wanted)
    return MienError(f"cannot go on in {out}: it holds {held}, but this net writes {written}; name another file")


class _Whole:
    """The lines of a file that have an end, as text, and how many bytes they were so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes, self.ended = file, 0, False

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self.bytes += len(line)
            yield line.decode("utf-8", "replace")
        self.ended = True


def _cut(out: Path, end: int, ours: bytes) -> None:
    """Cut off what follows after `end` bytes; of a file without a whole line only what begins as `ours` do."""
    if end == 0:
        with out.open("rb") as file:
            head = file.read(len(ours))
        if not ours.startswith(head):
            raise _foreign(out, 1)
    os.truncate(out, end)


def _foreign(out: Path, line: int) -> MienError:
    return MienError(f"cannot go on in {out}: line {line} is not what mien writes; name another file")
