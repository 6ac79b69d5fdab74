"""Files in folders that were skipped because their names are not those of images."""

from __future__ import annotations

import os
from collections import Counter

_NAMED = 3  # names per suffix in the summary
_SUFFIXES = 8  # suffixes in the summary


class SkippedFiles:
    """Number of skipped files by suffix, and the names of the first ones; pass `add` as `on_skip`.

    Attributes:
        count: Number of skipped files.

    Example:
        >>> skipped = SkippedFiles()
        >>> for name in ("trip/a.dng", "trip/b.dng", "trip/notes"):
        ...     skipped.add(name)
        >>> skipped.count, skipped.summary
        (3, '3 files are not images by their names and were skipped: 2 .dng (a.dng, b.dng), 1 without suffix (notes)')
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    @property
    def count(self) -> int:
        """Number of skipped files."""
        return self._counts.total()

    def add(self, path: str) -> None:
        """Count a file.

        Args:
            path: Path of the file.
        """
        name = os.path.basename(path)
        suffix = os.path.splitext(name)[1].lower()
        self._counts[suffix] += 1
        names = self._names.setdefault(suffix, [])
        if len(names) < _NAMED:
            names.append(name)

    @property
    def summary(self) -> str:
        """Sentence with the number of files, their suffixes and some names; empty if no file was skipped."""
        if not self.count:
            return ""
        kinds = [self._kind(suffix, count) for suffix, count in self._counts.most_common(_SUFFIXES)]
        rest = len(self._counts) - len(kinds)
        kinds += [f"{rest} other suffixes"] if rest else []
        what = "1 file is not an image by its name and was"
        if self.count > 1:
            what = f"{self.count:,} files are not images by their names and were"
        return f"{what} skipped: {', '.join(kinds)}"

    def _kind(self, suffix: str, count: int) -> str:
        names = self._names[suffix]
        more = ", ..." if count > len(names) else ""
        return f"{count:,} {suffix or 'without suffix'} ({', '.join(names)}{more})"
