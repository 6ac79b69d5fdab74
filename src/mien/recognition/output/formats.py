"""Output formats: json, jsonl, csv and parquet. The table for terminals has a module of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mien.errors import MienError, MissingExtra
from mien.recognition.output.base import Writer, format_of
from mien.recognition.results import Analysis

ROW_GROUP = 1000  # faces that parquet holds in memory before it writes them


@format_of("json", ".json")
class JsonWriter(Writer):
    """One document: a list with an object for each image, `Analysis.to_dict`."""

    def _open(self) -> None:
        super()._open()
        self._put("[")
        self._before = "\n"

    def _image(self, analysis: Analysis) -> None:
        self._put(self._before + json.dumps(analysis.to_dict(), ensure_ascii=False, indent=1))
        self._before = ",\n"

    def _finish(self) -> None:
        self._put("\n]\n" if self._images else "]\n")


@format_of("jsonl", ".jsonl", ".ndjson")
class JsonLinesWriter(Writer):
    """An object a line for each image, `Analysis.to_dict`."""

    lines = resumable = True

    def _image(self, analysis: Analysis) -> None:
        self._put(json.dumps(analysis.to_dict(), ensure_ascii=False) + "\n")

    def _finish(self) -> None:
        self._put("")  # of no image at all nothing is told, in the place of what was there

    def _resume(self, out: Path) -> dict[str, bool]:
        from mien.recognition.output import resume

        return resume.lines(out, self.labels, self.reading)


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """The columns of csv and parquet: a face's box in pixels, its score, label and probabilities, and its image.

    An image without a face and one that could not be read have a row too, whose `face` is empty; `faces` is how many
    rows with a face the image has. The landmarks are in json and jsonl alone.
    """
    return (
        "source", "faces", "face", "label", "confidence", *(f"p_{name}" for name in labels),
        "left", "top", "width", "height", "score", "image_width", "image_height", "model", "detector", "error",
    )  # fmt: skip


def rows(analysis: Analysis, labels: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each face, or one for an image without; faces are counted from 1, from left to right."""
    shared = {
        "source": analysis.source,
        "faces": len(analysis.faces),
        "image_width": analysis.width,
        "image_height": analysis.height,
        "model": analysis.model,
        "detector": analysis.detector,
        "error": analysis.error or None,
    }
    empty = dict.fromkeys(columns(labels)) | shared
    found = []
    for number, face in enumerate((face.to_dict() for face in analysis.faces), 1):
        likely = {f"p_{name}": p for name, p in face["probabilities"].items()}
        kept = {name: face[name] for name in ("label", "confidence", "score")}
        found.append({**empty, "face": number, **kept, **likely, **face["box"]})
    return found or [empty]


@format_of("csv", ".csv")
class CsvWriter(Writer):
    """A row for each face, under the names of `columns`; RFC 4180, in UTF-8."""

    lines = resumable = True

    def _open(self) -> None:
        super()._open()
        self._header = "" if self.done else as_csv([columns(self.labels)])

    def _image(self, analysis: Analysis) -> None:
        self._put(self._header + as_csv([row.values() for row in rows(analysis, self.labels)]))
        self._header = ""

    def _finish(self) -> None:
        self._put(self._header)

    def _resume(self, out: Path) -> dict[str, bool]:
        from mien.recognition.output import resume

        return resume.table(out, columns(self.labels), self.reading)


def as_csv(rows: Iterable[Iterable[object]]) -> str:
    """Rows as RFC 4180 has them."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


@format_of("parquet", ".parquet", ".pq")
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
        self._arrow, self._rowgroups, self._waiting = pyarrow, parquet_rows, list[dict[str, Any]]()
        self._table: Any = None
        self._schema = parquet_rows.schema_of(columns(labels))

    def _open(self) -> None:
        if self.out is None:
            raise MienError("parquet is no text to be printed; name a file: --out faces.parquet")
        super()._open()
        self._table = self._arrow.parquet.ParquetWriter(self._file, self._schema)
        if self._go_on and self.out is not None and self.out.exists():
            self.done = self._resume(self.out)

    def _resume(self, out: Path) -> dict[str, bool]:
        """Parquet cannot be appended to, so what is there is copied into the new file, a row group at a time."""
        from mien.recognition.output import resume

        done: dict[str, bool] = {}
        try:
            with self._arrow.parquet.ParquetFile(out) as old:
                if old.schema_arrow.names != self._schema.names:
                    raise resume.other_columns(out, old.schema_arrow.names, columns(self.labels))
                for number in range(old.num_row_groups):
                    group = old.read_row_group(number)
                    for row in group.to_pylist():
                        done[row["source"]] = not row["error"]
                        if self.reading:
                            self.reading.refuse(out, row)
                    self._table.write_table(group.cast(self._schema))
        except self._arrow.ArrowInvalid:
            raise MienError(f"{out} is no parquet file, or not whole, so mien cannot go on there") from None
        return done

    def _image(self, analysis: Analysis) -> None:
        self._waiting += self._rowgroups.escape_rows(rows(analysis, self.labels))
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def _abandon(self) -> None:
        if self._table is not None:
            with contextlib.suppress(OSError, ValueError):  # it writes its end even to a file that is closed
                self._table.close()
        super()._abandon()

    def _flush(self) -> None:
        group = self._arrow.Table.from_pylist(self._waiting, self._schema)
        self._rowgroups.write_row_group(self._table, self._file, group, self._waiting)

    def _finish(self) -> None:
        self._flush()
        self._table.close()
