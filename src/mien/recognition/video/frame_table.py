"""Table of frames and persons as csv, jsonl or parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mien import files
from mien.errors import MienError, MissingExtra
from mien.recognition.output.formats import as_csv
from mien.recognition.output.parquet_rows import write_row_group
from mien.recognition.output.text_file import AtomicTextFile
from mien.recognition.results import VideoFrame

ROW_GROUP = 5000  # rows that parquet holds in memory before it writes them


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of a row's values: times in seconds, boxes in pixels, probabilities smoothed over time."""
    return (
        "frame", "time", "person", "label", "confidence", *(f"p_{name}" for name in labels),
        "left", "top", "width", "height", "score",
    )  # fmt: skip


def rows(frame: VideoFrame) -> list[dict[str, Any]]:
    """A row for each person in the frame, by their numbers; none where nobody is."""
    at = {"frame": frame.index, "time": round(frame.time, 4)}
    made = []
    for face in sorted((face.to_dict() for face in frame.faces), key=lambda face: int(face["person"])):
        likely = {f"p_{name}": p for name, p in face["probabilities"].items()}
        told = {name: face[name] for name in ("person", "label", "confidence", "score")}
        made.append({**at, **told, **likely, **face["box"]})
    return made


class FrameTable:
    """A table that is being written; a context manager.

    Rows of csv and jsonl are in the file at once. Parquet takes its name when it is closed, whatever ended it. A file
    that was there stays as it is until the first frame.
    """

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        """Prepare to write.

        Raises:
            MienError: an ending that is none of .csv, .jsonl and .parquet, or a file that cannot be written.
            MissingExtra: parquet, and pyarrow is not installed.
        """
        self.path, self.labels = Path(path), tuple(labels)
        kinds: dict[str, Callable[[Path, tuple[str, ...]], _Table]] = {
            ".csv": _Csv, ".jsonl": _Lines, ".parquet": _Parquet,
        }  # fmt: skip
        if self.path.suffix.lower() not in kinds:
            raise MienError(f"a timeline is written as one of {', '.join(kinds)}, not {self.path.name}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._table = kinds[self.path.suffix.lower()](self.path, columns(self.labels))
        except OSError as error:
            raise self._unwritable(error) from None

    def __enter__(self) -> FrameTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._table.close()
        except OSError as exc:
            raise self._unwritable(exc) from None

    def write(self, frame: VideoFrame) -> None:
        """Add a frame's rows; `MienError` where that cannot be done."""
        try:
            self._table.add(rows(frame))
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> MienError:
        return MienError(f"cannot write {self.path}: {error.strerror or error}")


class _Table:
    """What each format does with rows."""

    def add(self, rows: list[dict[str, Any]]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Csv(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._file, self._header = AtomicTextFile(path), as_csv([names])
        self._names = names

    def add(self, rows: list[dict[str, Any]]) -> None:
        header, self._header = self._header, ""
        self._file.write(header + as_csv([row[name] for name in self._names] for row in rows))

    def close(self) -> None:
        self._file.close()


class _Lines(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._file, self._names = AtomicTextFile(path), names

    def add(self, rows: list[dict[str, Any]]) -> None:
        lines = [json.dumps({name: row[name] for name in self._names}, ensure_ascii=False) + "\n" for row in rows]
        self._file.write("".join(lines))

    def close(self) -> None:
        self._file.close()


class _Parquet(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra("parquet", "writing parquet") from None
        kinds = dict.fromkeys(names, pyarrow.float32()) | dict.fromkeys(("frame", "person"), pyarrow.int32())
        kinds |= {"label": pyarrow.string(), "time": pyarrow.float64()}
        self._schema = pyarrow.schema(list(kinds.items()))
        self._arrow, self._waiting = pyarrow, list[dict[str, Any]]()
        self._new = files.AtomicFile(path)
        self._writer, self._begun = pyarrow.parquet.ParquetWriter(self._new.file, self._schema), False

    def add(self, rows: list[dict[str, Any]]) -> None:
        self._begun = True
        self._waiting += rows
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
            self._writer.close()
        except BaseException:
            self._new.discard()
            raise
        if self._begun:
            self._new.commit()
        else:
            self._new.discard()

    def _flush(self) -> None:
        group = self._arrow.Table.from_pylist(self._waiting, self._schema)
        write_row_group(self._writer, self._new.file, group, self._waiting)
