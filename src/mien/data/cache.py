"""Cache of parsed csv files as arrays.

The folder is `$MIEN_CACHE`, else `$XDG_CACHE_HOME/mien`, else `~/.cache/mien`; it is created by the first write. It
holds three kinds of files:

    <hash of a path>.json               key (path, size, mtime_ns, inode) and MD5 of the file at that path
    <size>-<MD5>.npz                    arrays of the csv with this size and MD5, written by `np.savez`
    <hash of faces>.near_duplicates.npy near-duplicates among these faces (`data.duplicates`)

A file with an unchanged key is taken as unchanged. If the key differs, the MD5 of the file is computed again: the
arrays of a copied, moved or touched file are found, those of a changed one are not. After any failure here (a read-only
folder, a full disk, a damaged file) the csv is parsed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mien import files
from mien.data.dataset import Split
from mien.labels import FER7, LabelSet

_FIELDS = ("pixels_NHW", "labels_N", "rows_N")  # of each split; a csv has no votes
_TEXTS = ("splits", "labels", "note")


@dataclass(frozen=True)
class ParsedCsv:
    """Content of a csv file.

    Attributes:
        md5: MD5 of the file, as hex.
        splits: Splits by name.
        labels: Label set.
        note: Sentences on what was interpreted; empty for the original form.
    """

    md5: str
    splits: dict[str, Split]
    labels: LabelSet = FER7
    note: str = ""


@dataclass(frozen=True)
class FileKey:
    """What identifies a file without reading it."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileKey:
        """Return the current key of `path`; raise `OSError` if the file does not exist."""
        stat = path.stat()
        return cls(str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def cache_dir() -> Path | None:
    """Return the folder of the cache, None if there is no home folder; create nothing."""
    if set_by_user := os.environ.get("MIEN_CACHE"):
        return Path(set_by_user)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "mien"
    try:
        return Path.home() / ".cache" / "mien"
    except RuntimeError:
        return None


def read(path: Path) -> ParsedCsv | None:
    """Return the content of the csv at `path` from the cache, None if it has to be parsed.

    Raises:
        OSError: `path` itself cannot be read.
    """
    key, folder = FileKey.of(path), cache_dir()
    if folder is None:
        return None
    cached_key, md5 = _read_entry(folder, key.path)
    if cached_key != key:
        if next(folder.glob(f"{key.size}-*.npz"), None) is None:  # no cached file has this size
            return None
        with open(path, "rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
    try:
        parsed = _read_arrays(_arrays_path(folder, key.size, md5), md5)
    except Exception:  # no file, or a damaged one, for which zipfile and numpy raise many types of errors
        return None
    if cached_key != key:
        with contextlib.suppress(OSError):
            _write_entry(folder, key, md5)
    return parsed


def write(key: FileKey, parsed: ParsedCsv) -> None:
    """Write the content of the csv with this key to the cache; do nothing if the cache is not writable."""
    folder = cache_dir()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        previous, previous_md5 = _read_entry(folder, key.path)
        _write_arrays(_arrays_path(folder, key.size, parsed.md5), parsed)
        _write_entry(folder, key, parsed.md5)
        if previous is not None and previous_md5 != parsed.md5:
            _remove_unused(folder, previous.size, previous_md5)


def _arrays_path(folder: Path, size: int, md5: str) -> Path:
    return folder / f"{size}-{md5}.npz"


def _entry_path(folder: Path, path: str) -> Path:
    return folder / f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"


def _read_entry(folder: Path, path: str) -> tuple[FileKey | None, str]:
    """Return the cached key and MD5 of `path`."""
    try:
        entry = json.loads(_entry_path(folder, path).read_bytes())
        return FileKey(**entry["key"]), str(entry["md5"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""


def _write_entry(folder: Path, key: FileKey, md5: str) -> None:
    text = json.dumps({"key": asdict(key), "md5": md5}, indent=1)
    files.write(_entry_path(folder, key.path), [text.encode()])


def _remove_unused(folder: Path, size: int, md5: str) -> None:
    """Remove arrays that no entry refers to any more."""
    for entry in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if md5.encode() in entry.read_bytes():
                return
    _arrays_path(folder, size, md5).unlink(missing_ok=True)


def _write_arrays(path: Path, parsed: ParsedCsv) -> None:
    new = files.AtomicFile(path)
    try:
        splits = parsed.splits
        arrays = {f"{name}.{field}": getattr(splits[name], field) for name in splits for field in _FIELDS}
        labels = np.array([parsed.labels.name, *parsed.labels.names])
        np.savez(new.file, splits=np.array(list(splits)), labels=labels, note=np.array(parsed.note), **arrays)
    except BaseException:
        new.discard()
        raise
    new.commit()


def _read_arrays(path: Path, md5: str) -> ParsedCsv:
    """Return the content of an arrays file; raise an error if it is incomplete or a CRC does not fit."""
    with open(path, "rb") as file, np.load(file) as arrays:  # np.load would leave a damaged file open
        names = arrays["splits"].tolist()
        if set(arrays.files) != {*_TEXTS, *(f"{name}.{field}" for name in names for field in _FIELDS)}:
            raise ValueError(f"{path} lacks splits")  # the directory of a zip has no CRC
        splits = {name: Split(name, *(arrays[f"{name}.{field}"] for field in _FIELDS)) for name in names}
        label_set, *classes = arrays["labels"].tolist()
        labels = FER7 if tuple(classes) == FER7.names else LabelSet(label_set, tuple(classes))
        return ParsedCsv(md5, splits, labels, str(arrays["note"]))
