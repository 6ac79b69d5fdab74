"""Writing files and stopping cleanly, for all commands."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from mien.errors import MienError, Stopped


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Two blanks to a level, so that a person can read it; else as `write`."""
    write(file, (json.dumps(content, indent=2) + "\n").encode())


def write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and the folders above it; `MienError` where that cannot be done."""
    from mien.files import write as write_file

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, [content])
    except OSError as error:
        raise MienError(f"cannot write {file}: {error.strerror}") from None


def check_writable(*files: Path | None, read: Iterable[str | Path | None] = ()) -> None:
    """`MienError` where a file could not be written: said before a command works for an hour, and not after it.

    Args:
        files: to be written; those of None are not.
        read: what the command reads, none of which may be written over; names of models and data sets may be among it.
    """
    taken = {os.path.realpath(name): "is read by this same command" for name in read if name and os.path.exists(name)}
    for file in files:
        if file is None:
            continue
        _check(file)
        where = os.path.realpath(file)
        if where in taken:
            raise MienError(f"cannot write {file}: it {taken[where]}; name another file")
        taken[where] = "is named twice"


def _check(file: Path) -> None:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # the folder above it is looked at below
    except OSError as error:
        raise MienError(f"cannot write {file}: {error.strerror}") from None
    if file.is_dir():
        raise MienError(f"cannot write {file}: it is a folder")
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if not above.is_dir():
        raise MienError(f"cannot write {file}: {above} is no folder")
    if not os.access(above, os.W_OK):
        raise MienError(f"cannot write {file}: {above} may not be written to")


def print_written(*files: Path | None) -> None:
    """Say what a command wrote, if anything."""
    written = [str(file) for file in files if file is not None]
    if written:
        typer.echo(f"wrote {', '.join(written)}")


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C: what is open is closed on the way out."""


@contextmanager
def stoppable(kept: str) -> Iterator[None]:
    """End a long command by Ctrl-C or SIGTERM with a sentence on what is kept."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    usual = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as error:
        by = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
        raise Stopped(f"stopped; {kept}", by) from None
    finally:
        signal.signal(signal.SIGTERM, usual)


def print_unreadable(unread: int, images: int) -> None:
    """Say on stderr how many could not be read."""
    typer.echo(f"mien: {unread:,} of {images:,} images could not be read; their rows say why", err=True)
