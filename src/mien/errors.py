"""Exceptions. Their messages say what happened, where, and what to do.

Every error that a user can cause is a `MienError` with a message of one sentence, or a few lines if it lists several
rows or files. The command line prints the message without a traceback and exits with `exit_code`.

>>> import mien
>>> try:
...     mien.load("missing.onnx")
... except mien.MienError as error:
...     print(type(error).__name__, error.exit_code)
ModelError 2
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class MienError(Exception):
    """Base class of all errors that the user can fix.

    Attributes:
        exit_code: Exit code of the command line.
    """

    exit_code = 2


class DataError(MienError):
    """A data file or folder cannot be read, or has another format."""


class MissingSplit(DataError):
    """The data set does not have the split that is needed."""


class MissingExtra(MienError):
    """An optional dependency is not installed; the message names the extra to install.

    Args:
        extra: Name of the extra.
        purpose: What it is needed for, as the start of a sentence.

    Attributes:
        extra: Name of the extra.

    >>> print(MissingExtra("tune", "hyper-parameter search"))
    hyper-parameter search needs the extra 'tune'. Install it with: pip install 'mien[tune]'
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}'. Install it with: pip install 'mien[{extra}]'")
        self.extra = extra


class ImageError(MienError):
    """An image cannot be read: it is missing, damaged, too large or of an unknown format."""


class ModelError(MienError):
    """A model cannot be found, read or verified, or its input is invalid."""


class RunError(MienError):
    """A training run cannot start, resume or be read."""


class VideoError(MienError):
    """A video cannot be read or written."""


class Stopped(MienError):
    """The command was interrupted by a signal; the message says what was kept and how to resume.

    Args:
        text: Message.
        signal: Number of the signal; the exit code is 128 plus this number, as in shells.

    >>> Stopped("interrupted", signal=2).exit_code
    130
    """

    def __init__(self, text: str, signal: int) -> None:
        super().__init__(text)
        self.exit_code = 128 + signal


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question about the nearest of `names`, to be added to an error message; empty if none is near.

    Args:
        name: Unknown name.
        names: Known names.

    >>> did_you_mean("epoch", ["epochs", "batch"])
    "; did you mean 'epochs'?"
    >>> did_you_mean("xyz", ["epochs", "batch"])
    ''
    """
    nearest = difflib.get_close_matches(name.lower(), list(names), 1, cutoff=0.55)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def newer_format_message(source: object, found: object, newest: str) -> str | None:
    """Return the error message for a file in a format newer than this version reads, else None.

    Args:
        source: Path of the file.
        found: Format that the file states, such as "mien card 3".
        newest: Newest version of that format that can be read, such as "mien card 2".

    >>> print(newer_format_message("card.json", "mien card 9", "mien card 3"))
    card.json: written by a newer mien: its format is 'mien card 9', and this version reads up to 'mien card 3'. \
Upgrade with: pip install --upgrade mien
    """
    kind, _, number = newest.rpartition(" ")
    version = re.fullmatch(rf"{re.escape(kind)} ([0-9]+)", found) if isinstance(found, str) else None
    if version is None or int(version[1]) <= int(number):
        return None
    return (
        f"{source}: written by a newer mien: its format is '{found}', and this version reads up to '{newest}'. "
        "Upgrade with: pip install --upgrade mien"
    )
