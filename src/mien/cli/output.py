"""Writing files and handling Ctrl-C and SIGTERM, for all commands."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from mien.errors import MienError, Stopped

if TYPE_CHECKING:
    from mien.labels import LabelSet

RESEND_SECONDS = 0.1  # until a signal that was ignored is sent again


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write indented JSON; raises as `write`."""
    write(file, (json.dumps(content, indent=2) + "\n").encode())


def write(file: Path, content: bytes) -> None:
    """Write a file atomically and create its parent folders.

    Raises:
        MienError: The file cannot be written.
    """
    from mien.files import write as write_file

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, [content])
    except OSError as error:
        raise MienError(f"cannot write {file}: {error.strerror}") from None


def check_writable(*files: Path | None, read: Iterable[str | Path | None] = ()) -> None:
    """Check that output files can be written, before a command runs for an hour.

    Args:
        files: Output files; None is skipped.
        read: Inputs of the command, which must not be overwritten; may contain names of models and data sets.

    Raises:
        MienError: A file cannot be written, is an input, or is named twice.
    """
    taken = {os.path.realpath(name): "is an input of this command" for name in read if name and os.path.exists(name)}
    for file in files:
        if file is None:
            continue
        _check(file)
        where = os.path.realpath(file)
        if where in taken:
            raise MienError(f"cannot write {file}: it {taken[where]}; choose another file")
        taken[where] = "is named twice"


def _check(file: Path) -> None:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # its folder is checked below
    except OSError as error:
        raise MienError(f"cannot write {file}: {error.strerror}") from None
    if file.is_dir():
        raise MienError(f"cannot write {file}: it is a folder")
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if not above.is_dir():
        raise MienError(f"cannot write {file}: {above} is not a folder")
    if not os.access(above, os.W_OK):
        raise MienError(f"cannot write {file}: no write permission for {above}")


def print_written(*files: Path | None) -> None:
    """Print the names of the written files, if any."""
    written = [str(file) for file in files if file is not None]
    if written:
        typer.echo(f"wrote {', '.join(written)}")


def print_prior_synonyms(prior: str | None, labels: LabelSet) -> None:
    """Print on stderr which classes the synonyms in `--prior` stand for."""
    from mien.prior import synonyms_in_prior

    for name, label in synonyms_in_prior(prior or "training", labels).items():
        typer.echo(f"mien: --prior: '{name}' is a synonym of the class '{label}'", err=True)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C: open files are closed."""


@contextmanager
def stoppable(message: str) -> Iterator[None]:
    """On Ctrl-C or SIGTERM, end a long command with a message.

    Args:
        message: What is kept and how to resume.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        """Repeat a signal whose exception was raised in a destructor or a weakref callback, where Python ignores it."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            previous_hook(unraisable)
            return
        number = signal.SIGTERM if isinstance(unraisable.exc_value, _Terminated) else signal.SIGINT
        threading.Timer(RESEND_SECONDS, os.kill, (os.getpid(), number)).start()  # now it would be ignored again

    previous, previous_hook = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook
    sys.unraisablehook = send_again
    try:
        yield
    except KeyboardInterrupt as error:
        by = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
        raise Stopped(f"stopped; {message}", by) from None
    finally:
        sys.unraisablehook = previous_hook
        signal.signal(signal.SIGTERM, previous)


def print_unreadable(unread: int, images: int) -> None:
    """Print on stderr how many images could not be read."""
    typer.echo(f"mien: {unread:,} of {images:,} images could not be read; see the error in their rows", err=True)
