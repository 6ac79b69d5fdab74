"""Rows and row groups of Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mien.recognition.results import escape_surrogates

_STRINGS = ("source", "label", "uncertain_reason", "model", "detector", "notes", "error")
_INTEGERS = ("faces", "face", "image_width", "image_height")


def schema_of(columns: Sequence[str]) -> Any:
    """Return the types of `formats.columns` as a pyarrow schema: strings, integers, and float32 for the others."""
    import pyarrow

    types = dict.fromkeys(columns, pyarrow.float32()) | dict.fromkeys(_STRINGS, pyarrow.string())
    types |= dict.fromkeys(_INTEGERS, pyarrow.int32())
    return pyarrow.schema(list(types.items()))


def escape_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    r"""Return rows whose strings are valid Unicode, as Parquet requires.

    Example:
        >>> escape_rows([{"source": "caf\udce9.jpg", "faces": 1}])
        [{'source': 'caf\\udce9.jpg', 'faces': 1}]
    """
    return [{name: escape_surrogates(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows]


def write_row_group(writer: Any, file: Any, group: Any, pending: list[dict[str, Any]]) -> None:
    """Write a row group, and empty `pending`, the rows that it was made of, once it is in the file.

    After an interrupt, for example by Ctrl-C, each row is either in the file or in `pending`, never in both.

    Args:
        writer: Writer of pyarrow.
        file: File that it writes to.
        group: Rows as a pyarrow table.
        pending: The same rows; nothing is done if there are none.
    """
    if not pending:
        return
    before = file.tell()
    try:
        writer.write_table(group)
    finally:
        if file.tell() > before:
            pending.clear()
