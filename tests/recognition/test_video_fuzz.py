"""Generated videos, complete, truncated or with flipped bits: results or a one-line error, and complete files."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mien
import videos
from mien.errors import MienError, VideoError
from mien.recognition import Recognizer, VideoFrame

# The same examples every time: what fails here fails for everyone. They are short already, so none is made simpler.
FUZZ = settings(
    deadline=None, derandomize=True, phases=[Phase.generate], database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
HANGS = 60  # seconds after which one video of half a second counts as endless
KINDS = {  # suffix -> video codec, audio codec, ticks per second
    ".mp4": ("libx264", "aac", 90_000),
    ".mov": ("mpeg4", "aac", 1000),
    ".mkv": ("libx264", "aac", 90_000),
    ".webm": ("libvpx", "libopus", 1000),
    ".ts": ("libx264", "aac", 90_000),
    ".avi": ("mpeg4", "mp2", 1000),
}
TURNING = (".mp4", ".mov", ".mkv", ".webm")  # the others have no word for it
SIDES = (16, 64, 98, 160)  # even, as H.264 wants them


@dataclass(frozen=True)
class Make:
    """What a video is like; `steps` are milliseconds from one frame to the next."""

    kind: str
    width: int
    height: int
    steps: tuple[int, ...]
    turned: int | None
    audio: bool

    @property
    def times(self) -> list[float]:
        return [float(t) / 1000 for t in np.cumsum((0, *self.steps))]


STEPS = st.one_of(  # an even rate, or none
    st.tuples(st.sampled_from((8, 40, 125)), st.integers(0, 9)).map(lambda rate: (rate[0],) * rate[1]),
    st.lists(st.integers(1, 300), max_size=9).map(tuple),
)
MAKES = st.builds(
    Make, st.sampled_from(sorted(KINDS)), st.sampled_from(SIDES), st.sampled_from(SIDES), STEPS,
    st.sampled_from((None, 90, 180, -90)), st.booleans(),
)  # fmt: skip


@cache
def made(make: Make) -> bytes:
    codec, audio, ticks = KINDS[make.kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{make.kind}"
        scene = lambda i: videos.frame(make.width, make.height, (0.5 + 0.01 * i, 0.5, 0.8, 1.0))  # noqa: E731
        options = {"movflags": "faststart"} if make.kind == ".mp4" else {}  # the index first, so that less is lost
        videos.write(
            path,
            scene,
            make.times,
            audio=audio if make.audio else None,
            rotation=make.turned,
            options=options,
            codec=codec,
            ticks=ticks,
        )
        return path.read_bytes()


@dataclass(frozen=True)
class Hurt:
    """A video with bits flipped, and perhaps its end lost.

    A flip is a bit of a byte, counted from the beginning or, where it is below 0, from the end; `end` is a share.
    """

    make: Make
    flips: tuple[tuple[int, int], ...]
    end: float

    @property
    def data(self) -> bytes:
        data = bytearray(made(self.make))
        for at, bit in self.flips:
            data[at % len(data)] ^= 1 << bit
        return bytes(data[: round(self.end * len(data))])


PLACES = st.one_of(st.integers(0, 800), st.integers(-800, -1), st.integers(0, 1 << 20))  # often where headers are
HURT = st.builds(
    Hurt, MAKES, st.lists(st.tuples(PLACES, st.integers(0, 7)), max_size=8).map(tuple),
    st.one_of(st.just(1.0), st.floats(0.05, 1)),
)  # fmt: skip


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return mien.load("nano", threads=1)


@contextmanager
def written(make: Make, data: bytes) -> Iterator[Path]:
    """The video in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{make.kind}"
        path.write_bytes(data)
        yield path


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """A failure instead of a test that never ends."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"no end after {seconds} s")

    usual = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)


@settings(FUZZ, max_examples=25)
@given(MAKES)
def test_complete_video_has_all_frames(reader: Recognizer, make: Make) -> None:
    notes: list[str] = []
    with written(make, made(make)) as path, no_longer_than(HANGS):
        frames = list(reader.analyze_video(path, on_note=notes.append))
    assert notes == []
    assert [frame.index for frame in frames] == list(range(len(make.times)))
    began = frames[0].time  # the audio may begin a little earlier
    assert 0 <= began < 0.1
    assert [frame.time - began for frame in frames] == pytest.approx(make.times, abs=2e-3)
    lies = make.turned in (90, -90) and make.kind in TURNING
    size = (make.height, make.width) if lies else (make.width, make.height)
    assert {(frame.width, frame.height) for frame in frames} == {size}


@settings(FUZZ, max_examples=100)
@given(HURT, st.sampled_from((1, 3)))
def test_damaged_video_has_frames_or_raises(reader: Recognizer, video: Hurt, every: int) -> None:
    frames: list[VideoFrame] = []
    with written(video.make, video.data) as path, no_longer_than(HANGS):
        out, srt = path.with_name("t.jsonl"), path.with_name("t.srt")
        try:
            for frame in reader.analyze_video(path, every=every, out=out, srt=srt, on_note=assert_sentence):
                frames.append(frame)
        except VideoError as error:
            assert_sentence(str(error))
            assert not frames
            assert sorted(path.parent.iterdir()) == [path]
        else:
            rows = [json.loads(line) for line in out.read_text().splitlines()]
            assert frames
            assert rows == [frame.to_dict() for frame in frames]
            assert srt.exists()
    assert all(a.time <= b.time and b.index - a.index == every for a, b in pairwise(frames))
    assert all(np.isfinite(face.probabilities).all() for frame in frames for face in frame.faces)


@settings(FUZZ, max_examples=15)
@given(HURT)
def test_damaged_video_command_exit_codes(video: Hurt) -> None:
    from mien.cli import app

    with written(video.make, video.data) as path, no_longer_than(HANGS):
        out, annotated = path.with_name("t.csv"), path.with_name("t.mkv")
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                code = (
                    app(["video", str(path), "--out", str(out), "--annotate", str(annotated)], standalone_mode=False)
                    or 0
                )
            except MienError as error:
                code = error.exit_code
                assert_sentence(str(error))
        there = sorted(file.name for file in path.parent.iterdir() if file != path)
        assert there == ([] if code == 2 else ["t.csv", "t.mkv"])
        assert (" analyzed\n" in stdout.getvalue()) == (code != 2)
        for line in stderr.getvalue().splitlines():
            assert line.startswith("mien: ")


def assert_sentence(message: str) -> None:
    assert message
    assert "\n" not in message
