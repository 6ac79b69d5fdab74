"""Outputs of a video: tables, subtitles, timeline plot and summary, from frames made by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from rich.console import Console

from mien.detection.boxes import Box
from mien.errors import MienError
from mien.recognition import PersonFace, VideoFrame
from mien.recognition.annotation.palette import label_color
from mien.recognition.video.frame_table import FrameTable, columns
from mien.recognition.video.people import MAX_BINS, MAX_LOST_PEOPLE, People
from mien.recognition.video.subtitles import MIN_CUE_SECONDS, Subtitles
from mien.recognition.video.summary import clock, people_table
from mien.recognition.video.timeline_plot import MAX_PANELS, TimelinePlot, draw

LABELS = ("angry", "happy", "neutral")


def face(person: int, *likely: float) -> PersonFace:
    label = LABELS[int(np.argmax(likely))]
    return PersonFace(Box(10, 20, 30, 40.5), 0.9, (), LABELS, likely, label, person)


def frame(index: int, time: float, *faces: PersonFace) -> VideoFrame:
    return VideoFrame(index, time, 320, 240, faces)


def happy(person: int = 1) -> PersonFace:
    return face(person, 0.1, 0.7, 0.2)


def angry(person: int = 1) -> PersonFace:
    return face(person, 0.8, 0.1, 0.1)


FRAMES = (frame(0, 0.0, happy()), frame(3, 0.12), frame(6, 0.24, happy(2), angry(1)))
ROWS = [
    {"index": 0, "time": 0.0, "person": 1, "label": "happy", "confidence": 0.7, "p_angry": 0.1, "p_happy": 0.7,
     "p_neutral": 0.2, "left": 10, "top": 20, "width": 30, "height": 40.5, "score": 0.9,
     "image_width": 320, "image_height": 240},
    {"index": 6, "time": 0.24, "person": 1, "label": "angry", "confidence": 0.8, "p_angry": 0.8, "p_happy": 0.1,
     "p_neutral": 0.1, "left": 10, "top": 20, "width": 30, "height": 40.5, "score": 0.9,
     "image_width": 320, "image_height": 240},
    {"index": 6, "time": 0.24, "person": 2, "label": "happy", "confidence": 0.7, "p_angry": 0.1, "p_happy": 0.7,
     "p_neutral": 0.2, "left": 10, "top": 20, "width": 30, "height": 40.5, "score": 0.9,
     "image_width": 320, "image_height": 240},
]  # fmt: skip


def written(path: Path, frames: Iterable[VideoFrame]) -> Path:
    with FrameTable(path, LABELS) as timeline:
        for one in frames:
            timeline.write(one)
    return path


def test_frame_table_rows_by_format(tmp_path: Path) -> None:
    assert tuple(ROWS[0]) == columns(LABELS)
    table = list(csv.DictReader(written(tmp_path / "t.csv", FRAMES).read_text().splitlines()))
    assert [{k: (v if k == "label" else float(v)) for k, v in row.items()} for row in table] == ROWS
    lines = written(tmp_path / "t.jsonl", FRAMES).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [one.to_dict() for one in FRAMES]
    parquet = pyarrow.parquet.read_table(written(tmp_path / "t.parquet", FRAMES))
    assert parquet.column_names == list(columns(LABELS))
    for row, wanted in zip(parquet.to_pylist(), ROWS, strict=True):
        assert {k: v if isinstance(v, str) else pytest.approx(v) for k, v in row.items()} == wanted


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_frame_table_without_faces(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"t{suffix}", [frame(0, 0.0)])
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(path).column_names == list(columns(LABELS))
    elif suffix == ".csv":
        assert path.read_text().strip() == ",".join(columns(LABELS))
    else:  # a frame without faces has a line too
        assert json.loads(path.read_text()) == frame(0, 0.0).to_dict()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_frame_table_after_error_keeps_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"

    def stopped() -> Iterator[VideoFrame]:
        yield FRAMES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(path, stopped())
    rows = pyarrow.parquet.read_table(path).num_rows if suffix == ".parquet" else path.read_text().count("happy,0.7")
    assert rows == 1 or (suffix == ".jsonl" and '"person": 1' in path.read_text())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_frame_table_csv_rows_are_written_at_once(tmp_path: Path) -> None:
    with FrameTable(tmp_path / "t.csv", LABELS) as timeline:
        timeline.write(FRAMES[0])
        assert len((tmp_path / "t.csv").read_text().splitlines()) == 2


def cues(path: Path) -> list[tuple[float, float, str]]:
    """The subtitles in a file, which must be well formed: seconds from, seconds to, text."""
    found = []
    for number, block in enumerate(path.read_text(encoding="utf-8").strip().split("\n\n"), 1):
        count, times, *text = block.split("\n")
        assert int(count) == number
        match = re.fullmatch(r"(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})", times)
        assert match is not None, times
        h, m, s, ms, h2, m2, s2, ms2 = map(int, match.groups())
        found.append((3600 * h + 60 * m + s + ms / 1000, 3600 * h2 + 60 * m2 + s2 + ms2 / 1000, "\n".join(text)))
    assert all(a < b for a, b, _ in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    return found


def subtitled(tmp_path: Path, frames: Iterable[VideoFrame]) -> list[tuple[float, float, str]]:
    with Subtitles(tmp_path / "t.srt") as subtitles:
        for one in frames:
            subtitles.write(one)
    return cues(tmp_path / "t.srt") if (tmp_path / "t.srt").read_text() else []


def test_subtitles_change_with_persons(tmp_path: Path) -> None:
    frames = [frame(i, i / 10, happy()) for i in range(10)]
    frames += [frame(i, i / 10, happy(), angry(2)) for i in range(10, 20)]
    frames += [frame(i, i / 10) for i in range(20, 30)]
    frames += [frame(i, i / 10, angry(3)) for i in range(30, 40)]
    assert subtitled(tmp_path, frames) == [
        (0.0, 1.0, "Person 1: happy"),
        (1.0, 2.0, "Person 1: happy\nPerson 2: angry"),
        (3.0, 4.0, "Person 3: angry"),
    ]


def test_subtitles_minimum_duration(tmp_path: Path) -> None:
    frames = [frame(i, i / 25, angry() if i // 3 % 2 else happy()) for i in range(100)]
    found = subtitled(tmp_path, frames)
    assert all(b - a >= MIN_CUE_SECONDS - 1e-9 for a, b, _ in found[:-1])
    assert found[-1][1] == 4.0


def test_subtitles_many_persons_share_a_line(tmp_path: Path) -> None:
    crowd = [happy(n) for n in (4, 2, 1, 3)]
    assert subtitled(tmp_path, [frame(0, 3725.25, *crowd), frame(1, 3727.5, *crowd)]) == [
        (3725.25, 3729.75, "Person 1: happy  ·  Person 2: happy  ·  Person 3: happy  ·  Person 4: happy")
    ]


def test_subtitles_without_persons_are_empty(tmp_path: Path) -> None:
    assert subtitled(tmp_path, [frame(i, i / 10) for i in range(5)]) == []


def collect(frames: Iterable[VideoFrame]) -> People:
    people = People(LABELS)
    for one in frames:
        people.write(one)
    people.close()
    return people


def test_people_weights_by_seconds() -> None:
    """Happy for one second in ten frames, angry for three in two."""
    frames = [frame(i, i / 10, happy()) for i in range(10)]
    frames += [frame(10, 1.0, angry()), frame(11, 2.5, angry()), frame(12, 4.0), frame(13, 4.1, happy(2))]
    first, second = people = collect(frames)
    assert (people.frame_count, people.seconds) == (14, pytest.approx(4.2))
    assert (first.number, first.first, first.last, first.seconds) == (1, 0.0, 2.5, pytest.approx(4.0))
    assert first.mean_K == pytest.approx(0.25 * np.array([0.1, 0.7, 0.2]) + 0.75 * np.array([0.8, 0.1, 0.1]))
    assert (second.number, second.seconds) == (2, pytest.approx(0.1))


def test_people_weight_of_frame_is_limited() -> None:
    (one,) = collect([frame(0, 0.0, happy()), frame(1, 600.0)])
    assert one.seconds == 2.0


def test_people_long_video_has_few_bins() -> None:
    """Ten hours, a frame per second: happy in the first half, angry in the second."""
    people = collect(frame(i, float(i), happy() if i < 18_000 else angry()) for i in range(36_000))
    (one,) = people
    assert len(one.bins) <= MAX_BINS
    times_T, mean_TK = people.mean_over_time(one)
    assert np.all(np.diff(times_T) > 0)
    assert mean_TK.sum(1) == pytest.approx(np.ones(len(times_T)))
    assert mean_TK[times_T < 17_900, 1].min() == pytest.approx(0.7)
    assert mean_TK[times_T > 18_100, 0].min() == pytest.approx(0.8)
    assert one.seconds == pytest.approx(36_000)


def test_people_keeps_persons_seen_longest() -> None:
    """Three thousand, some seconds each and two at a time, beside one who stays and one who hides for a moment."""
    lengths = [2 + 7 * i % 13 for i in range(3000)]
    people, time, most = People(LABELS), 0.0, 0
    for number, length in enumerate(lengths, 3):
        for step in range(length):
            hidden = [happy(2)] if step % 2 else []
            people.write(frame(0, time, happy(1), *hidden, angry(number)))
            time += 0.25
            most = max(most, len(list(people)))
    people.close()
    assert most <= 2 * MAX_LOST_PEOPLE + 1
    assert people.person_count == 3002
    kept = {one.number: one.seconds for one in people}
    assert kept[1] == pytest.approx(time)
    assert kept[2] == pytest.approx(sum(length // 2 for length in lengths) / 4)
    longest = sorted(kept.values(), reverse=True)[2 : 2 + MAX_LOST_PEOPLE]
    assert longest == pytest.approx(sorted((length / 4 for length in lengths), reverse=True)[:MAX_LOST_PEOPLE])
    assert any("2,994 more" in text.get_text() for text in draw(people).texts)


def test_timeline_plot_panels_and_colors(tmp_path: Path) -> None:
    with TimelinePlot(tmp_path / "t.png", LABELS, "video.mp4") as plot:
        for i in range(100):
            plot.write(frame(i, i / 10, *([happy(1)] if i < 50 else []), *([angry(2)] if i >= 30 else [])))
    image = cv2.imread(str(tmp_path / "t.png"))
    assert image is not None
    height, width = image.shape[:2]
    assert width == 1800
    for label, column, row in (("happy", 0.3, 0.45), ("angry", 0.8, 0.8)):
        red, green, blue = label_color(label, LABELS)
        part = image[round((row - 0.12) * height) : round((row + 0.12) * height), round(column * width)]
        assert (np.abs(part.astype(int) - (blue, green, red)).max(1) < 12).mean() > 0.2, label
    assert [p.name for p in tmp_path.iterdir()] == ["t.png"]


def test_timeline_plot_shows_persons_seen_longest() -> None:
    figure = draw(collect(frame(i, i / 2, happy(1 + i // 4)) for i in range(4 * (MAX_PANELS + 3))))
    assert len(figure.axes) == MAX_PANELS
    assert any("; 3 more seen for a shorter time" in text.get_text() for text in figure.texts)


def test_timeline_plot_blank_while_absent() -> None:
    frames = [frame(i, i / 10, *([] if 20 <= i < 40 else [happy()])) for i in range(60)]
    (axes,) = draw(collect(frames)).axes
    spans = [c.get_paths()[0].get_extents().intervalx for c in axes.collections][:: len(LABELS)]
    assert [tuple(span) for span in spans] == [pytest.approx((0, 2), abs=0.06), pytest.approx((4, 6), abs=0.06)]


def test_timeline_plot_without_persons(tmp_path: Path) -> None:
    with TimelinePlot(tmp_path / "t.png", LABELS) as plot:
        plot.write(frame(0, 0.0))
    (axes,) = draw(plot.people).axes
    assert [text.get_text() for text in axes.texts] == ["no faces"]
    assert cv2.imread(str(tmp_path / "t.png")) is not None


def test_timeline_plot_without_frames_no_file(tmp_path: Path) -> None:
    with TimelinePlot(tmp_path / "t.png", LABELS):
        pass
    assert list(tmp_path.iterdir()) == []


def test_people_table_persons_and_times() -> None:
    frames = [frame(i, i / 10, happy(1), *([angry(2)] if i >= 620 else [])) for i in range(640)]
    text = io.StringIO()
    Console(file=text, width=100).print(people_table(collect(frames)))
    first, second = (" ".join(line.split()) for line in text.getvalue().splitlines()[1:])
    assert first.startswith("1 64.0 s 0:00.0 1:03.9 ")
    assert first.endswith("happy 70 %, neutral 20 %, angry 10 %")
    assert second.startswith("2 2.0 s 1:02.0 1:03.9 ")
    assert second.endswith("angry 80 %, happy 10 %, neutral 10 %")


@pytest.mark.parametrize(
    ("seconds", "message"), [(0, "0:00.0"), (62.34, "1:02.3"), (59.96, "1:00.0"), (3661, "1:01:01.0")]
)
def test_clock(seconds: float, message: str) -> None:
    assert clock(seconds) == message


def test_outputs_wrong_path_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for make, name, message in [
        (
            lambda p: FrameTable(p, LABELS),
            "t.txt",
            "unknown file name extension of t.txt; use one of .csv, .jsonl, .parquet",
        ),
        (Subtitles, "t.txt", "t.txt: unsupported subtitle suffix; use .srt"),
        (lambda p: TimelinePlot(p, LABELS), "t.jpg", "t.jpg: unsupported timeline suffix; use .png"),
        (lambda p: FrameTable(p, LABELS), "file/t.csv", "cannot write .*t.csv"),
        (lambda p: FrameTable(p, LABELS), "file/t.parquet", "cannot write .*t.parquet"),
        (Subtitles, "file/t.srt", "cannot write .*t.srt"),
        (lambda p: TimelinePlot(p, LABELS), "file/t.png", "cannot write .*t.png"),
    ]:
        with pytest.raises(MienError, match=message):
            make(tmp_path / name)
