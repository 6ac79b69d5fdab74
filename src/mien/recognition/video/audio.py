"""The audio tracks of a video, copied or encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.recognition.video.container import open_file, pyav

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet as AnyPacket

    Packet = AnyPacket[AudioStream]

FALLBACK_CODEC = "aac"  # of audio that the container format of the new file does not support
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class AudioTracks:
    """All audio tracks of a file, written along with the frames so that nothing must be buffered.

    Args:
        source: Path of the file with the audio.
        out: Container to write to, which gets a track for each of the source; nothing may be written to it before.

    Raises:
        VideoError: The source cannot be read.
    """

    def __init__(self, source: Path, out: OutputContainer) -> None:
        self._in, self._out = open_file(source), out
        self._start = (self._in.start_time or 0) / 1_000_000
        tracks = [s for s in self._in.streams.audio if s.codec_context is not None and s.time_base]
        self._converters: dict[int, Callable[[Packet], list[Packet]]] = {s.index: self._converter(s) for s in tracks}
        self._packets: Iterator[AnyPacket[Any]] = self._in.demux(*tracks) if tracks else iter(())
        self._drop_negative = out.format.name == "matroska"
        self._next: Packet | None = None
        self._more = bool(tracks)

    def write_until(self, seconds: float) -> None:
        """Write the audio before a time, in seconds from the beginning of the file."""
        while self._more:
            if self._next is None and not self._fetch():
                return
            packet = self._next
            if packet is None or self._time(packet) >= seconds:
                return
            self._next = None
            # The priming samples of an encoder have negative times, for which Matroska would shift everything else.
            if self._time(packet) >= 0 or not self._drop_negative:
                self._out.mux(self._converters[packet.stream.index](packet))

    def close(self) -> None:
        """Write the audio that encoders hold back, and close the source."""
        for converter in self._converters.values():
            if isinstance(converter, _Encoder):
                self._out.mux(converter.flush())
        self._in.close()

    def _fetch(self) -> bool:
        """Read the next packet; a truncated file has none, which the video reader reports."""
        try:
            self._next = next((p for p in self._packets if p.dts is not None and p.pts is not None), None)
        except pyav().error.FFmpegError:
            self._next = None
        self._more = self._next is not None
        return self._more

    def _time(self, packet: Packet) -> float:
        return float((packet.pts or 0) * (packet.time_base or 0)) - self._start

    def _converter(self, track: AudioStream) -> Callable[[Packet], list[Packet]]:
        """Return a function that copies or encodes the packets of a track."""
        shift = round(self._start / track.time_base) if track.time_base else 0
        if track.codec_context.codec.name not in self._out.supported_codecs:
            return _Encoder(track, self._out, shift)
        out_track = self._out.add_stream_from_template(track)

        def copy(packet: Packet) -> list[Packet]:
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = out_track
            return [packet]

        return copy


class _Encoder:
    """Audio that is decoded and encoded as AAC."""

    def __init__(self, track: AudioStream, out: OutputContainer, shift: int) -> None:
        av = pyav()
        source_rate = track.codec_context.sample_rate
        rate = min(_AAC_RATES, key=lambda r: abs(r - source_rate))
        layout = "mono" if track.codec_context.channels == 1 else "stereo"
        out_track: Any = out.add_stream(FALLBACK_CODEC, rate=rate)
        out_track.layout = layout
        self._out_track = out_track
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._shift = shift

    def __call__(self, packet: Packet) -> list[Packet]:
        """Return a packet encoded again; a damaged packet becomes a moment of silence."""
        try:
            frames = packet.decode()
        except pyav().error.FFmpegError:
            return []
        packets = []
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= self._shift
            for part in self._resampler.resample(frame):
                packets += self._out_track.encode(part)
        return packets

    def flush(self) -> list[Packet]:
        """Return the packets that resampler and encoder hold back."""
        packets = [p for part in self._resampler.resample(None) for p in self._out_track.encode(part)]
        return packets + list(self._out_track.encode(None))
