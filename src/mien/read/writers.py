"""What was read, as it is written: a class a format, each a context manager that takes one `Analysis` after another.

    with open_writer("csv", labels, out=Path("faces.csv")) as writer:
        for analysis in recognizer.analyze_many(pictures):
            writer.write(analysis)

A file of json, table or parquet is put in place when the writer closes, whole, be it that someone pressed Ctrl-C: then
it holds what was done until then. Lines of jsonl and csv are in their file as soon as a picture is done, and both, as
well as parquet, can be taken up again. An older file stays as it is until the first picture is done. Names that
are no Unicode keep their bytes as escapes such as `\\udcff`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mien.errors import MienError, MissingExtra
from mien.read import resume
from mien.read.replaced import Replaced
from mien.read.results import Analysis, as_text
from mien.read.rowgroups import rows_of_text, schema_of, write_group

if TYPE_CHECKING:
    from rich.console import Console

    from mien.data.atomic import Replacement

ROW_GROUP = 1000  # faces that parquet holds in memory before it writes them


class Writer:
    """What all formats share. A subclass has its name in `WRITERS` and says how a picture becomes bytes.

    Attributes:
        lines: whether each picture is in its file for good when `write` returns.
        done: the pictures that the file held already when it was taken up again, and whether each could be read.
        console: what prints, where the format is for a terminal and goes there.
    """

    lines = False
    resumable = False

    def __init__(
        self,
        labels: Sequence[str],
        *,
        out: Path | None = None,
        go_on: bool = False,
        brief: bool = False,
        reading: resume.Reading | None = None,
    ) -> None:
        """
        Args:
            labels: the classes that the net tells apart.
            out: the file to write; None is stdout.
            go_on: go on in the file, if it is there.
            brief: a line a face, where the format has a longer way to tell it.
            reading: how pictures are read; a file whose rows were read otherwise is not gone on with.
        """
        self.labels, self.out, self.brief, self.reading = tuple(labels), out, brief, reading
        self.done: dict[str, bool] = {}
        self.console: Console | None = None
        self._whole: Replacement | None = None
        self._file: Any = None  # a binary file
        self._lines: Replaced | None = None  # instead of it, where each picture is to be in the file at once
        self._go_on, self._pictures, self._broken = go_on, 0, False

    def __enter__(self) -> Writer:
        """Open the file, so that one that cannot be written is told before the work.

        Raises:
            MienError: it cannot be written, or cannot be taken up again.
        """
        try:
            self._open()
        except BaseException as why:
            self._abandon()
            if isinstance(why, OSError):
                raise self._unwritable(why) from None
            raise
        return self

    def write(self, analysis: Analysis) -> None:
        """Add one picture; `MienError` where the disk is full or the file gone, `BrokenPipeError` as it is."""
        self._told(self._picture, analysis)
        self._pictures += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._broken:
            return
        if error is not None and self.out is not None and not self._pictures and not self.done:
            self._abandon()  # nothing was done, so an older file stays
            return
        self._told(self._close)

    def _open(self) -> None:
        if self.out is None:
            self._file = sys.stdout.buffer
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.lines:
            if self._go_on and self.out.exists():
                self.done = self._taken_up(self.out)
            self._lines = Replaced(self.out, go_on=bool(self.done))
        elif self.out.exists() and not self.out.is_file():  # what is no file cannot be replaced whole
            self._file = self.out.open("wb")
        else:
            from mien.data.atomic import Replacement

            self._whole = Replacement(self.out)
            self._file = self._whole.file

    def _taken_up(self, out: Path) -> dict[str, bool]:
        """The pictures that `out` holds, and whether each could be read; what was torn off at its end is cut away."""
        raise NotImplementedError

    def _picture(self, analysis: Analysis) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """What comes last in the file."""

    def _close(self) -> None:
        self._finish()
        if self.out is None:
            self._file.flush()
        elif self._whole is not None:
            self._whole.keep()
        elif self._lines is not None:
            self._lines.close()
        else:
            self._file.close()

    def _abandon(self) -> None:
        """Let go of the file as it is; of one that is there whole or not at all nothing is left."""
        if self._whole is not None:
            self._whole.drop()
        elif self.out is not None:
            for open_one in filter(None, (self._lines, self._file)):
                with contextlib.suppress(OSError):
                    open_one.close()

    def _put(self, text: str) -> None:
        """Write and let go of it, so that whoever follows the file or the pipe sees it at once."""
        if self._lines is not None:
            self._lines.write(as_text(text))
            return
        self._file.write(as_text(text).encode())
        self._file.flush()

    def _told(self, act: Callable[..., None], *about: Any) -> None:
        try:
            act(*about)
        except OSError as why:
            self._broken = True
            self._abandon()
            if isinstance(why, BrokenPipeError):
                raise
            raise self._unwritable(why) from None

    def _unwritable(self, why: OSError) -> MienError:
        return MienError(f"cannot write {self.out or 'to stdout'}: {why.strerror or why}")


WRITERS: dict[str, type[Writer]] = {}
SUFFIXES: dict[str, str] = {}  # of a file's name, and the format that it stands for
_Kind = TypeVar("_Kind", bound=type[Writer])


def format_of(name: str, *suffixes: str) -> Callable[[_Kind], _Kind]:
    """Put a writer into the registry under `name`; a file with one of `suffixes` is of its format."""

    def registered(kind: _Kind) -> _Kind:
        clash = [taken for taken in (name, *suffixes) if taken in WRITERS or taken in SUFFIXES]
        if clash:
            raise MienError(f"two writers want to be {', '.join(clash)}")
        WRITERS[name] = kind
        SUFFIXES.update(dict.fromkeys(suffixes, name))
        return kind

    return registered


def open_writer(
    name: str,
    labels: Sequence[str],
    *,
    out: str | Path | None = None,
    go_on: bool = False,
    brief: bool = False,
    reading: resume.Reading | None = None,
) -> Writer:
    """The writer called `name`, to be used in a `with`; arguments as of `Writer`.

    Raises:
        MienError: no format is called so, or it cannot be taken up again.
        MissingExtra: parquet without pyarrow.
    """
    from mien.read import terminal  # noqa: F401  puts the table into the registry

    if name not in WRITERS:
        raise MienError(f"no format is called '{name}'; there are: {', '.join(WRITERS)}")
    kind = WRITERS[name]
    if go_on and not kind.resumable:
        able = ", ".join(n for n, k in WRITERS.items() if k.resumable)
        raise MienError(f"a {name} file cannot be taken up again, as it is one whole; --resume goes with {able}")
    return kind(labels, out=None if out is None else Path(out), go_on=go_on, brief=brief, reading=reading)


def format_for(out: str | Path) -> str:
    """The format that the name of the file `out` stands for.

    Raises:
        MienError: its suffix stands for none.
    """
    from mien.read import terminal  # noqa: F401

    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise MienError(f"the name {out} does not tell its format; end it with one of {known}, or say --format")
    return SUFFIXES[suffix]


@format_of("json", ".json")
class JsonWriter(Writer):
    """One document: a list with an object for each picture, `Analysis.to_dict`."""

    def _open(self) -> None:
        super()._open()
        self._put("[")
        self._before = "\n"

    def _picture(self, analysis: Analysis) -> None:
        self._put(self._before + json.dumps(analysis.to_dict(), ensure_ascii=False, indent=1))
        self._before = ",\n"

    def _finish(self) -> None:
        self._put("\n]\n" if self._pictures else "]\n")


@format_of("jsonl", ".jsonl", ".ndjson")
class JsonLinesWriter(Writer):
    """An object a line for each picture, `Analysis.to_dict`."""

    lines = resumable = True

    def _picture(self, analysis: Analysis) -> None:
        self._put(json.dumps(analysis.to_dict(), ensure_ascii=False) + "\n")

    def _finish(self) -> None:
        self._put("")  # of no picture at all nothing is told, in the place of what was there

    def _taken_up(self, out: Path) -> dict[str, bool]:
        return resume.lines(out, self.labels, self.reading)


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """The columns of csv and parquet: a face's box in pixels, its score, label and probabilities, and its picture.

    A picture without a face and one that could not be read have a row too, whose `face` is empty; `faces` is how many
    rows with a face the picture has. The landmarks are in json and jsonl alone.
    """
    return (
        "source", "faces", "face", "label", "confidence", *(f"p_{name}" for name in labels),
        "left", "top", "width", "height", "score", "picture_width", "picture_height", "model", "detector", "error",
    )  # fmt: skip


def rows(analysis: Analysis, labels: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each face, or one for a picture without; faces are counted from 1, from left to right."""
    shared = {
        "source": analysis.source,
        "faces": len(analysis.faces),
        "picture_width": analysis.width,
        "picture_height": analysis.height,
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

    def _picture(self, analysis: Analysis) -> None:
        self._put(self._header + as_csv([row.values() for row in rows(analysis, self.labels)]))
        self._header = ""

    def _finish(self) -> None:
        self._put(self._header)

    def _taken_up(self, out: Path) -> dict[str, bool]:
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
        super().__init__(labels, **options)
        self._arrow, self._waiting = pyarrow, list[dict[str, Any]]()
        self._table: Any = None
        self._schema = schema_of(columns(labels))

    def _open(self) -> None:
        if self.out is None:
            raise MienError("parquet is no text to be printed; name a file: --out faces.parquet")
        super()._open()
        self._table = self._arrow.parquet.ParquetWriter(self._file, self._schema)
        if self._go_on and self.out is not None and self.out.exists():
            self.done = self._taken_up(self.out)

    def _taken_up(self, out: Path) -> dict[str, bool]:
        """Parquet cannot be appended to, so what is there is copied into the new file, a row group at a time."""
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

    def _picture(self, analysis: Analysis) -> None:
        self._waiting += rows_of_text(rows(analysis, self.labels))
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def _abandon(self) -> None:
        if self._table is not None:
            with contextlib.suppress(OSError, ValueError):  # it writes its end even to a file that is closed
                self._table.close()
        super()._abandon()

    def _flush(self) -> None:
        write_group(self._table, self._file, self._arrow.Table.from_pylist(self._waiting, self._schema), self._waiting)

    def _finish(self) -> None:
        self._flush()
        self._table.close()
