"""Results as files: `open_writer` returns a writer for a format by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.recognition.output import formats, table  # noqa: F401  they register their formats
from mien.recognition.output.base import SUFFIXES, WRITERS, Writer

__all__ = ["WRITERS", "format_for", "open_writer"]


def open_writer(
    name: str,
    labels: Sequence[str],
    *,
    out: str | Path | None = None,
    append: bool = False,
    brief: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Writer:
    """Return a writer of the format `name`, to be used in a `with` statement.

    Args:
        name: `json`, `jsonl`, `csv`, `parquet` or `table`.
        labels: Classes of the model.
        out: Path of the file; None for stdout.
        append: Whether to append to the file if it exists; only for csv, jsonl and parquet.
        brief: Whether a table has a line per face instead of a bar per class.
        options: Options that the rows depend on, as JSON types. Beside a file of csv, jsonl or parquet they are
            recorded in `<out>.resume.json`, and `append` requires the same ones.

    Raises:
        MienError: The format is unknown, or nothing can be appended to it.
        MissingExtra: The format is parquet and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> import mien
        >>> from mien.recognition import sample
        >>> recognizer = mien.load("nano")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "faces.csv")
        ...     with open_writer("csv", recognizer.labels.names, out=file) as writer:
        ...         for analysis in recognizer.analyze_many([sample()]):
        ...             writer.write(analysis)
        ...     len(file.read_text().splitlines())  # the header and one face
        2
    """
    if name not in WRITERS:
        raise MienError(f"unknown format '{name}'; use one of {', '.join(WRITERS)}")
    writer = WRITERS[name]
    if append and not writer.resumable:
        resumable = ", ".join(n for n, w in WRITERS.items() if w.resumable)
        raise MienError(f"cannot resume a {name} file, as nothing can be appended to it; use one of {resumable}")
    return writer(labels, out=None if out is None else Path(out), append=append, brief=brief, options=options)


def format_for(out: str | Path) -> str:
    """Return the format that the suffix of a file name stands for.

    Raises:
        MienError: The suffix is unknown.

    Example:
        >>> format_for("faces.CSV")
        'csv'
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise MienError(f"unknown file name extension of {out}; use one of {known}, or --format")
    return SUFFIXES[suffix]
