"""The audio track of a video, copied or encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import VideoError
from mien.recognition.video.reader import open_input, pyav

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet as AnyPacket

    Packet = AnyPacket[AudioStream]

FALLBACK_CODEC = "aac"  # what sound becomes that the new file's format cannot hold
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class Sound:
    """All sound tracks of a file, read beside its images so that nothing must be held back for them."""

    def __init__(self, source: Path, out: OutputContainer) -> None:
        """Give `out` a track for each of those in `source`; before anything is written to it.

        Raises:
            VideoError: `source` cannot be read.
        """
        self._in, self._out = open_input(source), out
        self._start = (self._in.start_time or 0) / 1_000_000
        tracks = [s for s in self._in.streams.audio if s.codec_context is not None and s.time_base]
        self._ways: dict[int, Callable[[Packet], list[Packet]]] = {s.index: self._way(s) for s in tracks}
        self._packets: Iterator[AnyPacket[Any]] = self._in.demux(*tracks) if tracks else iter(())
        self._from_zero = out.format.name == "matroska"
        self._next: Packet | None = None
        self._going = bool(tracks)

    def until(self, seconds: float) -> None:
        """Write what sounds before `seconds`, counted from the beginning of the file."""
        while self._going:
            if self._next is None and not self._fetch():
                return
            packet = self._next
            if packet is None or self._time(packet) >= seconds:
                return
            self._next = None
            # An encoder's run-up has a time below 0, for which Matroska would set back all else.
            if self._time(packet) >= 0 or not self._from_zero:
                self._out.mux(self._ways[packet.stream.index](packet))

    def close(self) -> None:
        """Close the source; sound that waits in an encoder is written first."""
        for way in self._ways.values():
            if isinstance(way, _Encoder):
                self._out.mux(way.rest())
        self._in.close()

    def _fetch(self) -> bool:
        """Whether there is another packet; a file that breaks off has none, and the images tell of it."""
        try:
            self._next = next((p for p in self._packets if p.dts is not None and p.pts is not None), None)
        except pyav().error.FFmpegError:
            self._next = None
        self._going = self._next is not None
        return self._going

    def _time(self, packet: Packet) -> float:
        return float((packet.pts or 0) * (packet.time_base or 0)) - self._start

    def _way(self, track: AudioStream) -> Callable[[Packet], list[Packet]]:
        shift = round(self._start / track.time_base) if track.time_base else 0
        if track.codec_context.codec.name not in self._out.supported_codecs:
            return _Encoder(track, self._out, shift)
        to = self._out.add_stream_from_template(track)

        def copy(packet: Packet) -> list[Packet]:
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = to
            return [packet]

        return copy


class _Encoder:
    """Sound decoded and encoded as AAC."""

    def __init__(self, track: AudioStream, out: OutputContainer, shift: int) -> None:
        av = pyav()
        wanted = track.codec_context.sample_rate
        rate = min(_AAC_RATES, key=lambda r: abs(r - wanted))
        layout = "mono" if track.codec_context.channels == 1 else "stereo"
        to: Any = out.add_stream(FALLBACK_CODEC, rate=rate)
        to.layout = layout
        self._to = to
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._shift = shift

    def __call__(self, packet: Packet) -> list[Packet]:
        try:
            frames = packet.decode()
        except pyav().error.FFmpegError:  # a damaged packet: a moment of silence
            return []
        made = []
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= self._shift
            for part in self._resampler.resample(frame):
                made += self._to.encode(part)
        return made

    def rest(self) -> list[Packet]:
        """What is left in resampler and encoder."""
        left = [p for part in self._resampler.resample(None) for p in self._to.encode(part)]
        return left + list(self._to.encode(None))


def check_different(source: Path, path: Path) -> None:
    """`VideoError` where the file to write is the one to read."""
    if path.exists() and path.samefile(source):
        raise VideoError(f"{path} is the video itself; write to another file")
