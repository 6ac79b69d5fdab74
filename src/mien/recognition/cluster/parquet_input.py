"""Images in Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.recognition.cluster.storage import filesystem_of
from mien.recognition.inputs import Source

PARQUET_SUFFIXES = (".parquet", ".pq")
BYTES_NAMES, PATH_NAMES = ("bytes",), ("path", "name")  # names of columns, if there are several of the same type
ROWS = 16  # rows that are read at once
Resolver = Callable[[str], tuple[Any, str]]


def parquet_partitions(files: Iterable[str], size: int, resolve: Resolver = filesystem_of) -> Iterator[dict[str, Any]]:
    """Yield partitions of whole row groups; row groups of a file are joined while they have at most `size` rows.

    Args:
        files: Names of Parquet files.
        size: Images per partition.
        resolve: Function that returns the file system and the path of a file name.

    Yields:
        A partition as JSON types: the file, its row groups, their numbers of rows, and the columns.

    Raises:
        MienError: A file cannot be read, or it is not clear which column has the images.
    """
    from pyarrow import ArrowException, parquet

    for file in files:
        system, path = resolve(file)
        try:
            with system.open_input_file(path) as opened:
                parquet_file = parquet.ParquetFile(opened)
                columns = _find_columns(parquet_file.schema_arrow, file)
                metadata = parquet_file.metadata
                rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        except (OSError, ArrowException) as error:
            raise MienError(f"{file} cannot be read as parquet: {error}") from None
        first = 0
        for groups in _join(rows, size):
            counts = [rows[i] for i in groups]
            yield {"file": file, "groups": groups, "rows_of": counts, "first": first, "rows": sum(counts), **columns}
            first += sum(counts)


def images_of(partition: dict[str, Any], resolve: Resolver = filesystem_of) -> Iterator[Source]:
    """Yield the images of a partition of `parquet_partitions`; a few are in memory at a time.

    Rows that cannot be read at the second attempt are images with an error, so that there are always as many images as
    were counted.

    Args:
        partition: Partition.
        resolve: Function that returns the file system and the path of a file name.
    """
    from pyarrow import ArrowException

    row = partition["first"]
    for group, rows in zip(partition["groups"], partition["rows_of"], strict=True):
        end, error = row + rows, ""
        for _ in range(2):
            try:
                for name, data in islice(_rows(partition, resolve, group), rows - (end - row), None):
                    name = name or f"{partition['file']}#{row}"
                    error = "" if data is not None else f"{name}: column {partition['bytes']} is empty"
                    yield Source(name, Path(name), data=data, error=error)
                    row += 1
                break
            except (OSError, ArrowException) as exc:
                error = str(exc).splitlines()[0]
        for unreadable in range(row, end):
            name = f"{partition['file']}#{unreadable}"
            yield Source(name, Path(name), error=f"{name}: cannot be read: {error}")
        row = end


def _rows(partition: dict[str, Any], resolve: Resolver, group: int) -> Iterator[tuple[str | None, bytes | None]]:
    """Yield names and bytes of one row group."""
    from pyarrow import parquet

    system, path = resolve(partition["file"])
    columns = [partition["bytes"], *filter(None, [partition["name"]])]
    with system.open_input_file(path) as opened:
        table = parquet.ParquetFile(opened, buffer_size=1 << 20, pre_buffer=False)
        for batch in table.iter_batches(batch_size=ROWS, row_groups=[group], columns=columns):
            for row in batch.to_pylist():
                yield partition["name"] and _value(row, partition["name"]), _value(row, partition["bytes"])


def _join(rows: list[int], size: int) -> Iterator[list[int]]:
    groups: list[int] = []
    for i, count in enumerate(rows):
        if groups and sum(rows[g] for g in groups) + count > size:
            yield groups
            groups = []
        if count:
            groups.append(i)
    if groups:
        yield groups


def _find_columns(schema: Any, file: str) -> dict[str, str | None]:
    """Return which column has the bytes and which the names; fields of structs are columns too."""
    from pyarrow import types

    leaves = []
    for field in schema:
        fields = list(field.type) if types.is_struct(field.type) else []
        leaves += [(f"{field.name}.{inner.name}", inner.type) for inner in fields] or [(field.name, field.type)]
    binary = [name for name, kind in leaves if types.is_binary(kind) or types.is_large_binary(kind)]
    text = [name for name, kind in leaves if types.is_string(kind) or types.is_large_string(kind)]
    images, names = _select(binary, BYTES_NAMES), _select(text, PATH_NAMES)
    if images is None or (names is None and text):
        content, candidates = ("bytes", binary) if images is None else ("names", text)
        raise MienError(
            f"{file}: it is not clear which column has the {content} of the images: it has "
            f"{', '.join(candidates) or 'none'}; name the columns bytes and path"
        )
    return {"bytes": images, "name": names}


def _select(columns: list[str], names: tuple[str, ...]) -> str | None:
    """Return the only column with the first of `names` that occurs exactly once; else the only column."""
    for name in names:
        matches = [column for column in columns if column.split(".")[-1] == name]
        if len(matches) == 1:
            return matches[0]
    return columns[0] if len(columns) == 1 else None


def _value(row: Any, column: str) -> Any:
    if column in row:  # the name of a column may contain a dot
        return row[column]
    for part in column.split("."):
        row = None if row is None else row[part]
    return row
