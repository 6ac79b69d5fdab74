"""Files put in place whole or not at all, and folders whose files have names of every kind."""

from __future__ import annotations

import io
import os
import resource
from pathlib import Path

import pytest

from mien.recognition.cluster.storage import Store, located


def test_what_cannot_be_written_to_its_end_is_not_put_in_place(tmp_path: Path) -> None:
    store = Store(f"local://{tmp_path}")
    store.write("a", b"as it was")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(OSError, match="too large"):
            store.write("a", bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.read("a") == b"as it was"
    assert list(store.below("_mien")) == []


class HeldBack(io.BytesIO):
    """As files of object stores are, which are sent when they are closed."""

    def close(self) -> None:
        raise OSError("cannot be sent")


def test_what_cannot_be_closed_is_not_put_in_place(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a", b"as it was")
    whole = store.writing("a")
    whole.__enter__().close()
    whole._file = HeldBack()
    with pytest.raises(OSError, match="cannot be sent"):
        whole.__exit__(None)
    assert store.read("a") == b"as it was"
    assert list(store.below("_mien")) == []


def test_a_name_that_is_not_unicode_is_an_error_of_the_folder(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).touch()
    with pytest.raises(OSError, match="has a name that is not Unicode"):
        list(Store(f"file://{tmp_path}").below())


def test_names_below_an_address_are_no_addresses(tmp_path: Path) -> None:
    odd = "a b%20c#d?e"
    (tmp_path / odd).write_bytes(b"1")
    source = f"file://{tmp_path}"
    for where, name in (
        (located(source, "/"), f"{source}/{odd}"),
        (located(source + "/", "/"), f"{source}/{odd}"),
        (located("photos", str(tmp_path)), odd),
        (located(f"{source}/one%20two", "/"), f"{source}/one%20two"),
    ):
        _, path = where(name)
        assert path == str(tmp_path / ("one two" if name.endswith("two") else odd))
