"""Damage of a video: where frames are damaged or missing, and where the file breaks off.

FFmpeg conceals damage, skips what it cannot read and takes a truncated file for a short one. The signs of damage are
packets that cannot be decoded, corrupt packets and frames, a beginning without a keyframe, and bytes, packets and
seconds that the file states and does not have.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from mien.recognition.video.structure import Break, find_break

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame as AvFrame
    from av.video.stream import VideoStream

MISSING_SECONDS = 0.5  # missing seconds, compared with the stated duration, from which a file counts as truncated
_MISSING_FRAMES = 1.5  # the same in frames, if the file is incomplete by its structure or number of packets too
_SHORTEST = 0.05  # seconds; some files state thousands of frames per second
_ROUNDING = 1e-6  # seconds by which times of packets and frames may differ
_STRICT = frozenset(("h264", "hevc"))  # codecs of which each packet is a frame
# Zero bytes in a row that compressed frames do not have, but lost blocks of a disk or of a download. The standards of
# H.264 and HEVC forbid more than two in a unit, the coders of VP8 and VP9 may write some for empty frames.
_ZEROS = {"h264": 64, "hevc": 64, "vp8": 512, "vp9": 512}
_MARKS = 4096  # positions of packets that are kept, however long the video is


class DamageLog:
    """Collects the signs of damage while a video is decoded.

    All times are seconds from the beginning of the file.

    Attributes:
        duration: Duration of the video in seconds, as stated by the file; None if it does not state one.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from mien.recognition.video.reader import VideoReader
        >>> from mien.recognition.video.writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/a.mkv") as writer:
        ...         for i in range(50):
        ...             writer.write(np.full((48, 64, 3), 5 * i, np.uint8), time=i / 25, duration=1 / 25)
        ...     with open(f"{folder}/a.mkv", "rb+") as file:
        ...         size = file.truncate(1500)
        ...     with VideoReader(f"{folder}/a.mkv") as reader:
        ...         frames = list(reader.read_frames())
        >>> reader.notes[0].split(",")[0]
        'a.mkv: truncated video'
    """

    def __init__(self, container: InputContainer, stream: VideoStream, start: float, fps: float) -> None:
        """Start without damage.

        Args:
            container: Open file.
            stream: Its video stream.
            start: Time of the beginning of the file, in seconds of its own clock.
            fps: Mean frame rate of the video.
        """
        self._format, self._start, self._fps = container.format.name, start, fps
        self._stream_index, self._stated_count, self._codec = stream.index, stream.frames, stream.codec_context.name
        self._zeros = _zeros(self._codec, stream.codec_context.extradata or b"")
        self._pid = stream.id if self._format == "mpegts" else None
        self.duration: float | None = None
        self._stated_end, self._is_of_video = 0.0, True  # end of the video, or of the longest stream
        self._read_duration(container, stream)
        self._packet_count, self._end_of_all, self._cannot_be_read = 0, 0.0, False
        self._keyframes: deque[float] = deque(maxlen=64)
        self._begins_late: float | None = None  # time of the first packet, until a frame is decoded
        self._ticks: dict[int, float] = {}  # by the index of the stream; fractions are slow
        self._marks: list[tuple[int, float]] = []
        self._mark_step = (container.size or 0) / _MARKS
        self._excused: set[int | None] = (
            set()
        )  # times of corrupt packets; whether they are damage follows from the structure of the file
        self._damaged: tuple[float, float] | None = None  # first and last time
        self._restored: float | None = None  # time of the keyframe after the last one
        self._expected: set[float] = set()  # times of packets after damage that are not decoded yet

    def add_packet(self, packet: Packet[Any]) -> None:
        """Add a packet of any stream, before it is decoded."""
        is_video = packet.stream_index == self._stream_index
        if not packet.size or (self._is_of_video and not is_video):
            return
        time = self._time(packet)
        if not self._is_of_video:
            self._end_of_all = max(self._end_of_all, time + (packet.duration or 0) * self._tick(packet))
            if not is_video:
                return
        self._packet_count += 1
        if packet.is_keyframe:
            self._keyframes.append(time)
            if self._damaged and self._restored is None and time > self._damaged[1] + _ROUNDING:
                self._restored = time
        elif self._packet_count == 1 and not packet.is_discard:
            self._begins_late = time
        if packet.pos is not None and (not self._marks or packet.pos >= self._marks[-1][0] + self._mark_step):
            self._marks.append((packet.pos, time))
        if self._damaged and self._codec in _STRICT:
            self._expected.add(time)
        if self._zeros and self._zeros.search(bytes(packet)):
            self._add(time)
        if packet.is_corrupt:
            if self._format == "mpegts":  # also if its counter jumps where two files were joined
                self._excused.add(packet.pts)
            else:
                self._add(time)

    def add_failure(self, packet: Packet[Any]) -> None:
        """Add a packet that cannot be decoded."""
        self._add(self._time(packet))

    def add_frame(self, frame: AvFrame, time: float) -> None:
        """Add a decoded frame."""
        if self._begins_late is not None:
            if time - self._begins_late > _MISSING_FRAMES / self._fps:
                self._add(self._begins_late)
                self._restored = time
            self._begins_late = None
        if self._expected:
            lost = [t for t in self._expected if t < time - 0.5 / self._fps]
            self._expected = {t for t in self._expected if t > time + 0.5 / self._fps}
            if lost:
                self._add(max(lost))
        if frame.is_corrupt and frame.pts not in self._excused:
            self._add(time)

    def add_end(self) -> None:
        """Add that the file cannot be read further."""
        self._cannot_be_read = True

    def notes(self, name: str, file: BinaryIO, end: float, stop: Callable[[], bool] | None = None) -> list[str]:
        """Return the damage as sentences.

        Args:
            name: Name of the file in the sentences.
            file: The file itself, open for reading.
            end: End of the last frame.
            stop: Function that returns whether to end without checking the rest of the file.
        """
        broken = None
        with suppress(OSError):
            broken = find_break(file, self._format, pid=self._pid, stop=stop)
        if broken is not None and self._marks and self._marks[-1][0] >= broken.found:
            before, after = (bisect_left(self._marks, (at, -math.inf)) for at in (broken.start, broken.found))
            self._add(self._marks[max(before - 1, 0)][1])
            self._extend(self._marks[after][1])
            broken = None
        notes = []
        truncated = self._is_truncated(end, broken)
        if self._damaged and not (truncated and self._damaged[0] >= end - MISSING_SECONDS):
            first, last = self._damaged
            last = max(last, end) if self._restored is None else self._restored
            first, last = max(math.floor(10 * first + 0.01) / 10, 0.0), math.ceil(10 * last - 0.01) / 10
            notes.append(f"{name}: damaged video, frames from {first:.1f} to {last:.1f} seconds are damaged or missing")
        if truncated:
            of = f" of {self.duration:.1f}" if self.duration and self.duration >= end + 0.1 else ""
            notes.append(
                f"{name}: truncated video, it ends after {end:.1f}{of} seconds; the frames before are analyzed"
            )
        return notes

    def _time(self, packet: Packet[Any]) -> float:
        """Return the time of a packet; without one, that of its number at the mean frame rate."""
        stated = packet.dts if packet.pts is None else packet.pts
        return self._packet_count / self._fps if stated is None else stated * self._tick(packet) - self._start

    def _tick(self, packet: Packet[Any]) -> float:
        """Return the unit of time of a packet, in seconds."""
        if packet.stream_index not in self._ticks:
            self._ticks[packet.stream_index] = float(packet.time_base or 0)
        return self._ticks[packet.stream_index]

    def _add(self, time: float) -> None:
        """Add a time at which a frame is damaged or missing; frames after it refer to it until a keyframe."""
        if self._damaged is None or time > self._damaged[1]:
            self._restored = min((key for key in self._keyframes if key > time + _ROUNDING), default=None)
        first, last = self._damaged or (time, time)
        self._damaged = min(first, time), max(last, time)

    def _extend(self, time: float) -> None:
        """Extend the damage to the time of a packet that is complete."""
        assert self._damaged is not None
        if time > self._damaged[1]:
            self._damaged = self._damaged[0], time
            self._restored = time

    def _is_truncated(self, end: float, broken: Break | None) -> bool:
        """Return whether the file breaks off before the end of its audio and video."""
        lacks_packets = self._packet_count < self._stated_count
        if self._cannot_be_read or (broken is not None and (broken.in_media or lacks_packets or not self._stated_end)):
            return True
        missing = self._stated_end - (end if self._is_of_video else max(end, self._end_of_all))
        if broken is not None or lacks_packets:  # an edit list may drop packets that the file has
            return missing > max(_MISSING_FRAMES / self._fps, _SHORTEST)
        # Matroska states the end of the longest track, and its structure is complete.
        return "matroska" not in self._format and missing > max(MISSING_SECONDS, 0.02 * self._stated_end)

    def _read_duration(self, container: InputContainer, stream: VideoStream) -> None:
        """Read the duration that the file states."""
        if self._format == "avi" and stream.frames:  # FFmpeg reduces the duration to that of the bytes that are there
            self.duration = self._stated_end = float(stream.frames * (stream.time_base or 1 / self._fps))
        elif stream.duration and stream.time_base:
            self.duration = float(stream.duration * stream.time_base)
            began = float((stream.start_time or 0) * stream.time_base) - self._start
            self._stated_end = self.duration + max(began, 0.0)
        else:
            start = self._start if "matroska" in self._format else 0.0  # its durations are times of the end
            clock = stream.metadata.get("DURATION", "").split(":")  # of Matroska, hours:minutes:seconds
            seconds, self._is_of_video = (container.duration or 0) / 1_000_000, False
            with suppress(ValueError):
                h, m, s = map(float, clock)
                seconds, self._is_of_video = 3600 * h + 60 * m + s, True
            if seconds > start:
                self.duration = self._stated_end = seconds - start


def _zeros(codec: str, extradata: bytes) -> re.Pattern[bytes] | None:
    """Return a pattern of zero bytes that a codec does not have within a packet; None if it may have any number."""
    if codec not in _ZEROS:
        return None
    # Without lengths of units (the first byte of `extradata` is 1), zeros may stand before each start code 00 00 01.
    has_start_codes = codec in _STRICT and extradata[:1] != b"\1"
    return re.compile(rb"\0{%d}\0*%s" % (_ZEROS[codec], rb"[^\0\1]" if has_start_codes else rb"[^\0]"))
