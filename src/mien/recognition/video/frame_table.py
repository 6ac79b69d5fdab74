"""Table of frames and persons as csv, jsonl or parquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mien import files
from mien.errors import MienError, MissingExtra
from mien.recognition.output.formats import as_csv
from mien.recognition.output.parquet_rows import write_row_group
from mien.recognition.output.text_file import AtomicTextFile
from mien.recognition.results import VideoFrame

ROW_GROUP = 5000  # rows that parquet keeps in memory before it writes them


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of csv and parquet: time in seconds, box in pixels, probabilities smoothed over time.

    They have the names of `VideoFrame.to_dict` and of the tables of photos. Landmarks are in jsonl only.

    Args:
        labels: Classes of the model.
    """
    return (
        "index", "time", "person", "label", "confidence", *(f"p_{name}" for name in labels),
        "left", "top", "width", "height", "score", "image_width", "image_height",
    )  # fmt: skip


def rows(frame: VideoFrame) -> list[dict[str, Any]]:
    """Return a row for each person in a frame, ordered by number; none for a frame without persons."""
    values = frame.to_dict()
    shared = {"index": values["index"], "time": values["time"]}
    size = {"image_width": values["width"], "image_height": values["height"]}
    table = []
    for face in sorted(values["faces"], key=lambda face: int(face["person"])):
        probs = {f"p_{name}": p for name, p in face["probabilities"].items()}
        fields = {name: face[name] for name in ("person", "label", "confidence", "score")}
        table.append({**shared, **fields, **probs, **face["box"], **size})
    return table


class FrameTable:
    """A table that is being written, as a context manager.

    A jsonl file has a line for each frame, `VideoFrame.to_dict`; csv and parquet have a row for each face. Rows of csv
    and jsonl are in the file at once. A parquet file gets its name when it is closed, even after an error. An existing
    file is replaced with the first frame.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "faces.jsonl"
        ...     with FrameTable(path, ("happy", "sad")) as table:
        ...         table.write(VideoFrame(0, 0.0, 64, 48, ()))
        ...     json.loads(path.read_text())["faces"]
        []
    """

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        """Check that the file can be written.

        Args:
            path: Path of the file, .csv, .jsonl or .parquet.
            labels: Classes of the model.

        Raises:
            MienError: The suffix is not supported, or the file cannot be written.
            MissingExtra: The suffix is .parquet and pyarrow is not installed.
        """
        self.path, self.labels = Path(path), tuple(labels)
        formats: dict[str, type[_Table]] = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}
        suffix = self.path.suffix.lower()
        if suffix not in formats:
            raise MienError(f"unknown file name extension of {self.path.name}; use one of {', '.join(formats)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._table = formats[suffix](self.path, columns(self.labels))
        except OSError as error:
            raise self._write_error(error) from None

    def __enter__(self) -> FrameTable:
        """Return the table itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        try:
            self._table.close()
        except OSError as exc:
            raise self._write_error(exc) from None

    def write(self, frame: VideoFrame) -> None:
        """Add a frame.

        Raises:
            MienError: The file cannot be written.
        """
        try:
            self._table.add(frame)
        except OSError as error:
            raise self._write_error(error) from None

    def _write_error(self, error: OSError) -> MienError:
        return MienError(f"cannot write {self.path}: {error.strerror or error}")


class _Table:
    """One format of a table."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        raise NotImplementedError

    def add(self, frame: VideoFrame) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Csv(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._file, self._header = AtomicTextFile(path), as_csv([names])
        self._names = names

    def add(self, frame: VideoFrame) -> None:
        header, self._header = self._header, ""
        self._file.write(header + as_csv([row[name] for name in self._names] for row in rows(frame)))

    def close(self) -> None:
        self._file.close()


class _JsonLines(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._file = AtomicTextFile(path)

    def add(self, frame: VideoFrame) -> None:
        self._file.write(json.dumps(frame.to_dict(), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet(_Table):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra("parquet", "writing parquet") from None
        types = dict.fromkeys(names, pyarrow.float32())
        types |= dict.fromkeys(("index", "person", "image_width", "image_height"), pyarrow.int32())
        types |= {"label": pyarrow.string(), "time": pyarrow.float64()}
        self._schema = pyarrow.schema(list(types.items()))
        self._arrow, self._pending = pyarrow, list[dict[str, Any]]()
        self._file = files.AtomicFile(path)
        self._writer, self._has_frames = pyarrow.parquet.ParquetWriter(self._file.file, self._schema), False

    def add(self, frame: VideoFrame) -> None:
        self._has_frames = True
        self._pending += rows(frame)
        if len(self._pending) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
            self._writer.close()
        except BaseException:
            self._file.discard()
            raise
        if self._has_frames:
            self._file.commit()
        else:
            self._file.discard()

    def _flush(self) -> None:
        group = self._arrow.Table.from_pylist(self._pending, self._schema)
        write_row_group(self._writer, self._file.file, group, self._pending)
