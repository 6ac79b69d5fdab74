"""Atomic writes to a store, and file names of every kind."""

from __future__ import annotations

import io
import os
import resource
from pathlib import Path

import pytest

from mien.recognition.cluster.storage import Store, path_resolver


def test_store_when_the_disk_is_full_keeps_the_older_file(tmp_path: Path) -> None:
    store = Store(f"local://{tmp_path}")
    store.write("a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(OSError, match="too large"):
            store.write("a", bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.read("a") == b"old"
    assert list(store.below("_mien")) == []


class UploadThatFails(io.BytesIO):
    """A file of an object store, which is uploaded when it is closed."""

    def close(self) -> None:
        raise OSError("upload failed")


def test_store_when_close_fails_keeps_the_older_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a", b"old")
    upload = store.writing("a")
    upload.__enter__().close()
    upload._file = UploadThatFails()
    with pytest.raises(OSError, match="upload failed"):
        upload.__exit__(None)
    assert store.read("a") == b"old"
    assert list(store.below("_mien")) == []


def test_below_with_a_name_that_is_not_unicode_raises(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).touch()
    with pytest.raises(OSError, match="is not Unicode"):
        list(Store(f"file://{tmp_path}").below())


def test_path_resolver_does_not_parse_file_names_as_addresses(tmp_path: Path) -> None:
    odd = "a b%20c#d?e"
    (tmp_path / odd).write_bytes(b"1")
    source = f"file://{tmp_path}"
    for resolve, name in (
        (path_resolver(source, "/"), f"{source}/{odd}"),
        (path_resolver(source + "/", "/"), f"{source}/{odd}"),
        (path_resolver("photos", str(tmp_path)), odd),
        (path_resolver(f"{source}/one%20two", "/"), f"{source}/one%20two"),
    ):
        _, path = resolve(name)
        assert path == str(tmp_path / ("one two" if name.endswith("two") else odd))
