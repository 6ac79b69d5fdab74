"""Collects errors of many rows into one message."""

from __future__ import annotations

from pathlib import Path

from mien.errors import DataError

SHOWN = 5


class RowErrors:
    """Collect the errors of a source while it is read to its end.

    Args:
        source: File or folder that is read.
        unit: What is counted: `row` or `image`.

    Example:
        >>> errors = RowErrors(Path("faces.csv"), "row")
        >>> errors.add(3, "2 fields, expected 3")
        >>> errors.raise_if_any()
        Traceback (most recent call last):
        mien.errors.DataError: faces.csv: 1 row cannot be read:
          row 3 (line 5): 2 fields, expected 3
    """

    def __init__(self, source: Path, unit: str) -> None:
        self.source = source
        self.unit = unit
        self.count = 0
        self._first: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, row: int, error: str, line: int | None = None) -> None:
        """Add an error of `row`, counted from 0; without `line`, line 1 is the header, so row 0 is line 2."""
        self.add_message(row, f"row {row} (line {row + 2 if line is None else line}): {error}")

    def add_message(self, index: int, message: str) -> None:
        """Add an error at `index` in the order of the source; `message` says where and what."""
        self.count += 1
        self._first = sorted([*self._first, (index, message)])[:SHOWN]

    def raise_if_any(self, problem: str = "cannot be read") -> None:
        """Raise a `DataError` that lists the first errors, if there are any."""
        if not self.count:
            return
        lines = [f"  {message}" for _, message in self._first]
        if self.count > SHOWN:
            lines.append(f"  ... and {self.count - SHOWN:,} more")
        unit = self.unit if self.count == 1 else f"{self.unit}s"
        raise DataError("\n".join([f"{self.source}: {self.count:,} {unit} {problem}:", *lines]))


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that could not be read."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path}: is a folder, expected a file")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be read: permission denied")
    return DataError(f"{path}: cannot be read: {error.strerror or error}")


def unwritable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that could not be written."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: cannot be written: no folder {path.parent}")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be written: permission denied")
    return DataError(f"{path}: cannot be written: {error.strerror or error}")
