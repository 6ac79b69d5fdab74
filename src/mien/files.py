"""Atomic file writes: a file is complete or unchanged."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


class AtomicFile:
    """A new file beside `path`, for what is written bit by bit; `keep` puts it in `path`'s place, `drop` undoes it.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        handle, self._name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".part", dir=path.parent)
        self._path, self.file = path, open(handle, "wb")  # noqa: SIM115  closed by keep and drop

    def keep(self) -> None:
        """Put the new file in place; on any failure nothing is left of it."""
        try:
            with self.file as file:
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name with old or no content
            os.chmod(self._name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
            os.replace(self._name, self._path)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Leave nothing of the new file."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._name)


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write `chunks` to a new file beside `path`, then put it in `path`'s place; on any failure nothing is left.

    Raises:
        OSError: the folder cannot be written.
    """
    new = AtomicFile(path)
    try:
        for chunk in chunks:
            new.file.write(chunk)
    except BaseException:
        new.drop()
        raise
    new.keep()


def _umask() -> int:
    mask = os.umask(0)  # there is no way to ask without setting
    os.umask(mask)
    return mask
