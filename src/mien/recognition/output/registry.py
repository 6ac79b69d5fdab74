"""Results as files: `open_writer` opens a writer for a format by its name.

with open_writer("csv", labels, out=Path("faces.csv")) as writer:
    for analysis in recognizer.analyze_many(images):
        writer.write(analysis)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import MienError
from mien.recognition.output import formats, table  # noqa: F401  formats and terminal register their formats
from mien.recognition.output.base import SUFFIXES, WRITERS, Writer

if TYPE_CHECKING:
    from mien.recognition.output.resume import RecordedOptions

__all__ = ["WRITERS", "format_for", "open_writer"]


def open_writer(
    name: str,
    labels: Sequence[str],
    *,
    out: str | Path | None = None,
    append: bool = False,
    brief: bool = False,
    reading: RecordedOptions | None = None,
) -> Writer:
    """The writer called `name`, to be used in a `with`; arguments as of `Writer`.

    Raises:
        MienError: no format is called so, or it cannot be taken up again.
        MissingExtra: parquet without pyarrow.
    """
    if name not in WRITERS:
        raise MienError(f"no format is called '{name}'; there are: {', '.join(WRITERS)}")
    kind = WRITERS[name]
    if append and not kind.resumable:
        able = ", ".join(n for n, k in WRITERS.items() if k.resumable)
        raise MienError(f"a {name} file cannot be taken up again, as it is one whole; --resume goes with {able}")
    return kind(labels, out=None if out is None else Path(out), append=append, brief=brief, reading=reading)


def format_for(out: str | Path) -> str:
    """The format that the name of the file `out` stands for.

    Raises:
        MienError: its suffix stands for none.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise MienError(f"the name {out} does not tell its format; end it with one of {known}, or say --format")
    return SUFFIXES[suffix]
