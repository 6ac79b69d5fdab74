"""Collects errors of many rows into one message."""

from __future__ import annotations

from pathlib import Path

from mien.errors import DataError

SHOWN = 5


class RowErrors:
    """Gathers what is wrong with a source while it is read to its end.

    Args:
        source: the file or folder.
        unit: what is counted: `row` or `image`.
    """

    def __init__(self, source: Path, unit: str) -> None:
        self.source = source
        self.unit = unit
        self.count = 0
        self._first: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, place: int, wrong: str) -> None:
        """Note a fault of row `place`, counted from 0; line 1 is the header, so row 0 is line 2."""
        self.add_named(place, f"row {place} (line {place + 2}): {wrong}")

    def add_named(self, place: int, text: str) -> None:
        """Note a fault that stands at `place` in the source's order, `text` says where and what."""
        self.count += 1
        self._first = sorted([*self._first, (place, text)])[:SHOWN]

    def raise_if_any(self, what: str = "cannot be read") -> None:
        """Raise the `DataError` that lists the first few, if anything was noted."""
        if not self.count:
            return
        lines = [f"  {text}" for _, text in self._first]
        if self.count > SHOWN:
            lines.append(f"  ... and {self.count - SHOWN:,} more")
        many = self.unit if self.count == 1 else f"{self.unit}s"
        raise DataError("\n".join([f"{self.source}: {self.count:,} {many} {what}:", *lines]))


def unreadable(path: Path, error: OSError) -> DataError:
    """The operating system's refusal as a sentence."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path}: is a folder, expected a file")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be read, permission is denied")
    return DataError(f"{path}: cannot be read: {error.strerror or error}")


def unwritable(path: Path, error: OSError) -> DataError:
    """The same for a file that was to be written."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: cannot be written, there is no folder {path.parent}")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be written, permission is denied")
    return DataError(f"{path}: cannot be written: {error.strerror or error}")
