"""Images in Parquet files: columns, row groups and damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mien.errors import MienError
from mien.recognition.cluster.parquet_input import images_of, parquet_partitions


def write_table(file: Path, rows: list[dict[str, Any]], group: int = 2) -> str:
    parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=group, compression="none")
    return str(file)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"bytes": b"a", "path": "x"}, ("bytes", "path")),
        ({"jpeg": b"a", "key": "x", "number": 1}, ("jpeg", "key")),
        ({"bytes": b"a", "thumb": b"b", "path": "x", "caption": "y"}, ("bytes", "path")),
        ({"image": {"bytes": b"a", "path": "x"}, "label": 0}, ("image.bytes", "image.path")),
        ({"image": b"a"}, ("image", None)),
        ({"image.bytes": b"a", "image.path": "x"}, ("image.bytes", "image.path")),
    ],
)
def test_columns_are_found(tmp_path: Path, row: dict[str, Any], columns: tuple[str, str | None]) -> None:
    file = write_table(tmp_path / "a.parquet", [row])
    (partition,) = parquet_partitions([file], 10)
    assert (partition["bytes"], partition["name"]) == columns
    (source,) = images_of(partition)
    assert source.data == b"a"
    assert source.name == ("x" if columns[1] else f"{file}#0")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"a": b"1", "b": b"2"},
            "which column has the bytes of the images: it has a, b; name the columns bytes and path",
        ),
        ({"path": "x"}, "which column has the bytes of the images: it has none"),
        ({"bytes": b"1", "a": "x", "b": "y"}, "which column has the names of the images: it has a, b"),
    ],
)
def test_ambiguous_columns_raise(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(MienError, match=message):
        list(parquet_partitions([write_table(tmp_path / "a.parquet", [row])], 10))


def test_row_groups_are_joined_and_never_split(tmp_path: Path) -> None:
    rows = [{"bytes": b"%d" % i, "path": None if i == 4 else str(i)} for i in range(9)]
    file = write_table(tmp_path / "a.parquet", rows)
    partitions = list(parquet_partitions([file], 5))
    assert [(s["groups"], s["first"], s["rows"]) for s in partitions] == [([0, 1], 0, 4), ([2, 3, 4], 4, 5)]
    sources = [source for partition in partitions for source in images_of(partition)]
    assert [source.data for source in sources] == [b"%d" % i for i in range(9)]
    assert [source.name for source in sources] == ["0", "1", "2", "3", f"{file}#4", "5", "6", "7", "8"]
    assert [s["rows"] for s in parquet_partitions([file], 1)] == [2, 2, 2, 2, 1]


def test_row_without_bytes_is_a_source_with_an_error(tmp_path: Path) -> None:
    file = write_table(tmp_path / "a.parquet", [{"bytes": b"a", "path": "x"}, {"bytes": None, "path": "y"}])
    (partition,) = parquet_partitions([file], 10)
    assert [source.error for source in images_of(partition)] == ["", "y: column bytes is empty"]


def test_damaged_row_group_costs_its_own_rows(tmp_path: Path) -> None:
    """There are always as many images as were counted."""
    file = tmp_path / "a.parquet"
    write_table(file, [{"bytes": bytes([i]) * 3000, "path": str(i)} for i in range(40)], group=20)
    (partition,) = parquet_partitions([str(file)], 40)
    column = parquet.read_metadata(file).row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    whole = bytearray(file.read_bytes())
    whole[start : start + 16] = bytes(16)  # where the header of the second group's first page is
    file.write_bytes(whole)
    sources = list(images_of(partition))
    assert len(sources) == 40
    assert [source.name for source in sources[:20]] == [str(i) for i in range(20)]
    assert sources[39].name == f"{file}#39"
    assert sources[39].error.startswith(f"{file}#39: cannot be read: ")
    file.unlink()
    assert [bool(source.error) for source in images_of(partition)] == [True] * 40
