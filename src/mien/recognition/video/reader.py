"""Video reader: frames and times, by PyAV.

Frames are BGR images as they are displayed: rotated by the display matrix, with square pixels. Times are seconds from
the beginning of the file and never decrease, whatever the frame rate does.
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
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, VideoError
from mien.paths import expand_user
from mien.recognition.video.container import open_bytes, open_file, pyav
from mien.recognition.video.damage import DamageLog
from mien.threads import threads

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame as AvFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]

DEFAULT_FPS = Fraction(25)  # of a file that does not state its frame rate
_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: Index in the file, from 0.
        time: Time at which the frame is displayed, in seconds from the beginning.
        duration: Seconds for which it is displayed, as stated by the file.
        image_HW3: BGR image as it is displayed, uint8 [H,W,3].
    """

    index: int
    time: float
    duration: float
    image_HW3: Pixels


class VideoReader:
    """An open video file, as a context manager that closes it.

    Attributes:
        path: Path of the file.
        fps: Mean frame rate, in frames per second.
        duration: Duration of the video in seconds, as stated by the file; None if it does not state one.
        notes: Defects of the file, as sentences; complete when `read_frames` has ended.

    Example:
        >>> import tempfile
        >>> from mien.recognition.video.writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/video.mp4") as writer:
        ...         for i in range(3):
        ...             writer.write(np.full((48, 64, 3), 80 * i, np.uint8), time=i / 25, duration=1 / 25)
        ...     with VideoReader(f"{folder}/video.mp4") as reader:
        ...         [(frame.index, frame.time, frame.image_HW3.shape) for frame in reader.read_frames()]
        [(0, 0.0, (48, 64, 3)), (1, 0.04, (48, 64, 3)), (2, 0.08, (48, 64, 3))]
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
            path: Path of the file; with `data`, only its name in messages.
            data: Content of an uploaded file, which must be a video of a common format that cannot open other files.
            max_pixels: Number of pixels above which a video is refused, and larger frames within a video are skipped.
            stop: Event that ends decoding and `read_frames` when it is set, even between frames that are skipped.

        Raises:
            MissingExtra: PyAV is not installed.
            VideoError: The file does not exist, has no frames that can be decoded, or its frames are too large.
        """
        self.path, self._data = expand_user(Path(path)) if data is None else Path(path), data
        self.notes: list[str] = []
        # Closing waits for the thread that decodes; otherwise ffmpeg would read freed memory.
        self._lock, self._closed, self._stop = threading.Lock(), False, stop or threading.Event()
        self._container = open_file(self.path) if data is None else open_bytes(data, self.path)
        try:
            self._stream = _video_stream(self._container, self.path)
            if max_pixels is not None:
                _limit_pixels(self._stream, self.path, max_pixels)
        except MienError:
            self._container.close()
            raise
        # One converter for all frames, with one thread: creating one per frame takes as long as the conversion.
        self._converter = pyav().video.reformatter.VideoReformatter()
        self._start = (self._container.start_time or 0) / 1_000_000
        fps = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FPS
        self.fps = float(fps if fps > 0 else DEFAULT_FPS)
        self._damage = DamageLog(self._container, self._stream, self._start, self.fps)
        self.duration = self._damage.duration

    def __enter__(self) -> VideoReader:
        """Return the reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            self._container.close()

    def read_frames(self, every: int = 1) -> Iterator[Frame]:
        """Yield every `every`-th frame, beginning with the first; the others are decoded and skipped.

        Raises:
            VideoError: No frame can be decoded.
        """
        count, time, end, frames = 0, 0.0, 0.0, self._decode()
        while True:
            with self._lock:
                if self._closed:
                    return
                frame = next(frames, None)
                if self._stop.is_set():
                    return
                if frame is None:
                    break
                # A stream without times has its frame rate. A decreasing time would confuse trackers and players.
                stated = end if frame.pts is None else float(frame.pts * (frame.time_base or 0)) - self._start
                time = max(time, stated)
                duration = float((frame.duration or 0) * (frame.time_base or 0)) or 1 / self.fps
                end, count = time + duration, count + 1
                self._damage.add_frame(frame, time)
                wanted = (count - 1) % every == 0
                image_HW3 = _to_bgr(frame, self._stream.sample_aspect_ratio, self._converter) if wanted else None
            if image_HW3 is not None:
                yield Frame(count - 1, time, duration, image_HW3)
        if not count:
            raise VideoError(f"{self.path}: no frame can be decoded; the video is damaged or truncated")
        with self._open_again() as file:
            self.notes += self._damage.notes(self.path.name, file, end, self._stop.is_set)

    def _open_again(self) -> BinaryIO:
        """Return the file; an empty one, in which no damage is found, if it was moved or deleted while it was read."""
        try:
            return io.BytesIO(self._data) if self._data is not None else self.path.open("rb")
        except OSError:
            return io.BytesIO()

    def _decode(self) -> Iterator[AvFrame]:
        """Yield all frames that can be decoded: damaged packets are skipped, a truncated file ends early."""
        error = pyav().error.FFmpegError
        for packet in self._read_packets():
            self._damage.add_packet(packet)
            if packet.stream_index == self._stream.index:
                try:
                    yield from packet.decode()
                except error:
                    self._damage.add_failure(packet)
        # Frames that the decoder holds back, if the file cannot be read to its end.
        with suppress(error):
            yield from self._stream.decode(None)

    def _read_packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all streams until `stop` is set."""
        packets = self._container.demux()
        while not self._stop.is_set():
            try:
                packet = next(packets, None)
            except IndexError:  # PyAV ignores no stream that begins within the file; the next packet can be read
                packets = self._container.demux()
                continue
            except pyav().error.FFmpegError:
                self._damage.add_end()
                return
            if packet is None:
                return
            yield packet


def _limit_pixels(stream: VideoStream, path: Path, max_pixels: int) -> None:
    """Refuse a video of frames that are too large, and let its decoder skip larger frames that come later."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise VideoError(
            f"{path}: frames of {width} x {height} pixels are above the limit of {max_pixels / 1e6:,.1f} megapixels; "
            "use a smaller video or raise the limit"
        )
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(max_pixels)}


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first video stream that is not the cover image of an audio file."""
    av = pyav()
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        only = "only audio" if container.streams.audio else "no video stream"
        raise VideoError(f"{path}: not a video, the file has {only}")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(f"{path}: the installed PyAV cannot decode this video codec")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads()
    return stream


def _to_bgr(frame: AvFrame, aspect: Fraction | None, converter: VideoReformatter) -> Pixels:
    """Return a frame as it is displayed, BGR uint8 [H,W,3]; implausible aspect ratios of pixels are ignored."""
    stretch = aspect if aspect and Fraction(1, 2) <= aspect <= 2 else 1
    image_HW3 = converter.reformat(frame, round(frame.width * stretch), format="bgr24", threads=1).to_ndarray()
    rotation = _ROTATIONS.get(round(frame.rotation / 90) % 4)
    return np.asarray(image_HW3 if rotation is None else cv2.rotate(image_HW3, rotation), np.uint8)
