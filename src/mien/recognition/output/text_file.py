"""A text file that replaces an older one when its first line is written."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class AtomicTextFile:
    r"""An open file in UTF-8; text is in the file as soon as `write` returns.

    The file is opened before the work, so that an error comes early. An older file stays complete until the first
    `write`; if there is none, no file is left.

    Args:
        path: Path of the file.
        append: Whether to keep an older file and write after its end.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.txt")
        ...     file = AtomicTextFile(path)
        ...     file.write("one line\n")
        ...     file.close()
        ...     path.read_text()
        'one line\n'
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._path, self._is_new, self._begun = path, not path.exists(), append
        self._file = path.open("ab", buffering=0)  # does not truncate the file

    def begin(self) -> None:
        """Truncate an older file, unless rows are appended to it or `begin` was called before."""
        if not self._begun:
            self._begun = True
            if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._file.truncate(0)

    def write(self, text: str) -> None:
        """Add text; the first call replaces an older file, even with empty text."""
        self.begin()
        data = text.encode()
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file; delete it if it is new and nothing was written."""
        self._file.close()
        if self._is_new and not self._begun:
            self._path.unlink(missing_ok=True)
