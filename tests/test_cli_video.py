"""`mien video`: output files, messages and exit codes."""

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

import videos
from command import MIEN
from mien.cli.video import video
from mien.recognition import Recognizer, load
from waiting import LONGEST, wait_until


def mien(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "video", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})


def scene(i: int) -> videos.Pixels:
    return videos.frame(320, 240, (0.4 + 0.003 * i, 0.5, 0.5, 1.0))


@pytest.fixture(scope="module")
def video_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return videos.write(tmp_path_factory.mktemp("video") / "a.mp4", scene, videos.times(30))


@pytest.fixture(scope="module")
def truncated_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = videos.write(tmp_path_factory.mktemp("cut") / "cut.mkv", scene, videos.times(50))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_video_all_outputs(video_path: Path, tmp_path: Path) -> None:
    out, srt, annotated, drawn = (tmp_path / "new" / name for name in ("t.csv", "t.srt", "b.mp4", "t.png"))
    done = mien(video_path, "--annotate", annotated, "--out", out, "--srt", srt, "--timeline", drawn)
    assert (done.returncode, done.stderr) == (0, "")
    first, _, person, wrote = done.stdout.splitlines()[:4]
    assert first == "1 person in 0:01.2, 30 frames analyzed"
    assert person.split()[:5] == ["1", "1.2", "s", "0:00.0", "0:01.2"]
    assert "happy" in person
    assert wrote.startswith("wrote ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [int(row["index"]) for row in rows] == list(range(30))
    assert {(row["person"], row["label"]) for row in rows} == {("1", "happy")}
    assert srt.read_text() == "1\n00:00:00,000 --> 00:00:01,200\nPerson 1: happy\n\n"
    assert cv2.imread(str(drawn)) is not None
    with av.open(str(annotated)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert [s.codec_context.name for s in file.streams.audio] == ["aac"]
        assert float(file.duration / 1e6) == pytest.approx(1.2, abs=0.1)
        assert sum(1 for _ in file.decode(video=0)) == 30
    assert sorted(p.name for p in out.parent.iterdir()) == ["b.mp4", "t.csv", "t.png", "t.srt"]


def test_video_every_and_min_confidence(video_path: Path, tmp_path: Path) -> None:
    done = mien(video_path, "--every", "10", "--min-confidence", "1", "--out", tmp_path / "t.jsonl")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert all('"label": "uncertain"' in line for line in lines)


def test_video_options_equal_the_api() -> None:
    """Each has the name and the default of an argument, but for the model; and none is lacking."""
    ours = {name: one.default for name, one in inspect.signature(video).parameters.items()}
    theirs = inspect.signature(load).parameters | inspect.signature(Recognizer.analyze_video).parameters
    # The orientation of a video is that of its file.
    apart = {"name_or_path", "threads", "max_bytes", "orientation", "self", "path", "on_note"}
    assert {name: one.default for name, one in theirs.items() if name not in apart} == {
        name: default for name, default in ours.items() if name not in ("file", "model")
    }


def test_video_single_frame(video_path: Path) -> None:
    assert mien(video_path, "--every", "99").stdout.splitlines()[0].endswith(", 1 frame analyzed")


def test_video_truncated_file_exits_1(truncated_path: Path, tmp_path: Path) -> None:
    done = mien(truncated_path, "--out", tmp_path / "t.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("mien: cut.mkv: truncated video, it ends after 0.7 of 2.0 seconds")
    assert done.stderr.count("\n") == 1
    assert "1 person in" in done.stdout
    assert len((tmp_path / "t.csv").read_text().splitlines()) > 5


def test_video_damaged_file_exits_1(video_path: Path, tmp_path: Path) -> None:
    """A few hundred zeros, as in an incomplete download, which decode without an error."""
    data = bytearray(video_path.read_bytes())
    at = data.index(b"mdat") + 1000
    data[at : at + 400] = bytes(400)
    (tmp_path / "a.mp4").write_bytes(data)
    done = mien(tmp_path / "a.mp4")
    assert done.returncode == 1
    assert done.stderr == "mien: a.mp4: damaged video, frames from 0.0 to 1.2 seconds are damaged or missing\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["VIDEO", "--max-pixels", "9999"], "frames of 320 x 240 pixels are above the limit"),
        (["none.mp4"], "none.mp4: there is no such file"),
        (["VIDEO", "--every", "0"], "every must be a whole number, at least 1, got 0"),
        (["VIDEO", "--model", "none"], "model not found: none"),
        (["VIDEO", "--out", "t.xml"], "unknown file name extension of t.xml; use one of .csv, .jsonl, .parquet"),
        (["VIDEO", "--annotate", "VIDEO"], "it is the input video; choose another file"),
        (["VIDEO", "--srt", "t.txt"], "t.txt: unsupported subtitle suffix; use .srt"),
        (["VIDEO", "--min-confidence", "7"], "min_confidence must be a number from 0 to 1"),
    ],
)
def test_video_wrong_arguments_exit_2(video_path: Path, words: list[str], message: str) -> None:
    before = video_path.read_bytes()
    done = mien(*(str(video_path) if word == "VIDEO" else word for word in words))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("mien: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert video_path.read_bytes() == before


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_video_stopped_keeps_results(tmp_path: Path, by: signal.Signals) -> None:
    """A long video_path, stopped as soon as rows are there."""
    video_path = videos.write(tmp_path / "a.mp4", scene, videos.times(400))
    out, annotated = tmp_path / "t.csv", tmp_path / "b.mp4"
    command = [
        *MIEN,
        "video",
        video_path,
        "--out",
        out,
        "--annotate",
        annotated,
        "--srt",
        tmp_path / "t.srt",
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: run.poll() is not None or (out.exists() and out.read_text().count("\n") > 5), "five rows")
    run.send_signal(by)
    _, stderr = run.communicate(timeout=LONGEST)
    assert run.returncode == 128 + by, stderr
    assert stderr == f"mien: stopped; results so far are in {annotated}, {out}, {tmp_path / 't.srt'}\n"
    rows = len(out.read_text().splitlines()) - 1
    assert 5 <= rows < 400
    with av.open(str(annotated)) as file:
        assert rows <= sum(1 for _ in file.decode(video=0)) <= rows + 1
    assert "Person 1: happy" in (tmp_path / "t.srt").read_text()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_video_terminal_has_progress_bar(video_path: Path) -> None:
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "mien", "video", str(video_path)]
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
