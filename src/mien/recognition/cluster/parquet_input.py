"""Images in Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.recognition.cluster.storage import filesystem_of
from mien.recognition.inputs import Source

TABLES = (".parquet", ".pq")
BYTES, NAMES = ("bytes",), ("path", "name")  # what a column is called, where there are several of its type
Where = Callable[[str], tuple[Any, str]]
ROWS = 16  # that are taken at once


def parquet_partitions(files: Iterable[str], size: int, where: Where = filesystem_of) -> Iterator[dict[str, Any]]:
    """Each file's row groups, joined while they have at most `size` rows in all; as JSON types.

    Args:
        where: the file system and the path of a file's name.

    Raises:
        MienError: a file cannot be read, or does not tell which column holds images.
    """
    from pyarrow import ArrowException, parquet

    for file in files:
        system, path = where(file)
        try:
            with system.open_input_file(path) as opened:
                meta = parquet.ParquetFile(opened)
                columns = _columns(meta.schema_arrow, file)
                rows = [meta.metadata.row_group(i).num_rows for i in range(meta.metadata.num_row_groups)]
        except (OSError, ArrowException) as error:
            raise MienError(f"{file} cannot be read as parquet: {error}") from None
        first = 0
        for groups in _joined(rows, size):
            held = [rows[i] for i in groups]
            yield {"file": file, "groups": groups, "rows_of": held, "first": first, "rows": sum(held), **columns}
            first += sum(held)


def images_in(share: dict[str, Any], where: Where = filesystem_of) -> Iterator[Source]:
    """The images of what `parquet_partitions` gave; a few are held at a time.

    What cannot be read of a row group, at the second try either, are images with an error, so that there are always
    as many as were counted.

    Args:
        where: as in `parquet_partitions`.
    """
    from pyarrow import ArrowException

    row = share["first"]
    for group, rows in zip(share["groups"], share["rows_of"], strict=True):
        end, error = row + rows, ""
        for _ in range(2):
            try:
                for name, data in islice(_rows(share, where, group), rows - (end - row), None):
                    name = name or f"{share['file']}#{row}"
                    error = "" if data is not None else f"{name}: has no bytes in column {share['bytes']}"
                    yield Source(name, Path(name), data=data, error=error)
                    row += 1
                break
            except (OSError, ArrowException) as damage:
                error = str(damage).splitlines()[0]
        for lost in range(row, end):
            name = f"{share['file']}#{lost}"
            yield Source(name, Path(name), error=f"{name}: cannot be read: {error}")
        row = end


def _rows(share: dict[str, Any], where: Where, group: int) -> Iterator[tuple[str | None, bytes | None]]:
    """Names and bytes of one row group."""
    from pyarrow import parquet

    system, path = where(share["file"])
    wanted = [share["bytes"], *filter(None, [share["name"]])]
    with system.open_input_file(path) as opened:
        table = parquet.ParquetFile(opened, buffer_size=1 << 20, pre_buffer=False)
        for batch in table.iter_batches(batch_size=ROWS, row_groups=[group], columns=wanted):
            for one in batch.to_pylist():
                yield share["name"] and _at(one, share["name"]), _at(one, share["bytes"])


def _joined(rows: list[int], size: int) -> Iterator[list[int]]:
    groups: list[int] = []
    for i, held in enumerate(rows):
        if groups and sum(rows[g] for g in groups) + held > size:
            yield groups
            groups = []
        if held:
            groups.append(i)
    if groups:
        yield groups


def _columns(schema: Any, file: str) -> dict[str, str | None]:
    """Which column holds bytes and which names; of a struct its fields are looked at too."""
    from pyarrow import types

    leaves = []
    for field in schema:
        inner = list(field.type) if types.is_struct(field.type) else []
        leaves += [(f"{field.name}.{one.name}", one.type) for one in inner] or [(field.name, field.type)]
    held = [name for name, kind in leaves if types.is_binary(kind) or types.is_large_binary(kind)]
    texts = [name for name, kind in leaves if types.is_string(kind) or types.is_large_string(kind)]
    images, names = _chosen(held, BYTES), _chosen(texts, NAMES)
    if images is None or (names is None and texts):
        what, found = ("bytes", held) if images is None else ("names", texts)
        raise MienError(
            f"{file} does not tell which column holds the {what} of its images: it has {', '.join(found) or 'none'}; "
            "call them bytes and path"
        )
    return {"bytes": images, "name": names}


def _chosen(found: list[str], called: tuple[str, ...]) -> str | None:
    """The only one that is called so, by the first name of which there is one; else the only one there is."""
    for name in called:
        fitting = [one for one in found if one.split(".")[-1] == name]
        if len(fitting) == 1:
            return fitting[0]
    return found[0] if len(found) == 1 else None


def _at(row: Any, column: str) -> Any:
    if column in row:  # a dot may be part of a column's own name
        return row[column]
    for part in column.split("."):
        row = None if row is None else row[part]
    return row
