"""Videos as images and times: turned, at any frame rate, cut off, damaged, or no videos at all."""

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

import clips
from mien.errors import VideoError
from mien.recognition.prefetch import prefetch
from mien.recognition.video.reader import Frame, VideoReader

# What an iPhone that is held upright writes into a track's header: turn clockwise by 90 degrees.
UPRIGHT = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30))
AS_IT_IS = b"".join(n.to_bytes(4, "big", signed=True) for n in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
NOISE = np.random.default_rng(0).bytes(3000)  # always the same: of other noise FFmpeg may make a film of no images


def corner(i: int = 0) -> clips.Pixels:
    """Grey, with blue in the upper left corner."""
    frame = np.full((96, 128, 3), 90, np.uint8)
    frame[:32, :32] = (255, 0, 0)
    frame[60:80, 20 + i : 40 + i] = 200
    return frame


def read(path: Path, every: int = 1) -> tuple[list[Frame], list[str]]:
    with VideoReader(path) as clip:
        return list(clip.shots(every)), clip.notes


def where_blue(image_HW3: clips.Pixels) -> str:
    """In which corner the blue lies."""
    blue_HW = image_HW3[:, :, 0].astype(int) - image_HW3[:, :, 2] > 100
    down, along = (index.mean() for index in np.nonzero(blue_HW))
    high, wide = blue_HW.shape
    return ("top " if down < high / 2 else "bottom ") + ("left" if along < wide / 2 else "right")


def test_images_and_times_come_as_they_were_written(tmp_path: Path) -> None:
    shots, notes = read(clips.make(tmp_path / "a.mp4", corner, clips.even(20)))
    assert [shot.index for shot in shots] == list(range(20))
    assert [shot.time for shot in shots] == pytest.approx(clips.even(20), abs=1e-4)
    assert [shot.lasts for shot in shots] == pytest.approx([0.04] * 20, abs=1e-3)
    assert notes == []
    assert shots[3].image_HW3.dtype == np.uint8
    assert np.abs(shots[3].image_HW3.astype(int) - corner(3)).mean() < 6  # H.264 loses a little


def test_a_file_may_be_closed_while_a_thread_decodes_it(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", corner, clips.even(60))
    for _ in range(20):
        with VideoReader(path) as clip:
            shots = prefetch(clip.shots())
            first = next(shots)
        assert first.index == 0
        assert len(list(shots)) < 59
        assert clip.notes == []


def test_nothing_more_is_decoded_once_that_is_told(tmp_path: Path) -> None:
    film, stop = clips.make(tmp_path / "a.mp4", lambda i: clips.still(64, 48), clips.even(60), sound=None), Event()
    with VideoReader(film, stop=stop) as clip:
        decoded, shots = [], clip.shots(every=50)
        clip._decoded = lambda: (decoded.append(frame) or frame for frame in VideoReader._decoded(clip))  # type: ignore[method-assign,func-returns-value]
        next(shots)
        stop.set()
        assert list(shots) == []
    assert len(decoded) <= 2


def test_every_so_manyth_frame(tmp_path: Path) -> None:
    shots, _ = read(clips.make(tmp_path / "a.mp4", corner, clips.even(20)), every=7)
    assert [(shot.index, round(shot.time, 3)) for shot in shots] == [(0, 0.0), (7, 0.28), (14, 0.56)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_uneven_frame_rate_keeps_its_times(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.30, 0.31, 0.5, 0.9, 0.94]
    shots, _ = read(clips.make(tmp_path / f"a{suffix}", corner, times, sound=None))
    assert [shot.time for shot in shots] == pytest.approx(times, abs=2e-3)


def test_a_file_that_begins_late_begins_at_0(tmp_path: Path) -> None:
    """A transport stream counts from 1.4 seconds."""
    shots, _ = read(clips.make(tmp_path / "a.ts", corner, clips.even(10), sound=None))
    assert [shot.time for shot in shots] == pytest.approx(clips.even(10), abs=1e-3)


def test_a_raw_stream_without_times_has_its_rate(tmp_path: Path) -> None:
    shots, _ = read(clips.make(tmp_path / "a.h264", corner, clips.even(10), sound=None))
    assert [shot.time for shot in shots] == pytest.approx(clips.even(10), abs=1e-3)


@pytest.mark.parametrize(("turned", "where"), [(90, "bottom left"), (180, "bottom right"), (-90, "top right")])
def test_a_display_matrix_turns_the_images(tmp_path: Path, turned: int, where: str) -> None:
    """Degrees anticlockwise, as ffmpeg counts."""
    shots, _ = read(clips.make(tmp_path / "a.mp4", corner, clips.even(3), turned=turned))
    assert where_blue(shots[0].image_HW3) == where
    assert shots[0].image_HW3.shape[:2] == ((96, 128) if turned == 180 else (128, 96))


def test_what_a_telephone_writes_comes_out_upright(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", corner, clips.even(3), sound=None)
    data = path.read_bytes()
    at = data.index(AS_IT_IS, data.index(b"tkhd"))
    path.write_bytes(data[:at] + UPRIGHT + data[at + len(UPRIGHT) :])
    shots, _ = read(path)
    assert where_blue(shots[0].image_HW3) == "top right"


def test_pixels_are_made_square(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 90, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(2):
            squeezed = cv2.resize(corner(), (90, 96))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(squeezed, np.uint8), format="bgr24")))
        out.mux(stream.encode(None))
    shots, _ = read(path)
    assert shots[0].image_HW3.shape == (96, 120, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_that_breaks_off_is_read_up_to_there(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}  # the index first, as on the web
    path = clips.make(tmp_path / f"a{suffix}", corner, clips.even(75), options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    shots, notes = read(path)
    assert 5 < len(shots) < 70
    (note,) = notes
    assert "breaks off after" in note
    assert "of 3.0 seconds" in note


def test_damage_in_the_middle_is_told_and_the_rest_read(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", corner, clips.even(50), sound=None)
    data = bytearray(path.read_bytes())
    begins = data.index(b"mdat")
    for at in range(begins + (len(data) - begins) // 4, begins + (len(data) - begins) // 2, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    shots, notes = read(path)
    assert 10 < len(shots) <= 50
    assert any("is damaged" in note for note in notes)


def _nothing(path: Path) -> None:
    """Leaves no file."""


def _cut_before_its_index(path: Path) -> None:
    clips.make(path, corner, clips.even(30))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as out:
        clips.sing(out, clips.tone(out, "aac"), 0.3)


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("a.mp4", _nothing, "there is no file"),
        ("a.mp4", Path.mkdir, "is a folder, not a video"),
        ("a.mp4", Path.touch, "is empty"),
        ("a.mp4", lambda path: path.write_text("this is no video\n" * 50), "is no video that can be read"),
        ("a.txt", lambda path: path.write_text("this is no video\n" * 50), "is text, not a video"),
        ("a.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://a.invalid/b.ts\n"), "video"),
        ("a.mp4", lambda path: path.write_bytes(NOISE), "is no video that can be read"),
        ("a.mp4", _cut_before_its_index, "its end is cut off"),
        ("a.m4a", _sound_alone, "holds nothing but sound"),
    ],
    ids=["none", "folder", "empty", "text", "txt", "list", "noise", "cut", "sound"],
)  # fmt: skip
def test_what_is_no_video_is_told_in_a_sentence(tmp_path: Path, name: str, write: object, told: str) -> None:
    path = tmp_path / name
    write(path)  # type: ignore[operator]
    with pytest.raises(VideoError, match=told) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_looks_like_an_address_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.make(tmp_path / "a.mp4", corner, clips.even(3))
    (tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
    monkeypatch.chdir(tmp_path)
    shots, _ = read(Path("http:a.mp4"))
    assert len(shots) == 3


def test_without_pyav_one_sentence_says_which_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['av'] = None\n"
        "sys.argv = ['mien', 'video', 'a.mp4']\n"
        "from mien.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "needs the extra 'video'. Install it with: pip install 'mien[video]'" in done.stderr


def test_words_of_another_alphabet_are_no_failure(tmp_path: Path) -> None:
    """Old files have titles in Latin-1, which is no UTF-8; here it is the name of what wrote the file."""
    path = clips.make(tmp_path / "a.mp4", corner, clips.even(5))
    assert b"Lavf" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"L\xe4vf"))
    shots, notes = read(path)
    assert len(shots) == 5
    assert not notes
    with VideoReader("it", data=path.read_bytes()) as clip:
        assert len(list(clip.shots())) == 5
