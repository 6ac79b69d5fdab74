"""Subtitles (SubRip, .srt) with the expressions."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from mien.errors import MienError
from mien.recognition.output.text_file import AtomicTextFile
from mien.recognition.results import VideoFrame

MIN_CUE_SECONDS = 0.6  # seconds that a subtitle stays, so that it can be read
MAX_STACKED_LINES = 3  # from more persons on, they share lines


class Subtitles:
    """Writes a subtitle whenever someone comes, leaves or looks different; a context manager.

    A change that is undone within `MIN_CUE_SECONDS` seconds is not told. What is written is in the file at once; a file
    that was there stays as it is until the first frame.
    """

    def __init__(self, path: str | Path) -> None:
        """Prepare to write.

        Raises:
            MienError: another ending than .srt, or it cannot be written.
        """
        self.path = Path(path)
        check_suffix(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = AtomicTextFile(self.path)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None
        self._number, self._shown, self._since = 0, "", 0.0
        self._time, self._step = 0.0, 0.0

    def __enter__(self) -> Subtitles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cue(self._time + (self._step or MIN_CUE_SECONDS))
        self._file.close()

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times do not fall."""
        self._put("")  # a video without a face has no subtitles: the file becomes empty
        self._step, self._time = max(0.0, frame.time - self._time) or self._step, frame.time
        text = caption(frame)
        if text == self._shown or (self._shown and frame.time - self._since < MIN_CUE_SECONDS):
            return
        self._cue(frame.time)
        self._shown, self._since = text, frame.time

    def _cue(self, end: float) -> None:
        """What is shown now, until `end`."""
        if not self._shown or _clock(end) == _clock(self._since):
            return
        self._number += 1
        self._put(f"{self._number}\n{_clock(self._since)} --> {_clock(end)}\n{self._shown}\n\n")
        self._shown = ""

    def _put(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None


def caption(frame: VideoFrame) -> str:
    """Who is there and what they express, by their numbers; empty where nobody is."""
    told = [f"Person {face.person}: {face.label}" for face in sorted(frame.faces, key=lambda face: face.person)]
    return ("\n" if len(told) <= MAX_STACKED_LINES else "  ·  ").join(told)


def _clock(seconds: float) -> str:
    """As 01:02:03,456."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def check_suffix(path: Path) -> None:
    """`MienError` where subtitles cannot be written as such a file."""
    if path.suffix.lower() != ".srt":
        raise MienError(f"subtitles are written as .srt, not {path.name}")
