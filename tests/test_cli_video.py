"""`mien video` as people run it: what it writes, what it tells, and how it ends."""

from __future__ import annotations

import csv
import inspect
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest

import clips
from command import MIEN
from mien.cli.video import video
from mien.recognition import Recognizer, load
from waiting import LONGEST, wait_until


def mien(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "video", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})


def scene(i: int) -> clips.Pixels:
    return clips.still(320, 240, (0.4 + 0.003 * i, 0.5, 0.5, 1.0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make(tmp_path_factory.mktemp("clip") / "a.mp4", scene, clips.even(30))


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = clips.make(tmp_path_factory.mktemp("cut") / "cut.mkv", scene, clips.even(50))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_everything_at_once(clip: Path, tmp_path: Path) -> None:
    out, srt, film, drawn = (tmp_path / "new" / name for name in ("t.csv", "t.srt", "b.mp4", "t.png"))
    done = mien(clip, "--annotate", film, "--out", out, "--srt", srt, "--timeline", drawn)
    assert (done.returncode, done.stderr) == (0, "")
    first, _, person, wrote = done.stdout.splitlines()[:4]
    assert first == "1 person in 0:01.2, 30 frames read"
    assert person.split()[:5] == ["1", "1.2", "s", "0:00.0", "0:01.2"]
    assert "happy" in person
    assert wrote.startswith("wrote ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [int(row["frame"]) for row in rows] == list(range(30))
    assert {(row["person"], row["label"]) for row in rows} == {("1", "happy")}
    assert srt.read_text() == "1\n00:00:00,000 --> 00:00:01,200\nPerson 1: happy\n\n"
    assert cv2.imread(str(drawn)) is not None
    with av.open(str(film)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert [s.codec_context.name for s in file.streams.audio] == ["aac"]
        assert float(file.duration / 1e6) == pytest.approx(1.2, abs=0.1)
        assert sum(1 for _ in file.decode(video=0)) == 30
    assert sorted(p.name for p in out.parent.iterdir()) == ["b.mp4", "t.csv", "t.png", "t.srt"]


def test_every_and_min_confidence(clip: Path, tmp_path: Path) -> None:
    done = mien(clip, "--every", "10", "--min-confidence", "1", "--out", tmp_path / "t.jsonl")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert all('"label": "uncertain"' in line for line in lines)


def test_options_are_those_of_the_api() -> None:
    """Each has the name and the default of an argument, but for the model; and none is lacking."""
    ours = {name: one.default for name, one in inspect.signature(video).parameters.items()}
    theirs = inspect.signature(load).parameters | inspect.signature(Recognizer.analyze_video).parameters
    apart = {"name_or_path", "threads", "max_bytes", "self", "path", "on_note"}
    assert {name: one.default for name, one in theirs.items() if name not in apart} == {
        name: default for name, default in ours.items() if name not in ("file", "model")
    }


def test_a_single_frame_is_told_as_one(clip: Path) -> None:
    assert mien(clip, "--every", "99").stdout.splitlines()[0].endswith(", 1 frame read")


def test_a_file_that_breaks_off_ends_with_1_and_keeps_what_was_read(cut_off: Path, tmp_path: Path) -> None:
    done = mien(cut_off, "--out", tmp_path / "t.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("mien: cut.mkv breaks off after ")
    assert done.stderr.count("\n") == 1
    assert "1 person in" in done.stdout
    assert len((tmp_path / "t.csv").read_text().splitlines()) > 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["CLIP", "--max-pixels", "9999"], "has frames of 320 x 240 pixels, above the limit"),
        (["none.mp4"], "there is no file none.mp4"),
        (["CLIP", "--every", "0"], "every is a whole number from 1 on, got 0"),
        (["CLIP", "--model", "none"], "model not found: none"),
        (["CLIP", "--out", "t.xml"], "a timeline is written as one of .csv, .jsonl, .parquet, not t.xml"),
        (["CLIP", "--annotate", "CLIP"], "is the video itself; write to another file"),
        (["CLIP", "--srt", "t.txt"], "subtitles are written as .srt, not t.txt"),
        (["CLIP", "--min-confidence", "7"], "min_confidence must be a number from 0 to 1"),
    ],
)
def test_mistakes_are_a_sentence_and_2(clip: Path, words: list[str], told: str) -> None:
    before = clip.read_bytes()
    done = mien(*(str(clip) if word == "CLIP" else word for word in words))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.startswith("mien: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert clip.read_bytes() == before


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_stopping_keeps_what_was_read(tmp_path: Path, by: signal.Signals) -> None:
    """A long clip, stopped as soon as rows are there."""
    clip = clips.make(tmp_path / "a.mp4", scene, clips.even(400))
    out, film = tmp_path / "t.csv", tmp_path / "b.mp4"
    command = [
        *MIEN,
        "video",
        clip,
        "--out",
        out,
        "--annotate",
        film,
        "--srt",
        tmp_path / "t.srt",
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: run.poll() is not None or (out.exists() and out.read_text().count("\n") > 5), "five rows")
    run.send_signal(by)
    _, stderr = run.communicate(timeout=LONGEST)
    assert run.returncode == 128 + by, stderr
    assert stderr == f"mien: stopped; what was read is kept in {film}, {out}, {tmp_path / 't.srt'}\n"
    rows = len(out.read_text().splitlines()) - 1
    assert 5 <= rows < 400
    with av.open(str(film)) as file:
        assert rows <= sum(1 for _ in file.decode(video=0)) <= rows + 1
    assert "Person 1: happy" in (tmp_path / "t.srt").read_text()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_on_a_terminal_a_bar_tells_rate_and_time_left(clip: Path) -> None:
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "mien", "video", str(clip)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=there, env=environment)
    os.close(there)
    seen = b""
    while True:
        try:
            part = os.read(here, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(LONGEST) == 0
    os.close(here)
    assert b"of 1.2 s, " in seen
    assert b" frames/s" in seen
