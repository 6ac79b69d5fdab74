"""Cache of parsed csv files as arrays.

The folder is `$MIEN_CACHE`, else `$XDG_CACHE_HOME/mien`, else `~/.cache/mien`; it is made when something is first kept.
Three kinds of file lie in it:

    <hash of a path>.json       that file's key (path, size, mtime_ns, inode) and its MD5 when it was read
    <size>-<MD5>.faces          the arrays, under the size and MD5 of the csv that they came from
    <hash of faces>.twins       the near-duplicates among these faces (`data.duplicates`)

A file whose key is unchanged is taken to be unchanged. When the key differs, the file's MD5 is taken anew: a copied,
moved or touched file finds its arrays again, a changed one does not. Whatever goes wrong here (a folder that cannot be
written, a full disk, a damaged file) costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import files
from mien.data.dataset import SIDE, SPLITS, Split

# The file begins with these bytes, the CRC-32 of all that follows as 8 hex digits, and the length of the JSON head as
# another 8. The number changes with the format; files of another format are as good as damaged.
_MAGIC = b"mienfac2"
_PRELUDE = len(_MAGIC) + 16
_ALIGN = 64


@dataclass(frozen=True)
class Key:
    """By what a file is known again without reading it."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Key:
        """The key of `path` as it lies there now; `OSError` when it does not."""
        stat = path.stat()
        return cls(str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def folder() -> Path | None:
    """Where arrays are kept; None where there is no home to keep them in. Makes nothing."""
    if set_by_user := os.environ.get("MIEN_CACHE"):
        return Path(set_by_user)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "mien"
    try:
        return Path.home() / ".cache" / "mien"
    except RuntimeError:
        return None


def reopen(path: Path) -> tuple[str, dict[str, Split]] | None:
    """MD5 and splits of the csv at `path` as they were kept, or None when it must be read.

    The arrays are private copy-on-write maps of the kept file: they may be written to, and the file stays as it is.

    Raises:
        OSError: `path` itself cannot be read.
    """
    key, home = Key.of(path), folder()
    if home is None:
        return None
    noted, md5 = _noted(home, key.path)
    if noted != key:
        if next(home.glob(f"{key.size}-*.faces"), None) is None:  # nothing kept can be this file
            return None
        with open(path, "rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
    try:
        splits = _read(_arrays(home, key.size, md5))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if noted != key:
        with contextlib.suppress(OSError):
            _note(home, key, md5)
    return md5, splits


def keep(key: Key, md5: str, splits: Mapping[str, Split]) -> None:
    """Keep `splits`, read from the file that `key` and `md5` describe; does nothing where it cannot."""
    home = folder()
    if home is None:
        return
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        before, md5_before = _noted(home, key.path)
        files.write(_arrays(home, key.size, md5), _chunks(splits))
        _note(home, key, md5)
        if before is not None and md5_before != md5:
            _drop(home, before.size, md5_before)


def _arrays(home: Path, size: int, md5: str) -> Path:
    return home / f"{size}-{md5}.faces"


def _entry(home: Path, path: str) -> Path:
    return home / f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"


def _noted(home: Path, path: str) -> tuple[Key | None, str]:
    """The key and MD5 that were noted for `path`."""
    try:
        found = json.loads(_entry(home, path).read_bytes())
        return Key(**found["key"]), str(found["md5"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""


def _note(home: Path, key: Key, md5: str) -> None:
    text = json.dumps({"key": asdict(key), "md5": md5}, indent=1)
    files.write(_entry(home, key.path), [text.encode()])


def _drop(home: Path, size: int, md5: str) -> None:
    """Remove arrays that no noted file has any more."""
    for entry in home.glob("*.json"):
        with contextlib.suppress(OSError):
            if md5.encode() in entry.read_bytes():
                return
    _arrays(home, size, md5).unlink(missing_ok=True)


def _chunks(splits: Mapping[str, Split]) -> list[bytes | memoryview]:
    """The bytes of an arrays file."""
    head = json.dumps({s: len(splits[s]) for s in splits}).encode()
    head += b" " * (-(_PRELUDE + len(head)) % _ALIGN)  # so that the arrays begin where numpy likes them to
    body: list[bytes | memoryview] = [head]
    for split in splits.values():
        for array in (split.labels_N, split.rows_N, split.pixels_NHW):
            body.append(np.ascontiguousarray(array).data.cast("B"))
    crc = 0
    for chunk in body:
        crc = zlib.crc32(chunk, crc)
    return [_MAGIC + f"{crc:08x}{len(head):08x}".encode(), *body]


def _read(path: Path) -> dict[str, Split]:
    """The splits of an arrays file; `ValueError` when it is not whole."""
    whole = np.memmap(path, np.uint8, mode="c")
    prelude = bytes(whole[:_PRELUDE])
    magic, crc, head_size = prelude[:-16], prelude[-16:-8], int(prelude[-8:], 16)
    if magic != _MAGIC or int(crc, 16) != zlib.crc32(whole[_PRELUDE:].data):
        raise ValueError(f"{path} is damaged")
    counts: dict[str, Any] = json.loads(bytes(whole[_PRELUDE : _PRELUDE + head_size]))
    place = _PRELUDE + head_size
    bytes_L: NDArray[np.uint8] = whole.view(np.ndarray)

    def take(size: int) -> NDArray[np.uint8]:
        nonlocal place
        place += size
        return bytes_L[place - size : place]

    splits = {}
    for name in SPLITS:
        if name in counts:
            n = int(counts[name])
            labels_N, rows_N = take(8 * n).view(np.int64), take(8 * n).view(np.int64)
            splits[name] = Split(name, take(n * SIDE * SIDE).reshape(n, SIDE, SIDE), labels_N, rows_N)
    return splits
