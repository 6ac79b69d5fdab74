"""Atomic file writes: a file is complete or unchanged."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


class AtomicFile:
    """A temporary file beside `path` that replaces it when it is complete.

    Write to `file`, then call `commit` to replace `path`, or `discard` to delete the temporary file. Until then a file
    that exists at `path` is unchanged.

    Args:
        path: Path of the file to write.

    Attributes:
        file: The temporary file, open for writing in binary mode.

    Raises:
        OSError: The folder is not writable.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.csv"
    ...     new = AtomicFile(path)
    ...     _ = new.file.write(b"a,b")
    ...     print(path.exists())
    ...     new.commit()
    ...     print(path.read_text())
    False
    a,b
    """

    def __init__(self, path: Path) -> None:
        handle, self._name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".part", dir=path.parent)
        self._path, self.file = path, open(handle, "wb")  # noqa: SIM115  closed by commit and discard

    def commit(self) -> None:
        """Replace `path` by the temporary file; if this fails, the temporary file is deleted."""
        try:
            with self.file as file:
                file.flush()
                os.fsync(file.fileno())  # otherwise the file may be empty after a power failure
            os.chmod(self._name, 0o666 & ~_umask())  # mkstemp creates files that only their owner can read
            os.replace(self._name, self._path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Delete the temporary file."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._name)


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file atomically: after an error or a crash, a file that exists at `path` is unchanged.

    Args:
        path: Path of the file to write.
        chunks: Parts of its content, in order.

    Raises:
        OSError: The folder is not writable, or the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "table.csv", [b"a,b", b",c"])
    ...     print((Path(folder) / "table.csv").read_text())
    a,b,c
    """
    new = AtomicFile(path)
    try:
        for chunk in chunks:
            new.file.write(chunk)
    except BaseException:
        new.discard()
        raise
    new.commit()


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask
