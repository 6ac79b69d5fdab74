"""A text file that replaces an older one when its first line is written."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class AtomicTextFile:
    """An open file, UTF-8; what is written is in it at once.

    It is opened before the work, so that one that cannot be written is told then. Where nothing is ever written, an
    older file stays whole, and where there was none, there is none.

    Args:
        path: of the file.
        append: keep what is there, and write behind it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._path, self._new, self._begun = path, not path.exists(), append
        self._file = path.open("ab", buffering=0)  # which empties nothing

    def write(self, text: str) -> None:
        """Add `text`, the first time in the place of all that was there; an empty one too."""
        if not self._begun:
            self._begun = True
            if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._file.truncate(0)
        data = text.encode()
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file, and leave none that holds nothing and was not there before."""
        self._file.close()
        if self._new and not self._begun:
            self._path.unlink(missing_ok=True)
