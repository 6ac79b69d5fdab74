"""Video reader: frames and times, by PyAV.

Frames come as they are seen: turned by the display matrix, with square pixels, BGR. Times are seconds from the
beginning of the file and never fall, whatever the frame rate does.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, MissingExtra, VideoError
from mien.threads import threads

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame as AvFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]

MISSING_SECONDS = 0.5  # seconds short of what the header tells, from which on a file counts as cut off
DEFAULT_FPS = Fraction(25)  # frames a second, of a file that does not tell
_TEXTS = ("tty", "concat", "hls")  # what ffmpeg would read of a text file: letters as images, or lists of other files
_SENT = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "ogg", "flv", "gif")
_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def pyav() -> Any:
    """The module `av`; `MissingExtra` where it is not installed."""
    try:
        import av
    except ImportError:
        raise MissingExtra("video", "reading and writing videos") from None
    return av


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        index: its number in the file, from 0 on.
        time: when it is shown, in seconds from the beginning.
        lasts: seconds that it is shown, as far as the file tells.
        image_HW3: uint8, BGR, as it is seen.
    """

    index: int
    time: float
    lasts: float
    image_HW3: Pixels


class VideoReader:
    """An open video file; a context manager that closes it.

    Attributes:
        path: of the file.
        rate: mean frames a second.
        seconds: how long the file says that its images last; None where it does not.
        notes: what was wrong with the file, in sentences; complete once `shots` has ended.
    """

    def __init__(
        self,
        path: str | Path,
        data: bytes | None = None,
        *,
        max_pixels: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Open the file.

        Args:
            path: of the file; where there is `data`, only what to call it.
            data: the content of a file that somebody sent: a video of a usual kind, which cannot have others opened.
            max_pixels: of a frame; a video of larger ones is refused, and larger ones in it are left out.
            stop: once it is set, nothing more is decoded, not even what `shots` would leave out, and `shots` ends.

        Raises:
            MissingExtra: PyAV is not installed.
            VideoError: there is no such file, it holds no images that can be decoded, or they are too large.
        """
        self.path = Path(path)
        self.notes: list[str] = []
        # Whoever closes the file waits for the thread that decodes; ffmpeg would read memory that is gone.
        self._busy, self._closed, self._stop = threading.Lock(), False, stop or threading.Event()
        self._container = open_input(self.path) if data is None else _open_sent(data, self.path)
        try:
            self._stream = _images_of(self._container, self.path)
            if max_pixels is not None:
                _limit(self._stream, self.path, max_pixels)
        except MienError:
            self._container.close()
            raise
        # One for all frames, of one thread: to make one anew for each, and its threads, takes as long as what it does.
        self._colors = pyav().video.reformatter.VideoReformatter()
        self._start = (self._container.start_time or 0) / 1_000_000
        rate = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FPS
        self.rate = float(rate if rate > 0 else DEFAULT_FPS)
        self.seconds = _stated_seconds(self._stream, self._container)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._busy:
            self._closed = True
            self._container.close()

    @property
    def frames(self) -> int | None:
        """How many there are, as far as the file tells: for a progress bar, not to be relied upon."""
        return None if self.seconds is None else max(1, round(self.seconds * self.rate))

    def shots(self, every: int = 1) -> Iterator[Frame]:
        """Every `every`-th frame from the first on; the others are decoded and left out.

        Raises:
            VideoError: not one frame can be decoded.
        """
        count, time, end, frames = 0, 0.0, 0.0, self._decoded()
        while True:
            with self._busy:
                if self._closed:
                    return
                frame = next(frames, None)
                if self._stop.is_set():
                    return
                if frame is None:
                    break
                # A stream without times has its frame rate. A time that falls would set trackers and players back.
                told = end if frame.pts is None else float(frame.pts * (frame.time_base or 0)) - self._start
                time = max(time, told)
                lasts = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / self.rate
                end, count = time + lasts, count + 1
                wanted = (count - 1) % every == 0
                image_HW3 = _as_seen(frame, self._stream.sample_aspect_ratio, self._colors) if wanted else None
            if image_HW3 is not None:
                yield Frame(count - 1, time, lasts, image_HW3)
        if not count:
            raise VideoError(f"{self.path} holds no frame that can be decoded; it is damaged or cut off")
        self._judge_end(end)

    def _decoded(self) -> Iterator[AvFrame]:
        """What can be decoded: a damaged packet is left out, a file that breaks off ends there."""
        av, faults = pyav(), 0
        packets = self._container.demux(self._stream)
        while not self._stop.is_set():
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.notes.append(f"{self.path.name} cannot be read to its end; what came before is read")
                with suppress(av.error.FFmpegError):
                    yield from self._stream.decode(None)  # what still waits in the decoder
                break
            if packet is None:
                break
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                faults += 1
        if faults:
            self.notes.append(f"{self.path.name} is damaged: {faults} of its packets could not be decoded")

    def _judge_end(self, end: float) -> None:
        """A file that lacks its end often just stops: its header still tells how long it was."""
        if (
            self.seconds is not None
            and self.seconds - end > max(MISSING_SECONDS, 0.02 * self.seconds)
            and not self.notes
        ):
            self.notes.append(
                f"{self.path.name} breaks off after {end:.1f} of {self.seconds:.1f} seconds; what came before is read"
            )


def open_input(path: Path) -> InputContainer:
    """The file, opened by PyAV and by no other protocol than that of files.

    Raises:
        MissingExtra: PyAV is not installed.
        VideoError: there is no such file, or PyAV can make nothing of it.
    """
    pyav()  # if it is not there, that is told before what is wrong with the file
    try:
        if path.is_dir():
            raise VideoError(f"{path} is a folder, not a video")
        if not path.is_file():
            raise VideoError(f"there is no file {path}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from None
    if empty:
        raise VideoError(f"{path} is empty")
    # The prefix keeps a name such as "http:x" a name; the list keeps a playlist from opening anything else.
    container = _opened(f"file:{path.absolute()}", {"protocol_whitelist": "file"}, path)
    if container.format.name in _TEXTS:
        container.close()
        raise VideoError(f"{path} is text, not a video")
    return container


def _open_sent(data: bytes, path: Path) -> InputContainer:
    """The content of a file, of one of the kinds that hold nothing but their own images and sound."""
    options = {"protocol_whitelist": "none", "format_whitelist": ",".join(_SENT)}
    return _opened(io.BytesIO(data), options, path)


def _opened(source: str | io.BytesIO, options: dict[str, str], path: Path) -> InputContainer:
    """What PyAV makes of it, titles in whatever alphabet; `VideoError` where that is nothing."""
    av = pyav()
    try:
        container: InputContainer = av.open(source, options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError):
        raise VideoError(f"{path} is no video that can be read, or its end is cut off with the index of it") from None
    return container


def _limit(stream: VideoStream, path: Path, max_pixels: int) -> None:
    """Refuse a video of frames that are too large, and have its decoder leave out such as come later."""
    wide, high = stream.codec_context.width, stream.codec_context.height
    if wide * high > max_pixels:
        raise VideoError(
            f"{path} has frames of {wide} x {high} pixels, above the limit of {max_pixels / 1e6:,.1f} megapixels; "
            "make it smaller"
        )
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(max_pixels)}


def _images_of(container: InputContainer, path: Path) -> VideoStream:
    """The first stream that moves: not the cover of a piece of music."""
    av = pyav()
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        sound = " but sound" if container.streams.audio else ""
        raise VideoError(f"{path} holds nothing{sound}: it has no images")
    stream = moving[0]
    if stream.codec_context is None:
        raise VideoError(f"the images of {path} are in a form that this PyAV cannot decode")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads()
    return stream


def _stated_seconds(stream: VideoStream, container: InputContainer) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    clock = stream.metadata.get("DURATION", "").split(":")  # Matroska's, as hours:minutes:seconds
    try:
        hours, minutes, seconds = map(float, clock)
        return 3600 * hours + 60 * minutes + seconds
    except ValueError:
        return container.duration / 1_000_000 if container.duration else None


def _as_seen(frame: AvFrame, aspect: Fraction | None, colors: VideoReformatter) -> Pixels:
    """Square pixels where the file's are of a shape that occurs, BGR, turned: uint8 [H,W,3]."""
    wide = aspect if aspect and Fraction(1, 2) <= aspect <= 2 else 1
    image_HW3 = colors.reformat(frame, round(frame.width * wide), format="bgr24", threads=1).to_ndarray()
    turn = _TURNS.get(round(frame.rotation / 90) % 4)
    return np.asarray(image_HW3 if turn is None else cv2.rotate(image_HW3, turn), np.uint8)
