"""Damaged and truncated videos have a note with the time; unusual but complete ones have none."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import videos
from mien.errors import VideoError
from mien.recognition.video.reader import VideoReader
from mien.recognition.video.structure import find_break, lacks_index

SECONDS = 3.0
FAST = {"libvpx": {"deadline": "realtime", "cpu-used": "8"}, "libx264": {"preset": "veryfast"}}
KINDS = {  # name -> video codec, audio codec, options
    "front.mp4": ("libx264", "aac", {"movflags": "faststart"}),
    "end.mp4": ("libx264", "aac", {}),
    "fragments.mp4": ("libx264", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mkv": ("libx264", "aac", {}),
    "a.webm": ("libvpx", "libopus", {}),
    "live.webm": ("libvpx", "libopus", {"live": "1"}),
    "a.avi": ("mpeg4", "mp2", {}),
    "a.ts": ("libx264", "aac", {}),
    "a.flv": ("libx264", "aac", {}),
    "a.wmv": ("wmv2", None, {}),
}


def scene(i: int) -> videos.Pixels:
    return videos.frame(160, 120, (0.3 + 0.004 * i, 0.5, 0.4, 1.0))


def write(path: Path, codec: str, audio: str | None, options: dict[str, str]) -> Path:
    """Write three seconds with a keyframe each second, audio and video alternating."""
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream(codec, rate=25, options={"g": "25", "keyint_min": "25", **FAST.get(codec, {})})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        track = videos.add_audio_track(out, audio) if audio else None
        for second in range(3):
            for i in range(25 * second, 25 * second + 25):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(scene(i), format="bgr24")))
        out.mux(stream.encode(None))
        if track is not None:
            videos.write_sine(out, track, SECONDS)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder, contents = tmp_path_factory.mktemp("whole"), {}

    def content(name: str) -> bytes:
        if name not in contents:
            contents[name] = write(folder / name, *KINDS[name]).read_bytes()
        return contents[name]

    return content


def read(path: Path, data: bytes | None = None) -> tuple[float, list[str]]:
    """Return the end of the last frame and the notes."""
    with VideoReader(path, data) as reader:
        frames = list(reader.read_frames())
    return frames[-1].time + frames[-1].duration, reader.notes


def seconds_of(note: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d", note.split(": ", 1)[1])]


def remux(source: Path, path: Path, keep: Callable[[int], bool], shift: int = 0) -> Path:
    """Copy the packets of a video whose number `keep` accepts, `shift` ticks later."""
    with av.open(str(source)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        packets = [packet for packet in file.demux(video=0) if packet.size]
        for packet in (packet for i, packet in enumerate(packets) if keep(i)):
            packet.stream, packet.pts, packet.dts = stream, packet.pts + shift, packet.dts + shift
            out.mux(packet)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_complete_video_has_no_note(tmp_path: Path, whole: Callable[[str], bytes], name: str) -> None:
    (tmp_path / name).write_bytes(whole(name))
    end, notes = read(tmp_path / name)
    assert notes == []
    assert end == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("share", [0.6, 0.9])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "end.mp4"])
def test_truncated_video_note_gives_the_time(
    tmp_path: Path, whole: Callable[[str], bytes], name: str, share: float
) -> None:
    data = whole(name)
    length = round(share * len(data))
    if name == "a.ts":  # between two packets of the stream, a file may end
        length = length // 188 * 188 + 100
    (tmp_path / name).write_bytes(data[:length])
    end, notes = read(tmp_path / name)
    (note,) = notes
    assert note.startswith(f"{name}: truncated video, it ends after ")
    assert seconds_of(note)[0] == pytest.approx(end, abs=0.051)
    assert end < SECONDS + 0.1
    if name in ("front.mp4", "a.mkv", "a.webm", "a.avi"):
        assert "of 3.0 seconds" in note


@pytest.mark.parametrize("name", ["front.mp4", "a.mkv", "live.webm", "a.ts"])
def test_truncated_upload_has_note(whole: Callable[[str], bytes], name: str) -> None:
    (note,) = read(Path(name), whole(name)[: len(whole(name)) // 2])[1]
    assert note.startswith(f"{name}: truncated video, it ends after ")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_truncated_mp4_without_index_names_the_cause(
    tmp_path: Path, whole: Callable[[str], bytes], share: float
) -> None:
    data = whole("end.mp4")
    (tmp_path / "end.mp4").write_bytes(data[: round(share * len(data))])
    with pytest.raises(VideoError, match=r"truncated video; its index \(moov\), which is written last, is missing"):
        read(tmp_path / "end.mp4")


@pytest.mark.parametrize("how", ["flipped", "zero", "lost"])
@pytest.mark.parametrize(
    "name", ["front.mp4", "end.mp4", "fragments.mp4", "a.mkv", "live.webm", "a.avi", "a.ts", "a.flv"]
)
def test_damaged_video_note_gives_the_times(tmp_path: Path, whole: Callable[[str], bytes], name: str, how: str) -> None:
    """A twentieth of the bytes, within the second of three seconds, as far as bytes are spread evenly."""
    data, path = bytearray(whole(name)), tmp_path / name
    path.write_bytes(data)
    with av.open(str(path)) as file:
        at = [packet.pos for packet in file.demux(video=0) if packet.size]
    first, last = at[35], at[35] + len(data) // 20
    changed = {"flipped": bytes(b ^ 0x5A for b in data[first:last]), "zero": bytes(last - first), "lost": b""}[how]
    data[first:last] = changed
    path.write_bytes(data)
    if how == "lost" and name == "end.mp4":  # the index is at another place, but within the file
        with pytest.raises(VideoError, match="index"):
            read(path)
        return
    notes = read(path)[1]
    assert notes
    assert all(note.startswith(f"{name}: ") for note in notes)
    began = min(seconds_of(note)[0] for note in notes)
    assert 0.9 <= began <= 1.7, notes


def test_damaged_keyframe_lasts_until_the_next(tmp_path: Path, whole: Callable[[str], bytes]) -> None:
    data, path = bytearray(whole("front.mp4")), tmp_path / "front.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as file:
        key = [packet for packet in file.demux(video=0) if packet.is_keyframe][1]
    data[key.pos : key.pos + key.size] = bytes(key.size)
    path.write_bytes(data)
    assert read(path)[1] == ["front.mp4: damaged video, frames from 1.0 to 2.0 seconds are damaged or missing"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_video_without_first_keyframe_has_note(tmp_path: Path, whole: Callable[[str], bytes], suffix: str) -> None:
    (tmp_path / "a.mp4").write_bytes(whole("front.mp4"))
    path = remux(tmp_path / "a.mp4", tmp_path / f"b{suffix}", lambda i: i >= 10)
    assert read(path)[1] == [f"b{suffix}: damaged video, frames from 0.0 to 0.6 seconds are damaged or missing"]


def test_video_with_fewer_frames_than_stated_has_note(tmp_path: Path, whole: Callable[[str], bytes]) -> None:
    """The header of an AVI file states its number of frames; here it says 100 for 75."""
    data = bytearray(whole("a.avi"))
    at = data.index(b"vids") + 32
    assert data[at : at + 4] == (75).to_bytes(4, "little")
    data[at : at + 4] = (100).to_bytes(4, "little")
    (tmp_path / "a.avi").write_bytes(data)
    (note,) = read(tmp_path / "a.avi")[1]
    assert "ends after 3.0 of 4.0 seconds" in note


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts"])
def test_variable_frame_rate_has_no_note(tmp_path: Path, suffix: str) -> None:
    codec, ticks = ("libvpx", 1000) if suffix == ".webm" else ("libx264", 90_000)
    times = [0.0, 0.04, 0.08, 1.5, 1.54, 4.0, 4.04, 9.0]
    path = videos.write(tmp_path / f"a{suffix}", scene, times, audio=None, codec=codec, ticks=ticks)
    assert read(path)[1] == []


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_late_start_has_no_note(tmp_path: Path, whole: Callable[[str], bytes], suffix: str) -> None:
    (tmp_path / "a.mp4").write_bytes(whole("front.mp4"))
    path = remux(tmp_path / "a.mp4", tmp_path / f"b{suffix}", lambda i: True, shift=1_280_000)  # 100 seconds
    end, notes = read(path)
    assert notes == []
    if suffix != ".mp4":  # FFmpeg versions differ in whether its edit list delays the first frame
        assert end == pytest.approx(SECONDS, abs=0.1)
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".flv"])
def test_audio_longer_than_video_has_no_note(tmp_path: Path, suffix: str) -> None:
    with av.open(str(tmp_path / f"a{suffix}"), "w") as out:
        stream = out.add_stream("mpeg4" if suffix == ".avi" else "libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        track = videos.add_audio_track(out, "mp2" if suffix == ".avi" else "aac")
        for i in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(scene(i), format="bgr24")))
        out.mux(stream.encode(None))
        videos.write_sine(out, track, 4.0)
    assert read(tmp_path / f"a{suffix}")[1] == []


def test_truncated_seek_index_is_harmless(tmp_path: Path, whole: Callable[[str], bytes]) -> None:
    """The index of an AVI file, which is at its end, is for seeking only."""
    (tmp_path / "a.avi").write_bytes(whole("a.avi")[:-100])
    assert read(tmp_path / "a.avi")[1] == []


def test_joined_transport_streams_have_no_note(tmp_path: Path, whole: Callable[[str], bytes]) -> None:
    """The counters of the second one begin again."""
    (tmp_path / "a.ts").write_bytes(2 * whole("a.ts"))
    assert read(tmp_path / "a.ts")[1] == []


@pytest.mark.parametrize("name", ["front.mp4", "a.mkv", "a.avi", "a.flv"])
def test_bytes_after_the_end_have_no_note(tmp_path: Path, whole: Callable[[str], bytes], name: str) -> None:
    (tmp_path / name).write_bytes(whole(name) + np.random.default_rng(0).bytes(500))
    assert read(tmp_path / name)[1] == []


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_zeros_before_start_codes_have_no_note(tmp_path: Path, codec: str) -> None:
    """Annex B of H.264 and HEVC allows any number (trailing_zero_8bits)."""
    path, name = tmp_path / f"a.{codec}", {"h264": "libx264", "hevc": "libx265"}[codec]
    options = {"x265-params": "log-level=none"} if codec == "hevc" else {"x264-params": "slices=2"}
    with av.open(str(path), "w", format=codec) as out:
        stream = out.add_stream(name, rate=25, options={"g": "12", "preset": "ultrafast", **options})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(scene(i), format="bgr24")))
        out.mux(stream.encode(None))
    path.write_bytes(re.sub(rb"\x00{2,3}\x01", bytes(101) + b"\0\0\1", path.read_bytes()))
    with VideoReader(path) as reader:
        assert len(list(reader.read_frames())) == 20
    assert reader.notes == []


def test_lost_audio_packet_has_no_note(tmp_path: Path) -> None:
    data = write(tmp_path / "a.ts", "libx264", "mp2", {}).read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    audio = [i for i, p in enumerate(packets) if (p[1] & 0x1F) << 8 | p[2] == 0x101]
    is_start = [bool(packets[i][1] & 0x40) for i in audio]
    within = [i for i, begins, ends in zip(audio, is_start, is_start[1:], strict=False) if not begins and not ends]
    del packets[within[len(within) // 2]]
    (tmp_path / "a.ts").write_bytes(b"".join(packets))
    end, notes = read(tmp_path / "a.ts")
    assert notes == []
    assert end == pytest.approx(SECONDS, abs=0.1)


def test_file_deleted_while_it_is_read_is_no_error(tmp_path: Path, whole: Callable[[str], bytes]) -> None:
    (tmp_path / "a.mkv").write_bytes(whole("a.mkv"))
    with VideoReader(tmp_path / "a.mkv") as reader:
        frames = reader.read_frames()
        next(frames)
        (tmp_path / "a.mkv").rename(tmp_path / "b.mkv")
        assert len(list(frames)) == 74
    assert reader.notes == []


class CountingFile(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        self.reads += 1
        return super().read(size)


UNKNOWN = b"\x01" + b"\xff" * 7
TINY_PARTS = {
    "matroska": (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67" + UNKNOWN + b"\x1f\x43\xb6\x75" + UNKNOWN, b"\xec\x80"),
    "mp4": (b"", b"\0\0\0\x08free"),
    "avi": (b"", b"JUNK\0\0\0\0"),
}


@pytest.mark.parametrize("container", TINY_PARTS)
def test_too_many_parts_are_not_all_read(container: str) -> None:
    head, part = TINY_PARTS[container]
    file = CountingFile(head + part * 150_000)
    assert find_break(file, container) is None
    assert file.reads <= 100_000 + len(file.getvalue()) // 256
    file.reads = 0
    assert not lacks_index(file)
    assert file.reads <= 100_000 + len(file.getvalue()) // 256
    file.reads = 0
    assert find_break(file, container, stop=lambda: file.reads >= 5) is None
    assert file.reads == 5
