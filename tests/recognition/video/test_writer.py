"""Writing videos: H.264, frame times, audio, and complete files after errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import videos
from mien.errors import VideoError
from mien.recognition.video.reader import VideoReader
from mien.recognition.video.writer import VideoWriter


def scene(i: int = 0, height: int = 96, width: int = 128) -> videos.Pixels:
    frame = np.full((height, width, 3), 90, np.uint8)
    frame[20:40, i % 80 : 20 + i % 80] = (0, 200, 255)
    return frame


def copy_video(source: Path, out: Path, frames: int | None = None) -> Path:
    """Copy the first `frames` frames of `source` with its audio."""
    with VideoReader(source) as reader, VideoWriter(out, audio_from=source, fps=reader.fps) as writer:
        for frame in reader.read_frames():
            if frames is not None and frame.index >= frames:
                break
            writer.write(frame.image_HW3, frame.time, frame.duration)
    return out


def probe(path: Path) -> dict[str, Any]:
    """Return codec, times and audio of a file."""
    with av.open(str(path)) as file:
        images = file.streams.video[0]
        found = {"codec": images.codec_context.name, "format": images.codec_context.pix_fmt}
        found["times"] = [frame.time for frame in file.decode(images)]
        found["audio"] = [track.codec_context.name for track in file.streams.audio]
    if found["audio"]:
        with av.open(str(path)) as file:
            track = file.streams.audio[0]
            parts = [frame.to_ndarray().astype(np.float64) for frame in file.decode(track)]
            wave = np.concatenate([part.reshape(-1) for part in parts])
            found["seconds"] = len(wave) / track.codec_context.sample_rate
            found["hertz"] = np.abs(np.fft.rfft(wave)).argmax() / found["seconds"]
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_writer_keeps_frame_times_and_audio(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.30, 0.31, 0.5, 0.9, 0.94]
    source = videos.write(tmp_path / "a.mp4", scene, times)
    found = probe(copy_video(source, tmp_path / f"b{suffix}"))
    assert (found["codec"], found["format"], found["audio"]) == ("h264", "yuv420p", ["aac"])
    assert found["times"] == pytest.approx(times, abs=2e-3)
    assert found["seconds"] == pytest.approx(0.98, abs=0.08)
    assert found["hertz"] == pytest.approx(440, abs=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", f"b{suffix}"]


def test_writer_keeps_duration_of_last_frame(tmp_path: Path) -> None:
    source = videos.write(tmp_path / "a.mp4", scene, videos.times(10), audio=None)
    with VideoReader(copy_video(source, tmp_path / "b.mp4")) as reader:
        assert reader.duration == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(("kind", "codec", "becomes"), [("a.mkv", "libopus", "opus"), ("a.mkv", "wavpack", "aac")])
def test_writer_copies_or_encodes_audio(tmp_path: Path, kind: str, codec: str, becomes: str) -> None:
    source = videos.write(tmp_path / kind, scene, videos.times(40), audio=codec)
    found = probe(copy_video(source, tmp_path / "b.mp4"))
    assert found["audio"] == [becomes]
    assert found["seconds"] == pytest.approx(1.6, abs=0.1)
    assert found["hertz"] == pytest.approx(440, abs=5)


def test_writer_without_audio(tmp_path: Path) -> None:
    source = videos.write(tmp_path / "a.mp4", scene, videos.times(5), audio=None)
    assert probe(copy_video(source, tmp_path / "b.mp4"))["audio"] == []


def test_writer_transport_stream_starts_at_0(tmp_path: Path) -> None:
    source = videos.write(tmp_path / "a.ts", scene, videos.times(25))
    found = probe(copy_video(source, tmp_path / "b.mp4"))
    assert found["times"][0] < 0.05
    assert found["seconds"] == pytest.approx(1.0, abs=0.1)


def test_writer_stopped_early_cuts_audio(tmp_path: Path) -> None:
    source = videos.write(tmp_path / "a.mp4", scene, videos.times(50))
    found = probe(copy_video(source, tmp_path / "b.mp4", frames=20))
    assert len(found["times"]) == 20
    assert found["seconds"] == pytest.approx(0.8, abs=0.08)


def test_writer_after_error_file_is_complete(tmp_path: Path) -> None:
    def broken() -> None:
        with VideoWriter(tmp_path / "b.mp4") as writer:
            for i in range(5):
                writer.write(scene(i), i / 25, 0.04)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert len(probe(tmp_path / "b.mp4")["times"]) == 5


def test_writer_without_frames_writes_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writer_odd_and_other_sizes(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4") as writer:
        writer.write(scene(0, 97, 129), 0.0, 0.04)
        writer.write(scene(0, 200, 258), 0.04, 0.04)
        writer.write(scene(0, 96, 128), 0.04, 0.04)  # a time that does not increase
    with VideoReader(tmp_path / "b.mp4") as reader:
        frames = list(reader.read_frames())
    assert [frame.image_HW3.shape for frame in frames] == [(96, 128, 3)] * 3
    assert frames[1].time < frames[2].time < 0.05


def test_writer_keeps_colors(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4") as writer:
        writer.write(scene(30), 0.0, 0.04)
    with VideoReader(tmp_path / "b.mp4") as reader:
        (frame,) = reader.read_frames()
    assert np.abs(frame.image_HW3.astype(int) - scene(30)).mean() < 5


def test_writer_wrong_path_raises_at_once(tmp_path: Path) -> None:
    source = videos.write(tmp_path / "a.mp4", scene, videos.times(3))
    before = source.read_bytes()
    (tmp_path / "file").touch()
    for path, error in [
        (tmp_path / "b.gif", "b.gif: unsupported video suffix; use one of .mp4, .m4v, .mov, .mkv"),
        (source, "it is the input video"),
        (tmp_path / "file" / "b.mp4", "cannot write .*b.mp4: "),
    ]:
        with pytest.raises(VideoError, match=error):
            VideoWriter(path, audio_from=source)
    assert source.read_bytes() == before


def test_writer_interrupted_init_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.recognition.video.writer.BackgroundWorker", interrupted)
    with pytest.raises(KeyboardInterrupt):
        VideoWriter(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
