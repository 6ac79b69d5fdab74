"""Video writer: H.264 with the original frame times and audio."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import VideoError
from mien.recognition.prefetch import BackgroundWorker
from mien.recognition.video.audio import AudioTracks
from mien.recognition.video.container import check_not_input, pyav
from mien.recognition.video.reader import Pixels
from mien.threads import threads

if TYPE_CHECKING:
    from av.container import OutputContainer

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # suffix -> ffmpeg's format name
CODEC = "libx264"
CODEC_OPTIONS = {"crf": "20", "preset": "veryfast"}
TIME_BASE = 90_000  # ticks per second; all common frame rates divide it


class VideoWriter:
    """A video that is being written, as a context manager.

    The file gets its name when it is closed. If writing is interrupted, the frames written until then form a complete
    video; without frames there is no file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/video.mp4", fps=25) as writer:
        ...         writer.write(np.zeros((48, 64, 3), np.uint8), time=0.0, duration=0.04)
        ...     Path(f"{folder}/video.mp4").exists()
        True
    """

    def __init__(self, path: str | Path, *, audio_from: str | Path | None = None, fps: float = 25.0) -> None:
        """Check that the video can be written.

        Args:
            path: Path of the file; the suffix determines the container: .mp4, .m4v, .mov or .mkv.
            audio_from: Path of the video whose audio is copied.
            fps: Frame rate in frames per second, a hint for the encoder; each frame has its own time.

        Raises:
            MissingExtra: PyAV is not installed.
            VideoError: The suffix is not supported, the folder is not writable, or the file is `audio_from` itself.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise VideoError(f"{self.path.name}: unsupported video suffix; use one of {', '.join(CONTAINERS)}")
        pyav()
        self._audio_from = None if audio_from is None else Path(audio_from)
        if self._audio_from is not None:
            check_not_input(self._audio_from, self.path)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._part = self.path.with_name(f".{os.getpid()}-{self.path.name}")
        self._out: OutputContainer | None = None
        self._stream: Any = None
        self._audio: AudioTracks | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:  # test that the folder is writable; the file itself is created with the first frame
                self._part.touch()
            finally:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            raise VideoError(f"cannot write {self.path}: {error.strerror or error}") from None
        self._last_pts, self._end = -1, 0.0
        self._worker = BackgroundWorker()

    def __enter__(self) -> VideoWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def write(
        self, image_HW3: Pixels, time: float, duration: float, draw: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        """Add a frame, which is drawn and encoded in a background thread.

        An image of another size than the first is resized. H.264 needs even sides, so an odd last row or column is
        dropped.

        Args:
            image_HW3: BGR image, uint8 [H,W,3].
            time: Time at which the frame is displayed, in seconds; times must increase.
            duration: Seconds for which the frame is displayed.
            draw: Function that returns the image to write in place of this one.

        Raises:
            VideoError: The disk is full, or the encoder refuses this image or an earlier one.
        """

        def task() -> None:
            self._write(draw(image_HW3) if draw else image_HW3, time, duration)

        self._worker.submit(lambda: self._with_video_errors(task))

    def close(self) -> None:
        """Finish the file with the frames written so far; a second call does nothing."""
        self._worker.close(lambda: self._with_video_errors(self._finish))

    def _with_video_errors(self, function: Callable[[], None]) -> None:
        try:
            function()
        except (pyav().error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from None

    def _write(self, image_HW3: Pixels, time: float, duration: float) -> None:
        if self._out is None:
            self._open(image_HW3)
        assert self._out is not None
        if image_HW3.shape[:2] != self._size:
            image_HW3 = np.asarray(cv2.resize(image_HW3, self._size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        even_HW3 = np.ascontiguousarray(image_HW3[: self._height, : self._width])
        frame = pyav().VideoFrame.from_ndarray(even_HW3, format="bgr24")
        frame.pts = self._last_pts = max(round(time * TIME_BASE), self._last_pts + 1)
        frame.time_base, frame.duration = Fraction(1, TIME_BASE), max(1, round(duration * TIME_BASE))
        self._out.mux(self._stream.encode(frame))
        self._end = time + duration
        if self._audio is not None:
            self._audio.write_until(time)

    def _finish(self) -> None:
        out, self._out = self._out, None
        try:
            if out is not None:
                with out:
                    if self._audio is not None:
                        with closing(self._audio):
                            self._audio.write_until(self._end)
                    out.mux(self._stream.encode(None))
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _open(self, image_HW3: Pixels) -> None:
        """Open the file with the size of the first frame."""
        self._size = image_HW3.shape[:2]
        self._height, self._width = (max(2, side // 2 * 2) for side in self._size)
        out = pyav().open(f"file:{self._part.absolute()}", "w", format=CONTAINERS[self.path.suffix.lower()])
        with ExitStack() as on_error:
            on_error.callback(out.close)
            self._stream = out.add_stream(CODEC, rate=self._fps, options=CODEC_OPTIONS)
            self._stream.width, self._stream.height, self._stream.pix_fmt = self._width, self._height, "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, TIME_BASE)
            self._stream.codec_context.thread_count = threads()
            self._audio = None if self._audio_from is None else AudioTracks(self._audio_from, out)
            on_error.pop_all()
        self._out = out
