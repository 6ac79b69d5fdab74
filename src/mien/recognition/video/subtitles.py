"""Subtitles (SubRip, .srt) with the expressions."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from mien.errors import MienError
from mien.recognition.output.text_file import AtomicTextFile
from mien.recognition.results import VideoFrame

MIN_CUE_SECONDS = 0.6  # shortest duration of a subtitle, so that it can be read
MAX_STACKED_LINES = 3  # persons with a line each; more share one line


class Subtitles:
    """Writes a subtitle whenever a person appears, disappears or changes expression, as a context manager.

    A change that is reverted within `MIN_CUE_SECONDS` is not shown. Each subtitle is in the file as soon as it is
    written; an existing file is replaced with the first frame.
    """

    def __init__(self, path: str | Path) -> None:
        """Check that the file can be written.

        Args:
            path: Path of the file, .srt.

        Raises:
            MienError: The suffix is not .srt, or the file cannot be written.
        """
        self.path = Path(path)
        check_suffix(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = AtomicTextFile(self.path)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None
        self._number, self._text, self._since = 0, "", 0.0
        self._time, self._step = 0.0, 0.0

    def __enter__(self) -> Subtitles:
        """Return the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write the last subtitle and close the file."""
        self._write_cue(self._time + (self._step or MIN_CUE_SECONDS))
        self._file.close()

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times must not decrease."""
        self._put("")  # the file of a video without faces is empty
        self._step, self._time = max(0.0, frame.time - self._time) or self._step, frame.time
        text = caption(frame)
        if text == self._text or (self._text and frame.time - self._since < MIN_CUE_SECONDS):
            return
        self._write_cue(frame.time)
        self._text, self._since = text, frame.time

    def _write_cue(self, end: float) -> None:
        """Write the current text as a subtitle that ends at `end`."""
        if not self._text or _timestamp(end) == _timestamp(self._since):
            return
        self._number += 1
        self._put(f"{self._number}\n{_timestamp(self._since)} --> {_timestamp(end)}\n{self._text}\n\n")
        self._text = ""

    def _put(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None


def caption(frame: VideoFrame) -> str:
    """Return the persons in a frame and their expressions, ordered by number; empty without persons.

    Example:
        >>> caption(VideoFrame(0, 0.0, 64, 48, ()))
        ''
    """
    texts = [f"Person {face.person}: {face.label}" for face in sorted(frame.faces, key=lambda face: face.person)]
    return ("\n" if len(texts) <= MAX_STACKED_LINES else "  ·  ").join(texts)


def check_suffix(path: Path) -> None:
    """Raise `MienError` if a path is not a subtitle file."""
    if path.suffix.lower() != ".srt":
        raise MienError(f"{path.name}: unsupported subtitle suffix; use .srt")


def _timestamp(seconds: float) -> str:
    """Return a time as 01:02:03,456."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"
