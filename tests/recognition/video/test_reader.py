"""Reading videos: rotation, frame rates, truncated and damaged files, and files that are not videos."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

import videos
from mien.errors import VideoError
from mien.recognition.prefetch import prefetch
from mien.recognition.video.reader import Frame, VideoReader

# What an iPhone that is held upright writes into a track's header: turn clockwise by 90 degrees.
ROTATED_90 = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30))
NOT_ROTATED = b"".join(n.to_bytes(4, "big", signed=True) for n in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
NOISE = np.random.default_rng(0).bytes(3000)  # fixed: FFmpeg may take other noise for a video without frames


def corner(i: int = 0) -> videos.Pixels:
    """Return a grey image with a blue square in the upper left corner."""
    frame = np.full((96, 128, 3), 90, np.uint8)
    frame[:32, :32] = (255, 0, 0)
    frame[60:80, 20 + i : 40 + i] = 200
    return frame


def read(path: Path, every: int = 1) -> tuple[list[Frame], list[str]]:
    with VideoReader(path) as reader:
        return list(reader.read_frames(every)), reader.notes


def where_blue(image_HW3: videos.Pixels) -> str:
    """Return the corner of the blue square."""
    blue_HW = image_HW3[:, :, 0].astype(int) - image_HW3[:, :, 2] > 100
    down, along = (index.mean() for index in np.nonzero(blue_HW))
    height, width = blue_HW.shape
    return ("top " if down < height / 2 else "bottom ") + ("left" if along < width / 2 else "right")


def test_read_frames_returns_images_and_times(tmp_path: Path) -> None:
    frames, notes = read(videos.write(tmp_path / "a.mp4", corner, videos.times(20)))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx(videos.times(20), abs=1e-4)
    assert [frame.duration for frame in frames] == pytest.approx([0.04] * 20, abs=1e-3)
    assert notes == []
    assert frames[3].image_HW3.dtype == np.uint8
    assert np.abs(frames[3].image_HW3.astype(int) - corner(3)).mean() < 6  # H.264 loses a little


def test_reader_closed_while_thread_decodes(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", corner, videos.times(60))
    for _ in range(20):
        with VideoReader(path) as reader:
            frames = prefetch(reader.read_frames())
            first = next(frames)
        assert first.index == 0
        assert len(list(frames)) < 59
        assert reader.notes == []


def test_read_frames_stop_event_ends_decoding(tmp_path: Path) -> None:
    path, stop = (
        videos.write(tmp_path / "a.mp4", lambda i: videos.frame(64, 48), videos.times(60), audio=None),
        Event(),
    )
    with VideoReader(path, stop=stop) as reader:
        decoded, frames = [], reader.read_frames(every=50)
        reader._decode = lambda: (decoded.append(frame) or frame for frame in VideoReader._decode(reader))  # type: ignore[method-assign,func-returns-value]
        next(frames)
        stop.set()
        assert list(frames) == []
    assert len(decoded) <= 2


def test_read_frames_every_nth(tmp_path: Path) -> None:
    frames, _ = read(videos.write(tmp_path / "a.mp4", corner, videos.times(20)), every=7)
    assert [(frame.index, round(frame.time, 3)) for frame in frames] == [(0, 0.0), (7, 0.28), (14, 0.56)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_read_frames_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.30, 0.31, 0.5, 0.9, 0.94]
    frames, _ = read(videos.write(tmp_path / f"a{suffix}", corner, times, audio=None))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=2e-3)


def test_read_frames_late_start_begins_at_0(tmp_path: Path) -> None:
    """A transport stream counts from 1.4 seconds."""
    frames, _ = read(videos.write(tmp_path / "a.ts", corner, videos.times(10), audio=None))
    assert [frame.time for frame in frames] == pytest.approx(videos.times(10), abs=1e-3)


def test_read_frames_raw_stream_has_frame_rate(tmp_path: Path) -> None:
    frames, _ = read(videos.write(tmp_path / "a.h264", corner, videos.times(10), audio=None))
    assert [frame.time for frame in frames] == pytest.approx(videos.times(10), abs=1e-3)


@pytest.mark.parametrize(("turned", "where"), [(90, "bottom left"), (180, "bottom right"), (-90, "top right")])
def test_read_frames_applies_display_matrix(tmp_path: Path, turned: int, where: str) -> None:
    """Degrees anticlockwise, as ffmpeg counts."""
    frames, _ = read(videos.write(tmp_path / "a.mp4", corner, videos.times(3), rotation=turned))
    assert where_blue(frames[0].image_HW3) == where
    assert frames[0].image_HW3.shape[:2] == ((96, 128) if turned == 180 else (128, 96))


def test_read_frames_phone_video_is_upright(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", corner, videos.times(3), audio=None)
    data = path.read_bytes()
    at = data.index(NOT_ROTATED, data.index(b"tkhd"))
    path.write_bytes(data[:at] + ROTATED_90 + data[at + len(ROTATED_90) :])
    frames, _ = read(path)
    assert where_blue(frames[0].image_HW3) == "top right"


def test_read_frames_makes_pixels_square(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 90, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(2):
            squeezed = cv2.resize(corner(), (90, 96))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(squeezed, np.uint8), format="bgr24")))
        out.mux(stream.encode(None))
    frames, _ = read(path)
    assert frames[0].image_HW3.shape == (96, 120, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_read_frames_truncated_file_has_note(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}  # the index first, as on the web
    path = videos.write(tmp_path / f"a{suffix}", corner, videos.times(75), options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, notes = read(path)
    assert 5 < len(frames) < 70
    (note,) = notes
    assert "truncated video" in note
    assert "of 3.0 seconds" in note


def test_read_frames_damaged_file_has_note(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", corner, videos.times(50), audio=None)
    data = bytearray(path.read_bytes())
    begins = data.index(b"mdat")
    for at in range(begins + (len(data) - begins) // 4, begins + (len(data) - begins) // 2, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    frames, notes = read(path)
    assert 10 < len(frames) <= 50
    assert any("damaged video" in note for note in notes)


def _write_nothing(path: Path) -> None:
    """Leaves no file."""


def _write_without_index(path: Path) -> None:
    videos.write(path, corner, videos.times(30))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _write_audio_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        videos.write_sine(out, videos.add_audio_track(out, "aac"), 0.3)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.mp4", _write_nothing, "there is no such file"),
        ("a.mp4", Path.mkdir, "is a folder, expected a video file"),
        ("a.mp4", Path.touch, "the file is empty"),
        ("a.mp4", lambda path: path.write_text("this is no video\n" * 50), "not a readable video"),
        ("a.txt", lambda path: path.write_text("this is no video\n" * 50), "is a text file, not a video"),
        ("a.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://a.invalid/b.ts\n"), "video"),
        ("a.mp4", lambda path: path.write_bytes(NOISE), "not a readable video"),
        ("a.mp4", _write_without_index, "truncated video; its index"),
        ("a.m4a", _write_audio_only, "not a video, the file has only audio"),
    ],
    ids=["none", "folder", "empty", "text", "txt", "list", "noise", "cut", "sound"],
)  # fmt: skip
def test_reader_not_a_video_raises(tmp_path: Path, name: str, write: object, message: str) -> None:
    path = tmp_path / name
    write(path)  # type: ignore[operator]
    with pytest.raises(VideoError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_reader_url_like_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos.write(tmp_path / "a.mp4", corner, videos.times(3))
    (tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
    monkeypatch.chdir(tmp_path)
    frames, _ = read(Path("http:a.mp4"))
    assert len(frames) == 3


def test_video_without_pyav_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['av'] = None\n"
        "sys.argv = ['mien', 'video', 'a.mp4']\n"
        "from mien.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "needs the extra 'video'. Install it with: pip install 'mien[video]'" in done.stderr


def test_reader_metadata_not_utf8(tmp_path: Path) -> None:
    """Old files have titles in Latin-1; here the name of the muxer is not valid UTF-8."""
    path = videos.write(tmp_path / "a.mp4", corner, videos.times(5))
    assert b"Lavf" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"L\xe4vf"))
    frames, notes = read(path)
    assert len(frames) == 5
    assert not notes
    with VideoReader("it", data=path.read_bytes()) as reader:
        assert len(list(reader.read_frames())) == 5
