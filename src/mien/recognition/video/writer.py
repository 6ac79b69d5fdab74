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
from mien.recognition.video.audio import Sound, check_different
from mien.recognition.video.reader import Pixels, pyav
from mien.threads import threads

if TYPE_CHECKING:
    from av.container import OutputContainer

KINDS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # an ending, and what ffmpeg calls it
CODEC = "libx264"
QUALITY = {"crf": "20", "preset": "veryfast"}
TICKS = 90_000  # to a second; all usual frame rates are whole numbers of them


class VideoWriter:
    """A video that is being written; a context manager.

    It takes its name when it is closed. Whatever ended it, the frames written until then make a whole file; without a
    frame there is none.
    """

    def __init__(self, path: str | Path, *, audio_from: str | Path | None = None, rate: float = 25.0) -> None:
        """Prepare to write.

        Args:
            path: of the file; its ending says which kind: .mp4, .m4v, .mov or .mkv.
            audio_from: the video whose sound is kept.
            rate: frames a second, a hint for the encoder; each frame has its own time.

        Raises:
            MissingExtra: PyAV is not installed.
            VideoError: an ending that is none of these, a folder that cannot be written to, or `audio_from` itself.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in KINDS:
            raise VideoError(f"a video is written as one of {', '.join(KINDS)}, not {self.path.name}")
        pyav()
        self._sound_of = None if audio_from is None else Path(audio_from)
        if self._sound_of is not None:
            check_different(self._sound_of, self.path)
        self._rate = Fraction(rate).limit_denominator(1001)
        self._part = self.path.with_name(f".{os.getpid()}-{self.path.name}")
        self._out: OutputContainer | None = None
        self._stream: Any = None
        self._sound: Sound | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:  # whether it could be written; it is there from the first frame on, as nobody closes it before
                self._part.touch()
            finally:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            raise VideoError(f"cannot write {self.path}: {error.strerror or error}") from None
        self._last, self._end = -1, 0.0
        self._behind = BackgroundWorker()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def write(
        self, image_HW3: Pixels, time: float, lasts: float, draw: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        """Add a frame that is shown at `time` for `lasts` seconds; times rise. It is drawn and encoded in a thread.

        An image of another size than the first is scaled to that; an odd row or column at the rim is left out, as
        H.264 wants them even.

        Args:
            draw: what is done to the image first.

        Raises:
            VideoError: the disk is full, or the encoder refuses: this image, or one before it.
        """
        self._behind.submit(
            lambda: self._told(lambda: self._write(draw(image_HW3) if draw else image_HW3, time, lasts))
        )

    def close(self) -> None:
        """Finish the file; what was written is kept. Closing twice is closing once."""
        self._behind.close(lambda: self._told(self._finish))

    def _told(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (pyav().error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from None

    def _write(self, image_HW3: Pixels, time: float, lasts: float) -> None:
        if self._out is None:
            self._begin(image_HW3)
        assert self._out is not None
        if image_HW3.shape[:2] != self._size:
            image_HW3 = np.asarray(cv2.resize(image_HW3, self._size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        even_HW3 = np.ascontiguousarray(image_HW3[: self._height, : self._width])
        frame = pyav().VideoFrame.from_ndarray(even_HW3, format="bgr24")
        frame.pts = self._last = max(round(time * TICKS), self._last + 1)
        frame.time_base, frame.duration = Fraction(1, TICKS), max(1, round(lasts * TICKS))
        self._out.mux(self._stream.encode(frame))
        self._end = time + lasts
        if self._sound is not None:
            self._sound.until(time)

    def _finish(self) -> None:
        out, self._out = self._out, None
        try:
            if out is not None:
                with out:
                    if self._sound is not None:
                        with closing(self._sound):
                            self._sound.until(self._end)
                    out.mux(self._stream.encode(None))
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _begin(self, image_HW3: Pixels) -> None:
        """Open the file, now that the size is known."""
        self._size = image_HW3.shape[:2]
        self._height, self._width = (max(2, side // 2 * 2) for side in self._size)
        out = pyav().open(f"file:{self._part.absolute()}", "w", format=KINDS[self.path.suffix.lower()])
        with ExitStack() as unless_whole:
            unless_whole.callback(out.close)
            self._stream = out.add_stream(CODEC, rate=self._rate, options=QUALITY)
            self._stream.width, self._stream.height, self._stream.pix_fmt = self._width, self._height, "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, TICKS)
            self._stream.codec_context.thread_count = threads()
            self._sound = None if self._sound_of is None else Sound(self._sound_of, out)
            unless_whole.pop_all()
        self._out = out
