"""The cache: it saves parsing, notices every change and damage, and its failures have no effect on results."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import cache, load, sketch
from mien.data.cache import FileKey, ParsedCsv
from mien.labels import LabelSet


def _mark(path: Path) -> None:
    """Change one pixel of the cached arrays of `path`, by which `_from_cache` recognises them."""
    parsed = cache.read(path)
    train = parsed.splits["train"]
    pixels_NHW = train.pixels_NHW.copy()
    pixels_NHW[5, 6, 7] ^= 255
    splits = parsed.splits | {"train": replace(train, pixels_NHW=pixels_NHW)}
    cache.write(FileKey.of(path), replace(parsed, splits=splits))


def _from_cache(tiny, path: Path) -> bool:
    return load(path)["train"].pixels_NHW[5, 6, 7] != tiny.faces_NHW[5, 6, 7]


def _arrays(cache_dir: Path) -> list[Path]:
    return sorted(cache_dir.glob("*.npz"))


def test_load_from_cache_returns_equal_arrays(tiny_csv, cache_dir) -> None:
    first = load(tiny_csv)
    assert len(_arrays(cache_dir)) == 1
    again = load(tiny_csv)
    assert (again.digest, again.name, again.source) == (first.digest, first.name, first.source)
    assert list(again.splits) == list(first.splits)
    for name, split in first.splits.items():
        for field in ("pixels_NHW", "labels_N", "rows_N"):
            assert (getattr(again[name], field) == getattr(split, field)).all()
            assert getattr(again[name], field).dtype == getattr(split, field).dtype


def test_load_unchanged_file_uses_cache(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    assert not _from_cache(tiny, tiny_csv)
    _mark(tiny_csv)
    assert _from_cache(tiny, tiny_csv)


def test_modified_arrays_do_not_change_cache(tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    before = _arrays(cache_dir)[0].read_bytes()
    pixels_NHW = load(tiny_csv)["train"].pixels_NHW
    pixels_NHW[:] = 0
    assert _arrays(cache_dir)[0].read_bytes() == before
    assert load(tiny_csv)["train"].pixels_NHW.any()


def test_load_touched_or_copied_file_uses_cache(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    _mark(tiny_csv)
    os.utime(tiny_csv, (1, 1))
    assert _from_cache(tiny, tiny_csv)
    assert cache._read_entry(cache_dir, str(tiny_csv.resolve()))[0] == FileKey.of(tiny_csv)  # and the key is up to date
    copy = shutil.copy(tiny_csv, tiny_csv.with_name("copy.csv"))
    assert _from_cache(tiny, Path(copy))
    assert len(_arrays(cache_dir)) == 1


def test_load_changed_file_of_same_size_parses_again(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    tiny.emotions[0] = 3
    tiny.write(tiny.lines())
    os.utime(tiny_csv, (1, 1))
    assert load(tiny_csv)["train"].labels_N[0] == 3
    assert len(_arrays(cache_dir)) == 1  # the old arrays are gone
    assert load(tiny_csv)["train"].labels_N[0] == 3


def test_load_longer_file_parses_again(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    with open(tiny_csv, "a") as file:
        file.write(tiny.lines()[0] + "\n")
    assert len(load(tiny_csv)["train"]) == 121


def test_arrays_shared_by_two_files_survive_change_of_one(tiny, tiny_csv, cache_dir) -> None:
    copy = Path(shutil.copy(tiny_csv, tiny_csv.with_name("copy.csv")))
    load(tiny_csv)
    load(copy)
    tiny.write(tiny.lines()[:-1])
    load(tiny_csv)
    _mark(copy)
    assert _from_cache(tiny, copy)
    assert len(_arrays(cache_dir)) == 2


DAMAGES = {
    "first byte": lambda whole, pixels: whole.replace(b"PK", b"QK", 1),
    "one bit of a pixel": lambda whole, pixels: whole.replace(pixels, pixels[:-1] + bytes([pixels[-1] ^ 1])),
    "shape": lambda whole, pixels: whole.replace(b"(120, 48, 48)", b"(100, 48, 48)"),
    "name of a split": lambda whole, pixels: whole.replace(b"val.", b"vbl."),
    "name of an array": lambda whole, pixels: whole.replace(b"labels_N", b"labels_M"),
    "missing split": lambda whole, pixels: whole.replace(b"test.rows_N", b"tset.rows_N"),
    "half": lambda whole, pixels: whole[: len(whole) // 2],
    "last byte": lambda whole, pixels: whole[:-1],
    "end of directory": lambda whole, pixels: whole.replace(b"PK\x05\x06", b"PK\x05\x07"),
    "empty": lambda whole, pixels: b"",
    "another kind of file": lambda whole, pixels: b"mienfac2" + whole,
}


@pytest.mark.parametrize("damage", [*DAMAGES, "no file"])
def test_damaged_arrays_are_rebuilt(tiny, tiny_csv, cache_dir, damage: str) -> None:
    load(tiny_csv)
    _mark(tiny_csv)
    (arrays,) = _arrays(cache_dir)
    if damage == "no file":
        arrays.unlink()
    else:
        whole = arrays.read_bytes()
        damaged = DAMAGES[damage](whole, tiny.faces_NHW[50:120].tobytes())
        assert damaged != whole
        arrays.write_bytes(damaged)
    assert not _from_cache(tiny, tiny_csv)
    _mark(tiny_csv)
    assert _from_cache(tiny, tiny_csv)  # it was cached again


def test_flipped_bit_never_changes_arrays(tmp_path: Path) -> None:
    """Bytes that zipfile does not read, such as times, may differ; any other flipped bit is an error."""
    drawn, path = sketch(train=2, val=1, test=1).splits, tmp_path / "arrays.npz"
    labels = LabelSet("custom", ("bored", "awake", "asleep", "a", "b", "c", "d"))
    cache._write_arrays(path, ParsedCsv("", drawn, labels, "A note."))
    whole = bytearray(path.read_bytes())
    rng, errors = np.random.default_rng(0), 0
    for index in [*rng.integers(0, len(whole), 200), *range(len(whole) - 800, len(whole))]:
        bit = 1 << int(rng.integers(8))
        whole[index] ^= bit
        path.write_bytes(whole)
        whole[index] ^= bit
        try:
            parsed = cache._read_arrays(path, "")
        except Exception:
            errors += 1
            continue
        assert (list(parsed.splits), parsed.labels, parsed.note) == (list(drawn), labels, "A note.")
        for name, split in parsed.splits.items():
            for field in cache._FIELDS:
                np.testing.assert_array_equal(getattr(split, field), getattr(drawn[name], field), strict=True)
    assert errors > 200


def test_writing_and_reading_at_once_returns_equal_arrays(tmp_path: Path) -> None:
    """A reader gets the old file or the new one, never a part of it."""
    drawn, path = sketch(train=40, val=1, test=1).splits, tmp_path / "arrays.npz"
    parsed = ParsedCsv("", drawn)
    cache._write_arrays(path, parsed)
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(cache._write_arrays, path, parsed) for _ in range(20)]
        while not all(writer.done() for writer in writers):
            pixels_NHW = cache._read_arrays(path, "").splits["train"].pixels_NHW
            assert (pixels_NHW == drawn["train"].pixels_NHW).all()
    assert [writer.result() for writer in writers] == [None] * 20
    assert [file.name for file in tmp_path.iterdir()] == ["arrays.npz"]


@pytest.mark.parametrize("entry", [b"", b"{}", b"[1]", b"\xff", b'{"key": {"path": 1}, "md5": 2}'])
def test_damaged_entry_is_replaced(tiny, tiny_csv, cache_dir, entry: bytes) -> None:
    load(tiny_csv)
    (file,) = cache_dir.glob("*.json")
    file.write_bytes(entry)
    assert (load(tiny_csv)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()
    assert cache._read_entry(cache_dir, str(tiny_csv.resolve()))[0] == FileKey.of(tiny_csv)


def test_load_with_unwritable_cache(tiny, tiny_csv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    for home in (blocked, blocked / "below", Path("/proc/mien")):
        monkeypatch.setenv("MIEN_CACHE", str(home))
        assert (load(tiny_csv)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blocked", "fer2013.csv"]


def test_load_without_cache_neither_reads_nor_writes_it(tiny, tiny_csv, cache_dir) -> None:
    load(tiny_csv, cache=False)
    assert not cache_dir.exists()
    load(tiny_csv)
    _mark(tiny_csv)
    assert (load(tiny_csv, cache=False)["train"].pixels_NHW == tiny.faces_NHW[:120]).all()


def test_cache_dir_follows_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    assert cache.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("MIEN_CACHE")
    assert cache.cache_dir() == tmp_path / "xdg" / "mien"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_dir() == tmp_path / ".cache" / "mien"
    assert list(tmp_path.iterdir()) == []  # asking makes nothing


def test_write_leaves_no_temporary_files(tiny_csv, cache_dir) -> None:
    load(tiny_csv)
    assert sorted(p.suffix for p in cache_dir.iterdir()) == [".json", ".npz"]


def test_fer2013_from_cache(fer2013_dir: Path, cache_dir) -> None:
    first, again = load(fer2013_dir / "fer2013.csv"), load(fer2013_dir / "fer2013.csv")
    assert again.known_as == first.known_as
    for split in ("train", "val"):
        assert np.array_equal(first[split].pixels_NHW, again[split].pixels_NHW)
        assert np.array_equal(first[split].labels_N, again[split].labels_N)
