"""Videos that are written: H.264, every frame at its time, the sound kept, whole whatever ended them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import clips
from mien.errors import VideoError
from mien.recognition.video.reader import VideoReader
from mien.recognition.video.writer import VideoWriter


def scene(i: int = 0, high: int = 96, wide: int = 128) -> clips.Pixels:
    frame = np.full((high, wide, 3), 90, np.uint8)
    frame[20:40, i % 80 : 20 + i % 80] = (0, 200, 255)
    return frame


def copied(source: Path, out: Path, frames: int | None = None) -> Path:
    """The first `frames` frames of `source`, with its sound."""
    with VideoReader(source) as clip, VideoWriter(out, audio_from=source, rate=clip.rate) as film:
        for shot in clip.shots():
            if frames is not None and shot.index >= frames:
                break
            film.write(shot.image_HW3, shot.time, shot.lasts)
    return out


def told(path: Path) -> dict[str, Any]:
    """What PyAV finds in a file."""
    with av.open(str(path)) as file:
        images = file.streams.video[0]
        found = {"codec": images.codec_context.name, "format": images.codec_context.pix_fmt}
        found["times"] = [frame.time for frame in file.decode(images)]
        found["sounds"] = [track.codec_context.name for track in file.streams.audio]
    if found["sounds"]:
        with av.open(str(path)) as file:
            track = file.streams.audio[0]
            heard = [frame.to_ndarray().astype(np.float64) for frame in file.decode(track)]
            wave = np.concatenate([part.reshape(-1) for part in heard])
            found["seconds"] = len(wave) / track.codec_context.sample_rate
            found["hertz"] = np.abs(np.fft.rfft(wave)).argmax() / found["seconds"]
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_frames_times_and_sound_are_kept(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.30, 0.31, 0.5, 0.9, 0.94]
    source = clips.make(tmp_path / "a.mp4", scene, times)
    found = told(copied(source, tmp_path / f"b{suffix}"))
    assert (found["codec"], found["format"], found["sounds"]) == ("h264", "yuv420p", ["aac"])
    assert found["times"] == pytest.approx(times, abs=2e-3)
    assert found["seconds"] == pytest.approx(0.98, abs=0.08)
    assert found["hertz"] == pytest.approx(440, abs=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", f"b{suffix}"]


def test_the_last_frame_lasts_as_long_as_it_did(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.mp4", scene, clips.even(10), sound=None)
    with VideoReader(copied(source, tmp_path / "b.mp4")) as clip:
        assert clip.seconds == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(("kind", "codec", "becomes"), [("a.mkv", "libopus", "opus"), ("a.mkv", "wavpack", "aac")])
def test_sound_is_copied_where_it_fits_and_else_encoded(tmp_path: Path, kind: str, codec: str, becomes: str) -> None:
    source = clips.make(tmp_path / kind, scene, clips.even(40), sound=codec)
    found = told(copied(source, tmp_path / "b.mp4"))
    assert found["sounds"] == [becomes]
    assert found["seconds"] == pytest.approx(1.6, abs=0.1)
    assert found["hertz"] == pytest.approx(440, abs=5)


def test_a_silent_video_stays_silent(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.mp4", scene, clips.even(5), sound=None)
    assert told(copied(source, tmp_path / "b.mp4"))["sounds"] == []


def test_a_transport_stream_becomes_an_mp4_from_0_on(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.ts", scene, clips.even(25))
    found = told(copied(source, tmp_path / "b.mp4"))
    assert found["times"][0] < 0.05
    assert found["seconds"] == pytest.approx(1.0, abs=0.1)


def test_what_ends_early_is_whole_and_its_sound_ends_with_it(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.mp4", scene, clips.even(50))
    found = told(copied(source, tmp_path / "b.mp4", frames=20))
    assert len(found["times"]) == 20
    assert found["seconds"] == pytest.approx(0.8, abs=0.08)


def test_an_error_within_leaves_a_whole_file(tmp_path: Path) -> None:
    def broken() -> None:
        with VideoWriter(tmp_path / "b.mp4") as film:
            for i in range(5):
                film.write(scene(i), i / 25, 0.04)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert len(told(tmp_path / "b.mp4")["times"]) == 5


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_odd_sides_lose_a_row_and_other_sizes_are_scaled(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4") as film:
        film.write(scene(0, 97, 129), 0.0, 0.04)
        film.write(scene(0, 200, 258), 0.04, 0.04)
        film.write(scene(0, 96, 128), 0.04, 0.04)  # and a time that does not rise
    with VideoReader(tmp_path / "b.mp4") as clip:
        shots = list(clip.shots())
    assert [shot.image_HW3.shape for shot in shots] == [(96, 128, 3)] * 3
    assert shots[1].time < shots[2].time < 0.05


def test_colors_stay(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "b.mp4") as film:
        film.write(scene(30), 0.0, 0.04)
    with VideoReader(tmp_path / "b.mp4") as clip:
        (shot,) = clip.shots()
    assert np.abs(shot.image_HW3.astype(int) - scene(30)).mean() < 5


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.mp4", scene, clips.even(3))
    before = source.read_bytes()
    (tmp_path / "file").touch()
    for path, error in [
        (tmp_path / "b.gif", "is written as one of .mp4, .m4v, .mov, .mkv, not b.gif"),
        (source, "is the video itself"),
        (tmp_path / "file" / "b.mp4", "cannot write .*b.mp4: "),
    ]:
        with pytest.raises(VideoError, match=error):
            VideoWriter(path, audio_from=source)
    assert source.read_bytes() == before


def test_an_interrupt_before_it_is_entered_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.recognition.video.writer.BackgroundWorker", interrupted)
    with pytest.raises(KeyboardInterrupt):
        VideoWriter(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
