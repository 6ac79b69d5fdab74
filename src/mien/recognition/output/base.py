r"""The base class of all output formats, and the registry of formats.

A file of json, table or parquet appears under its name when the writer closes, complete; after Ctrl-C it holds the
images that were done. Lines of jsonl and csv are in their file as soon as an image is done. An older file is kept until
the first image is done. File names that are not valid Unicode keep their bytes as escapes such as `\udcff`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mien.errors import MienError
from mien.recognition.results import Analysis, escape_surrogates

if TYPE_CHECKING:
    from rich.console import Console

    from mien.files import AtomicFile
    from mien.recognition.output.resume import ResumeFile
    from mien.recognition.output.text_file import AtomicTextFile


class Writer:
    """Base class of the formats; a context manager. A subclass is registered by `register_format`.

    Attributes:
        writes_lines: Whether each image is in its file when `write` returns.
        resumable: Whether images can be appended to an older file.
        done: Images that a resumed file holds, by name, and whether each could be read.
        console: Console that prints, if the format is for a terminal and goes there.
    """

    name = ""
    writes_lines = False
    resumable = False

    def __init__(
        self,
        labels: Sequence[str],
        *,
        out: Path | None = None,
        append: bool = False,
        brief: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare to write; the file is opened by `with`.

        Args:
            labels: Classes of the model.
            out: Path of the file; None for stdout.
            append: Whether to append to the file if it exists.
            brief: Whether to print a line per face, if the format has a longer form.
            options: Options that the rows depend on, as JSON types. They are recorded in `<out>.resume.json`, and
                `append` requires the same ones.
        """
        self.labels, self.out, self.brief = tuple(labels), out, brief
        self.done: dict[str, bool] = {}
        self.console: Console | None = None
        self._options, self._append = dict(options or {}), append
        self._images, self._begun, self._failed = 0, False, False
        self._sidecar: ResumeFile | None = None
        self._whole: AtomicFile | None = None
        self._file: Any = None  # a binary file
        self._lines: AtomicTextFile | None = None  # instead of it, if `writes_lines`

    def __enter__(self) -> Writer:
        """Open the file, so that an error comes before the work.

        Raises:
            MienError: The file cannot be written, or cannot be resumed.
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
        """Add one image.

        Raises:
            MienError: The file cannot be written, for example because the disk is full.
            BrokenPipeError: The process that reads stdout has ended.
        """
        self._call(self._write_image, analysis)
        self._images += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._failed:
            return
        if error is not None and self.out is not None and not self._images and not self.done:
            self._abandon()  # nothing was done, so an older file stays
            return
        try:
            self._call(self._close)
        except BaseException:
            self._abandon()
            raise

    def _open(self) -> None:
        if self.out is None:
            self._file = sys.stdout.buffer
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        is_special = self.out.exists() and not self.out.is_file()  # a pipe or a device, which cannot be replaced
        if self.resumable and not is_special:
            from mien.recognition.output.resume import ResumeFile

            self._sidecar = ResumeFile(self.out, {"output": self.name, "labels": list(self.labels), **self._options})
            if self._append and self.out.exists() and self.out.stat().st_size:
                self._sidecar.check()
                self._resume(self.out)
        if self.writes_lines:
            from mien.recognition.output.text_file import AtomicTextFile

            self._lines = AtomicTextFile(self.out, append=bool(self.done))
        elif is_special:
            self._file = self.out.open("wb")
        else:
            from mien.files import AtomicFile

            self._whole = AtomicFile(self.out)
            self._file = self._whole.file

    def _resume(self, out: Path) -> None:
        """Set `done` to the images in `out`, and truncate it after the last of them."""
        self.done, length = self._read_done(out)
        os.truncate(out, length)

    def _read_done(self, out: Path) -> tuple[dict[str, bool], int]:
        """Return the images in `out` and whether each could be read, and where the last of them ends."""
        raise NotImplementedError

    def _write_image(self, analysis: Analysis) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """Write the end of the file."""

    def _close(self) -> None:
        self._finish()
        if self.out is None:
            self._file.flush()
        elif self._whole is not None:
            self._replace(self._whole.commit)
        elif self._lines is not None:
            self._lines.close()
        else:
            self._file.close()

    def _replace(self, replace: Callable[[], object]) -> None:
        """Call `replace` between the removal of an older sidecar and the writing of the new one.

        Even if the process is killed, rows are never beside the sidecar of other options.
        """
        if self._sidecar is not None:
            self._sidecar.remove_other()
        replace()
        if self._sidecar is not None:
            self._sidecar.write()

    def _abandon(self) -> None:
        """Close the file as it is; an atomic file leaves nothing."""
        if self._whole is not None:
            self._whole.discard()
        elif self.out is not None:
            for file in filter(None, (self._lines, self._file)):
                with contextlib.suppress(OSError):
                    file.close()

    def _put(self, text: str) -> None:
        """Write text and flush it, so that a reader of the file or the pipe sees it at once."""
        if self._lines is None:
            self._file.write(escape_surrogates(text).encode())
            self._file.flush()
            return
        if not self._begun:
            self._begun = True
            self._replace(self._lines.begin)
        self._lines.write(escape_surrogates(text))

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except OSError as error:
            self._failed = True
            self._abandon()
            if isinstance(error, BrokenPipeError):
                raise
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> MienError:
        return MienError(f"cannot write {self.out or 'to stdout'}: {error.strerror or error}")


WRITERS: dict[str, type[Writer]] = {}
SUFFIXES: dict[str, str] = {}  # format by suffix of the file name
_Class = TypeVar("_Class", bound=type[Writer])


def register_format(name: str, *suffixes: str) -> Callable[[_Class], _Class]:
    """Return a decorator that registers a writer as the format `name`, for files with one of `suffixes`."""

    def register(writer: _Class) -> _Class:
        taken = [word for word in (name, *suffixes) if word in WRITERS or word in SUFFIXES]
        if taken:
            raise MienError(f"two writers are registered as {', '.join(taken)}")
        writer.name, WRITERS[name] = name, writer
        SUFFIXES.update(dict.fromkeys(suffixes, name))
        return writer

    return register
