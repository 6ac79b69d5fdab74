"""Row groups on their way into a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mien.recognition.results import escape_surrogates

_TEXTS = ("source", "label", "model", "detector", "error")
_WHOLE = ("faces", "face", "image_width", "image_height")


def schema_of(columns: Sequence[str]) -> Any:
    """The types of `formats.columns`, as pyarrow's schema: text, whole numbers, and the rest float32."""
    import pyarrow

    kinds = dict.fromkeys(columns, pyarrow.float32()) | dict.fromkeys(_TEXTS, pyarrow.string())
    kinds |= dict.fromkeys(_WHOLE, pyarrow.int32())
    return pyarrow.schema(list(kinds.items()))


def escape_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose texts are Unicode, which is all that parquet takes."""
    return [{name: escape_surrogates(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows]


def write_row_group(writer: Any, file: Any, group: Any, waiting: list[dict[str, Any]]) -> None:
    """Write the row group that `waiting` has become, if any, and empty `waiting` once it is in the file.

    Whoever interrupts it finds the rows in one of the two, and not in both.
    """
    if not waiting:
        return
    before = file.tell()
    try:
        writer.write_table(group)
    finally:
        if file.tell() > before:
            waiting.clear()
