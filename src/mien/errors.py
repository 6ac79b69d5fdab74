"""Exceptions, whose messages say what happened and what to do.

Every error that a user can cause is a `MienError` whose text is one clear sentence (what, where, what to do), or a
few lines when there is a list of offenders. The command line prints the text alone and exits with `exit_code`.
"""

from __future__ import annotations

import re


class MienError(Exception):
    """A mistake or a lack that the user can mend; its text says how."""

    exit_code = 2


class DataError(MienError):
    """A data file or folder that cannot be read as what it claims to be."""


class MissingSplit(DataError):
    """The data is fine but lacks a split that was asked for."""


class MissingExtra(MienError):
    """An optional dependency is not installed; the text says which extra brings it."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}'. Install it with: pip install 'mien[{extra}]'")
        self.extra = extra


class ImageError(MienError):
    """An image that cannot be read: damaged, too large, of an unknown kind, or not there."""


class ModelError(MienError):
    """A model that cannot be found, read or trusted as a file, or is asked for what it cannot take."""


class RunError(MienError):
    """A training run that cannot start, go on or be read."""


class VideoError(MienError):
    """A video that cannot be read or written."""


class Stopped(MienError):
    """Someone stopped the command; the text says what is kept and how to go on."""

    def __init__(self, text: str, signal: int) -> None:
        super().__init__(text)
        self.exit_code = 128 + signal  # as shells count


def newer_format_message(source: object, found: object, newest: str) -> str | None:
    """Return the error text for a file in a format that is newer than this version reads, else None.

    Args:
        source: Path of the file.
        found: Format that the file states, such as "mien card 3".
        newest: Latest version of that format that this version reads, such as "mien card 2".
    """
    kind, _, number = newest.rpartition(" ")
    version = re.fullmatch(rf"{re.escape(kind)} ([0-9]+)", found) if isinstance(found, str) else None
    if version is None or int(version[1]) <= int(number):
        return None
    return (
        f"{source}: written by a newer mien: its format is '{found}', and this version reads up to '{newest}'. "
        "Upgrade with: pip install --upgrade mien"
    )
