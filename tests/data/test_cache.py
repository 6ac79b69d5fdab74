"""The cache: it saves the second reading, notices every change, and never stands in the way."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import cache, load
from mien.data.cache import Key


def _mark(path: Path) -> None:
    """Change one pixel of what is kept for `path`: a reading that shows it came from the cache."""
    md5, splits = cache.reopen(path)
    train = splits["train"]
    pixels_NHW = train.pixels_NHW.copy()
    pixels_NHW[5, 6, 7] ^= 255
    cache.keep(Key.of(path), md5, splits | {"train": replace(train, pixels_NHW=pixels_NHW)})


def _from_cache(tiny, path: Path) -> bool:
    return load(path)["train"].pixels_NHW[5, 6, 7] != tiny.faces_NHW[5, 6, 7]


def _arrays(cache_dir: Path) -> list[Path]:
    return sorted(cache_dir.glob("*.faces"))


def test_second_reading_is_the_same(tiny_csv, cache_dir) -> None:
    first = load(tiny_csv)
    assert len(_arrays(cache_dir)) == 1
    again = load(tiny_csv)
    assert (again.digest, again.name, again.source) == (first.digest, first.name, first.source)
    assert list(again.splits) == list(first.splits)
    for name, split in first.splits.items():
        for field in ("pixels_NHW", "labels_N", "rows_N"):
            assert (getattr(again[name], field) == getattr(split, field)).all()
            assert getattr(again[name], field).dtype == getattr(split, field).dtype


def test_hit(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    assert not _from_cache(tiny, tiny_csv)
    _mark(tiny_csv)
    assert _from_cache(tiny, tiny_csv)


def test_what_was_read_may_be_written_to_and_the_cache_stays(tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    before = _arrays(cache_dir)[0].read_bytes()
    pixels_NHW = load(tiny_csv)["train"].pixels_NHW
    pixels_NHW[:] = 0
    assert _arrays(cache_dir)[0].read_bytes() == before
    assert load(tiny_csv)["train"].pixels_NHW.any()


def test_touched_or_copied_but_the_same_is_found_again(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    _mark(tiny_csv)
    os.utime(tiny_csv, (1, 1))
    assert _from_cache(tiny, tiny_csv)
    assert cache._noted(cache_dir, str(tiny_csv.resolve()))[0] == Key.of(tiny_csv)  # and the key is up to date
    copy = shutil.copy(tiny_csv, tiny_csv.with_name("copy.csv"))
    assert _from_cache(tiny, Path(copy))
    assert len(_arrays(cache_dir)) == 1


def test_changed_but_of_the_same_size_is_read_anew(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    tiny.emotions[0] = 3
    tiny.write(tiny.lines())
    os.utime(tiny_csv, (1, 1))
    assert load(tiny_csv)["train"].labels_N[0] == 3
    assert len(_arrays(cache_dir)) == 1  # the old arrays are gone
    assert load(tiny_csv)["train"].labels_N[0] == 3


def test_changed_and_longer_is_read_anew(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    with open(tiny_csv, "a") as file:
        file.write(tiny.lines()[0] + "\n")
    assert len(load(tiny_csv)["train"]) == 121


def test_arrays_that_two_files_share_outlive_a_change_of_one(tiny, tiny_csv, cache_dir) -> None:
    copy = Path(shutil.copy(tiny_csv, tiny_csv.with_name("copy.csv")))
    load(tiny_csv)
    load(copy)
    tiny.write(tiny.lines()[:-1])
    load(tiny_csv)
    _mark(copy)
    assert _from_cache(tiny, copy)
    assert len(_arrays(cache_dir)) == 2


@pytest.mark.parametrize("damage", ["first byte", "one bit of a pixel", "half", "empty", "head", "no file"])
def test_damaged_is_rebuilt(tiny, tiny_csv, cache_dir, damage: str) -> None:
    load(tiny_csv)
    _mark(tiny_csv)
    (arrays,) = _arrays(cache_dir)
    whole = bytearray(arrays.read_bytes())
    if damage == "first byte":
        whole[0] ^= 1
    elif damage == "one bit of a pixel":
        whole[-1000] ^= 1
    elif damage == "half":
        del whole[len(whole) // 2 :]
    elif damage == "head":
        whole[20] = ord("z")
    arrays.write_bytes(b"" if damage == "empty" else whole)
    if damage == "no file":
        arrays.unlink()
    assert not _from_cache(tiny, tiny_csv)
    _mark(tiny_csv)
    assert _from_cache(tiny, tiny_csv)  # it was kept anew


@pytest.mark.parametrize("noted", [b"", b"{}", b"[1]", b"\xff", b'{"key": {"path": 1}, "md5": 2}'])
def test_damaged_notes_are_replaced(tiny, tiny_csv, cache_dir, noted: bytes) -> None:
    load(tiny_csv)
    (note,) = cache_dir.glob("*.json")
    note.write_bytes(noted)
    assert (load(tiny_csv)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()
    assert cache._noted(cache_dir, str(tiny_csv.resolve()))[0] == Key.of(tiny_csv)


def test_a_cache_that_cannot_be_written_is_done_without(
    tiny, tiny_csv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file stands where the folder should be")
    for home in (blocked, blocked / "below", Path("/proc/mien")):
        monkeypatch.setenv("MIEN_CACHE", str(home))
        assert (load(tiny_csv)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blocked", "fer2013.csv"]


def test_cache_false_neither_reads_nor_writes(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv, cache=False)
    assert not cache_dir.exists()
    load(tiny_csv)
    _mark(tiny_csv)
    assert (load(tiny_csv, cache=False)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    assert cache.folder() == tmp_path / "own"
    monkeypatch.delenv("MIEN_CACHE")
    assert cache.folder() == tmp_path / "xdg" / "mien"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == tmp_path / ".cache" / "mien"
    assert list(tmp_path.iterdir()) == []  # asking makes nothing


def test_only_whole_files_are_there(tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    assert sorted(p.suffix for p in cache_dir.iterdir()) == [".faces", ".json"]


def test_the_real_file_from_the_cache(fer2013_dir: Path, cache_dir) -> None:
    first, again = load(fer2013_dir / "fer2013.csv"), load(fer2013_dir / "fer2013.csv")
    assert again.known_as == first.known_as
    for split in ("train", "val"):
        assert np.array_equal(first[split].pixels_NHW, again[split].pixels_NHW)
        assert np.array_equal(first[split].labels_N, again[split].labels_N)
