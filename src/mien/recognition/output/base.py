"""The base class of all output formats, and the registry of formats.

A file of json, table or parquet appears under its name when the writer closes, complete; after Ctrl-C it holds what was
done until then. Lines of jsonl and csv are in their file as soon as an image is done. An older file is kept until the
first image is done. File names that are not valid Unicode keep their bytes as escapes such as `\\udcff`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mien.errors import MienError
from mien.recognition.results import Analysis, escape_surrogates

if TYPE_CHECKING:
    from rich.console import Console

    from mien.files import AtomicFile
    from mien.recognition.output.resume import RecordedOptions
    from mien.recognition.output.text_file import AtomicTextFile


class Writer:
    """What all formats share. A subclass has its name in `WRITERS` and says how an image becomes bytes.

    Attributes:
        lines: whether each image is in its file for good when `write` returns.
        done: the images that the file held already when it was taken up again, and whether each could be read.
        console: what prints, where the format is for a terminal and goes there.
    """

    lines = False
    resumable = False

    def __init__(
        self,
        labels: Sequence[str],
        *,
        out: Path | None = None,
        append: bool = False,
        brief: bool = False,
        reading: RecordedOptions | None = None,
    ) -> None:
        """
        Args:
            labels: the classes that the model tells apart.
            out: the file to write; None is stdout.
            append: go on in the file, if it is there.
            brief: a line a face, where the format has a longer way to tell it.
            reading: how images are read; a file whose rows were read otherwise is not gone on with.
        """
        self.labels, self.out, self.brief, self.reading = tuple(labels), out, brief, reading
        self.done: dict[str, bool] = {}
        self.console: Console | None = None
        self._whole: AtomicFile | None = None
        self._file: Any = None  # a binary file
        self._lines: AtomicTextFile | None = None  # instead of it, where each image is to be in the file at once
        self._go_on, self._images, self._broken = append, 0, False

    def __enter__(self) -> Writer:
        """Open the file, so that one that cannot be written is told before the work.

        Raises:
            MienError: it cannot be written, or cannot be taken up again.
        """
        try:
            self._open()
        except BaseException as error:
            self._abandon()
            if isinstance(error, OSError):
                raise self._unwritable(error) from None
            raise
        return self

    def write(self, analysis: Analysis) -> None:
        """Add one image; `MienError` where the disk is full or the file gone, `BrokenPipeError` as it is."""
        self._told(self._image, analysis)
        self._images += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._broken:
            return
        if error is not None and self.out is not None and not self._images and not self.done:
            self._abandon()  # nothing was done, so an older file stays
            return
        self._told(self._close)

    def _open(self) -> None:
        if self.out is None:
            self._file = sys.stdout.buffer
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.lines:
            if self._go_on and self.out.exists():
                self.done = self._resume(self.out)
            from mien.recognition.output.text_file import AtomicTextFile

            self._lines = AtomicTextFile(self.out, append=bool(self.done))
        elif self.out.exists() and not self.out.is_file():  # what is no file cannot be replaced whole
            self._file = self.out.open("wb")
        else:
            from mien.files import AtomicFile

            self._whole = AtomicFile(self.out)
            self._file = self._whole.file

    def _resume(self, out: Path) -> dict[str, bool]:
        """The images that `out` holds, and whether each could be read; what was torn off at its end is cut away."""
        raise NotImplementedError

    def _image(self, analysis: Analysis) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """What comes last in the file."""

    def _close(self) -> None:
        self._finish()
        if self.out is None:
            self._file.flush()
        elif self._whole is not None:
            self._whole.commit()
        elif self._lines is not None:
            self._lines.close()
        else:
            self._file.close()

    def _abandon(self) -> None:
        """Let go of the file as it is; of one that is there whole or not at all nothing is left."""
        if self._whole is not None:
            self._whole.discard()
        elif self.out is not None:
            for open_one in filter(None, (self._lines, self._file)):
                with contextlib.suppress(OSError):
                    open_one.close()

    def _put(self, text: str) -> None:
        """Write text and flush it, so that a reader of the file or the pipe sees it at once."""
        if self._lines is not None:
            self._lines.write(escape_surrogates(text))
            return
        self._file.write(escape_surrogates(text).encode())
        self._file.flush()

    def _told(self, act: Callable[..., None], *about: Any) -> None:
        try:
            act(*about)
        except OSError as error:
            self._broken = True
            self._abandon()
            if isinstance(error, BrokenPipeError):
                raise
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> MienError:
        return MienError(f"cannot write {self.out or 'to stdout'}: {error.strerror or error}")


WRITERS: dict[str, type[Writer]] = {}
SUFFIXES: dict[str, str] = {}  # of a file's name, and the format that it stands for
_Kind = TypeVar("_Kind", bound=type[Writer])


def format_of(name: str, *suffixes: str) -> Callable[[_Kind], _Kind]:
    """Put a writer into the registry under `name`; a file with one of `suffixes` is of its format."""

    def registered(kind: _Kind) -> _Kind:
        clash = [taken for taken in (name, *suffixes) if taken in WRITERS or taken in SUFFIXES]
        if clash:
            raise MienError(f"two writers want to be {', '.join(clash)}")
        WRITERS[name] = kind
        SUFFIXES.update(dict.fromkeys(suffixes, name))
        return kind

    return registered
