"""Rows on their way into a parquet file, which takes them in groups."""

from __future__ import annotations

from typing import Any


def write_group(writer: Any, file: Any, group: Any, waiting: list[dict[str, Any]]) -> None:
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
