"""Resuming output files: what they hold, and whether it was made with the same options."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mien.errors import MienError
from mien.recognition.results import UNCERTAIN, escape_surrogates

_ROUNDED = 6e-5  # how far a number that was written may be from what it was


@dataclass(frozen=True)
class RecordedOptions:
    """How images are read now, to be held against rows that were written before.

    Rows say more of some options than of others: of two models of one name and of the longest side they say nothing.

    Attributes:
        model, detector: as an `Analysis` names them.
        threshold: the least score of a face.
        min_confidence: below which a face is `uncertain`.
        max_faces: of an image; None for all.
    """

    model: str
    detector: str
    threshold: float = 0.0
    min_confidence: float = 0.0
    max_faces: int | None = None

    def refuse(self, out: Path, row: Mapping[str, Any]) -> None:
        """`MienError` where a row of `out`, by the names of `formats.columns`, would be another one now."""
        try:
            otherwise = next(self._otherwise(row), None)
        except (ValueError, TypeError):
            raise MienError(
                f"cannot go on in {out}: a row of {row['source']} is not what mien writes; name another file"
            ) from None
        if otherwise:
            raise MienError(f"cannot go on in {out}: {otherwise}; give the options of then, or name another file")

    def _otherwise(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Why the row would be another one."""
        for name, now in (("model", escape_surrogates(self.model)), ("detector", self.detector)):
            if row[name] != now:
                yield f"its {name} is {row[name]}, and now it would be {now}"
        label, source = row["label"], row["source"]
        if self.max_faces is not None and int(row["faces"]) > self.max_faces:
            yield f"{source} has {row['faces']} faces there, and now it would have {self.max_faces} at most"
        if not label:
            return  # an image without a face
        score, confidence = float(row["score"]), float(row["confidence"])
        if score < self.threshold - _ROUNDED:
            yield f"{source} has a face there whose score is {score:.2f}, and now {self.threshold:g} is wanted"
        unsure = confidence < self.min_confidence
        if unsure != (label == UNCERTAIN) and abs(confidence - self.min_confidence) > _ROUNDED:
            now = "would be" if unsure else "would not be"
            yield f"{source} has a face there that is {label} at {confidence:.2f}, and now {now} {UNCERTAIN}"


def lines(out: Path, labels: Sequence[str], reading: RecordedOptions | None = None) -> dict[str, bool]:
    """The images in a file of JSON lines, and whether each could be read; a last line without an end is cut off.

    Raises:
        MienError: a line is not what mien writes, or tells other classes apart than `labels`, or was read otherwise
            than `reading` says.
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
                rows = [_row(told, face) for face in told["faces"] or [{}]]
                done[escape_surrogates(told["source"])] = not told["error"]
            except (ValueError, TypeError, KeyError, AttributeError):
                raise _foreign(out, number) from None
            if any(names != list(labels) for names in faces):
                raise other_columns(out, faces[0], labels)
            if reading is not None:
                for row in rows:
                    reading.refuse(out, row)
            end += len(line)
    _cut(out, end, b'{"source"')
    return done


def _row(told: Mapping[str, Any], face: Mapping[str, Any]) -> dict[str, Any]:
    """What `RecordedOptions` asks of a row, of an object in JSON and one of its faces."""
    of_face = {name: face.get(name) for name in ("label", "score", "confidence")}
    return {name: told[name] for name in ("source", "model", "detector")} | {"faces": len(told["faces"])} | of_face


def table(out: Path, columns: Sequence[str], reading: RecordedOptions | None = None) -> dict[str, bool]:
    """The images in a csv, and whether each could be read; a last image that has not all its rows is cut off.

    Raises:
        MienError: it is no csv of mien's, or has other columns, or was read otherwise than `reading` says.
        OSError: the file cannot be read or cut.
    """
    with out.open("rb") as file:
        try:
            done, end = _images(_Whole(file), columns, out, reading)
        except csv.Error:
            raise _foreign(out, 1) from None
    _cut(out, end, columns[0].encode())
    return done


def _images(
    whole: _Whole, columns: Sequence[str], out: Path, reading: RecordedOptions | None
) -> tuple[dict[str, bool], int]:
    """The images that have all their rows, and after how many bytes the last of them ends."""
    reader = csv.reader(whole)
    header = next(reader, [])
    if header and header != list(columns):
        raise other_columns(out, header, columns)
    done: dict[str, bool] = {}
    end, missing = whole.bytes, 0  # rows that are still to come of the image at hand
    for row in reader:
        if len(row) != len(columns) or not row[1].isdecimal():
            if not whole.ended:
                raise _foreign(out, reader.line_num)
            break  # torn within a field that spans lines
        if reading:
            reading.refuse(out, dict(zip(columns, row, strict=True)))
        missing = (missing or max(int(row[1]), 1)) - 1
        if missing == 0:
            done[row[0]] = not row[-1]
            end = whole.bytes
    return done, end


def other_columns(out: Path, found: Sequence[str], wanted: Sequence[str]) -> MienError:
    """What to tell where a file was written by another model."""
    held, written = ", ".join(found), ", ".join(wanted)
    return MienError(f"cannot go on in {out}: it holds {held}, but this model writes {written}; name another file")


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
