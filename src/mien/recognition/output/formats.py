"""Output formats: json, jsonl, csv and parquet. See `table` for the table in the terminal."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mien.errors import MienError, MissingExtra
from mien.recognition.output.base import Writer, register_format
from mien.recognition.results import Analysis

ROW_GROUP = 1000  # rows that parquet holds in memory before it writes them
QUALITY_COLUMNS = ("size", "sharpness", "brightness", "yaw", "roll", "uncertain_reason")


@register_format("json", ".json")
class JsonWriter(Writer):
    """One document: a list with an object per image, `Analysis.to_dict`."""

    def _open(self) -> None:
        super()._open()
        self._put("[")
        self._separator = "\n"

    def _write_image(self, analysis: Analysis) -> None:
        self._put(self._separator + json.dumps(analysis.to_dict(), ensure_ascii=False, indent=1))
        self._separator = ",\n"

    def _finish(self) -> None:
        self._put("\n]\n" if self._images else "]\n")


@register_format("jsonl", ".jsonl", ".ndjson")
class JsonLinesWriter(Writer):
    """One line per image: an object, `Analysis.to_dict`."""

    writes_lines = resumable = True

    def _write_image(self, analysis: Analysis) -> None:
        self._put(json.dumps(analysis.to_dict(), ensure_ascii=False) + "\n")

    def _finish(self) -> None:
        self._put("")  # without any image, an older file becomes empty

    def _read_done(self, out: Path) -> tuple[dict[str, bool], int]:
        from mien.recognition.output import resume

        return resume.read_jsonl(out, '{"source": ')


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of csv and parquet.

    A row is a face: the image, label and probabilities, the quality of the face, the box in pixels, and the confidence
    of the detector. An image without faces, or that could not be read, is a row whose `face` is empty; `faces` is the
    number of faces in the image. Landmarks are only in json and jsonl.

    Example:
        >>> columns(("happy", "sad"))[:7]
        ('source', 'faces', 'face', 'label', 'confidence', 'p_happy', 'p_sad')
    """
    return (
        "source", "faces", "face", "label", "confidence", *(f"p_{name}" for name in labels),
        *QUALITY_COLUMNS, "left", "top", "width", "height", "score", "image_width", "image_height", "model", "detector",
        "notes", "error",
    )  # fmt: skip


def rows(analysis: Analysis, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per face, from left to right and numbered from 1, or one row for an image without faces."""
    empty = dict.fromkeys(columns(labels)) | {
        "source": analysis.source,
        "faces": len(analysis.faces),
        "image_width": analysis.width,
        "image_height": analysis.height,
        "model": analysis.model,
        "detector": analysis.detector,
        "notes": "; ".join(analysis.notes) or None,
        "error": analysis.error or None,
    }
    result = []
    for number, face in enumerate((face.to_dict() for face in analysis.faces), 1):
        values = {name: face[name] for name in ("label", "confidence", "score")}
        result.append({**empty, "face": number, **values, **face_columns(face), **face["box"]})
    return result or [empty]


def face_columns(face: dict[str, Any]) -> dict[str, Any]:
    """Return the probabilities and the quality of a face, `Face.to_dict`, by their columns."""
    probs = {f"p_{name}": p for name, p in face["probabilities"].items()}
    quality = face["quality"] or dict.fromkeys(name for name in QUALITY_COLUMNS if name != "uncertain_reason")
    return {**probs, **quality, "uncertain_reason": face["uncertain_reason"]}


@register_format("csv", ".csv")
class CsvWriter(Writer):
    """A row per face with the columns of `columns`, as RFC 4180 in UTF-8."""

    writes_lines = resumable = True

    def _open(self) -> None:
        super()._open()
        self._header = "" if self.done else as_csv([columns(self.labels)])

    def _write_image(self, analysis: Analysis) -> None:
        self._put(self._header + as_csv([row.values() for row in rows(analysis, self.labels)]))
        self._header = ""

    def _finish(self) -> None:
        self._put(self._header)

    def _read_done(self, out: Path) -> tuple[dict[str, bool], int]:
        from mien.recognition.output import resume

        return resume.read_csv(out, as_csv([columns(self.labels)]))


def as_csv(rows: Iterable[Iterable[object]]) -> str:
    r"""Return rows as RFC 4180 text.

    Example:
        >>> as_csv([("a,b", 1)])
        '"a,b",1\r\n'
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


@register_format("parquet", ".parquet", ".pq")
class ParquetWriter(Writer):
    """The columns of csv with types, in row groups; an interrupted file is closed properly."""

    resumable = True

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra("parquet", "writing parquet") from None
        from mien.recognition.output import parquet_rows

        super().__init__(labels, **options)
        self._arrow, self._rows, self._pending = pyarrow, parquet_rows, list[dict[str, Any]]()
        self._table: Any = None
        self._resumed: Path | None = None
        self._schema = parquet_rows.schema_of(columns(labels))

    def _open(self) -> None:
        if self.out is None:
            raise MienError("parquet cannot be written to stdout; use --out faces.parquet")
        super()._open()
        self._table = self._arrow.parquet.ParquetWriter(self._file, self._schema)
        if self._resumed is not None:
            self._copy(self._resumed)

    def _resume(self, out: Path) -> None:
        self._resumed = out

    def _copy(self, out: Path) -> None:
        """Copy the row groups of an older file into the new one, as nothing can be appended to Parquet."""
        try:
            with self._arrow.parquet.ParquetFile(out) as older:
                for number in range(older.num_row_groups):
                    group = older.read_row_group(number).cast(self._schema)
                    sources, errors = group.column("source").to_pylist(), group.column("error").to_pylist()
                    self.done |= {source: not error for source, error in zip(sources, errors, strict=True)}
                    self._table.write_table(group)
        except (self._arrow.ArrowException, ValueError):
            raise MienError(f"cannot resume: {out} is damaged or not a parquet file; use another --out") from None

    def _write_image(self, analysis: Analysis) -> None:
        self._pending += self._rows.escape_rows(rows(analysis, self.labels))
        if len(self._pending) >= ROW_GROUP:
            self._flush()

    def _abandon(self) -> None:
        if self._table is not None:
            with contextlib.suppress(OSError, ValueError):  # it writes the footer even to a closed file
                self._table.close()
        super()._abandon()

    def _flush(self) -> None:
        group = self._arrow.Table.from_pylist(self._pending, self._schema)
        self._rows.write_row_group(self._table, self._file, group, self._pending)

    def _finish(self) -> None:
        self._flush()
        self._table.close()
