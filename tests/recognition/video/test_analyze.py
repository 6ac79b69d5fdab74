"""`analyze_video`: persons, smoothing, output files, and damaged or unusual videos."""

from __future__ import annotations

import inspect
import json
import signal
import threading
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import mien
import videos
from mien.errors import MienError, VideoError
from mien.prior import apply_prior
from mien.recognition import PersonFace, Recognizer, VideoFrame
from mien.recognition.results import UNCERTAIN
from mien.recognition.video.analyze import analyze_video
from waiting import LONGEST


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return mien.load("nano")


def scene(i: int) -> videos.Pixels:
    """One who stays and, from the 20th frame on, another."""
    who = [(0.27 + 0.002 * i, 0.5, 0.4, 1 + 0.2 * np.sin(i / 5))]
    return videos.frame(320, 240, *who, *([(0.78, 0.45, 0.36, 0.8)] if i >= 20 else []))


@pytest.fixture(scope="module")
def video_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return videos.write(tmp_path_factory.mktemp("video") / "a.mp4", scene, videos.times(50))


def test_analyze_video_two_persons(reader: Recognizer, video_path: Path) -> None:
    frames = list(reader.analyze_video(video_path))
    assert [f.index for f in frames] == list(range(50))
    assert [f.time for f in frames] == pytest.approx(videos.times(50), abs=1e-3)
    assert {(f.width, f.height) for f in frames} == {(320, 240)}
    assert [f.faces[0].person for f in frames] == [1] * 50
    assert all(len(f.faces) == 1 for f in frames[:20])
    assert all([face.person for face in f.faces] == [1, 2] for f in frames[30:])
    for face in (face for frame in frames for face in frame.faces):
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
        assert face.label == "happy"
        assert len(face.landmarks) == 5


def test_analyze_video_frame_equals_image(reader: Recognizer, video_path: Path) -> None:
    """Without smoothing, and where all is searched, a frame's face is the one that `analyze` finds."""
    frame = next(analyze_video(reader.pipeline, video_path, smooth=0))
    from mien.recognition.video.reader import VideoReader

    with VideoReader(video_path) as video_reader:
        frame_after = next(video_reader.read_frames())
    (alone,) = reader.analyze(frame_after.image_HW3, order="bgr").faces
    (face,) = frame.faces
    assert {k: v for k, v in face.to_dict().items() if k != "person"} == alone.to_dict()


def test_analyze_video_applies_prior(reader: Recognizer, video_path: Path) -> None:
    """Before smoothing, which is off here."""
    balanced = mien.load("nano", prior="balanced")
    assert reader.model.card.class_frequencies is not None
    both = [
        reader.analyze_video(video_path, every=10, smooth=0),
        balanced.analyze_video(video_path, every=10, smooth=0),
    ]
    for without, with_prior in zip(*both, strict=True):
        for a, b in zip(without.faces, with_prior.faces, strict=True):
            p_NK = np.array([a.probabilities], np.float32)
            wanted_NK = apply_prior(p_NK, reader.model.card.class_frequencies.assumed, [1 / 7] * 7)
            np.testing.assert_allclose([b.probabilities], wanted_NK, atol=1e-6)
            assert b.probabilities[1] > 2 * a.probabilities[1]


def test_video_frame_to_dict_is_json(reader: Recognizer, video_path: Path) -> None:
    message = json.loads(json.dumps(next(reader.analyze_video(video_path)).to_dict()))
    keys = [
        "detector",
        "error",
        "faces",
        "height",
        "index",
        "model",
        "notes",
        "rotation",
        "searched",
        "source",
        "time",
        "width",
    ]
    assert sorted(message) == keys
    assert message["faces"][0]["person"] == 1
    assert sorted(message["faces"][0]) == [
        "box",
        "confidence",
        "label",
        "landmarks",
        "person",
        "probabilities",
        "quality",
        "score",
        "uncertain_reason",
    ]


def test_analyze_video_every_nth_frame(reader: Recognizer, video_path: Path) -> None:
    frames = list(reader.analyze_video(video_path, every=12))
    assert [f.index for f in frames] == [0, 12, 24, 36, 48]
    assert [len(f.faces) for f in frames] == [1, 1, 2, 2, 2]
    assert {f.faces[0].person for f in frames} == {1}


def test_analyze_video_smooths_probabilities(reader: Recognizer, tmp_path: Path) -> None:
    """A face that goes dark for two frames hardly stirs the smoothed probabilities."""

    def flickers(i: int) -> videos.Pixels:
        return videos.frame(320, 240, (0.5, 0.5, 0.5, 0.25 if i in (10, 11) else 1.0))

    path = videos.write(tmp_path / "a.mp4", flickers, videos.times(20), audio=None)

    def steps(smooth: float) -> np.ndarray:
        told_TK = np.array([f.faces[0].probabilities for f in reader.analyze_video(path, smooth=smooth)])
        return np.abs(np.diff(told_TK, axis=0)).max()

    assert steps(0.5) < 0.25 * steps(0)


def test_analyze_video_min_confidence(video_path: Path) -> None:
    reader = mien.load("nano", min_confidence=1.0)
    frame = next(reader.analyze_video(video_path))
    assert frame.faces[0].label == UNCERTAIN
    assert frame.faces[0].confidence > 0.5


def test_analyze_video_variable_frame_rate(reader: Recognizer, tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.3, 0.31, 0.5, 0.9, 0.94, 0.98]
    frames = list(reader.analyze_video(videos.write(tmp_path / "a.mp4", scene, times)))
    assert [f.time for f in frames] == pytest.approx(times, abs=1e-3)
    assert {tuple(face.person for face in f.faces) for f in frames} == {(1,)}


def test_analyze_video_rotated_video(reader: Recognizer, tmp_path: Path) -> None:
    """Lying images with a flag that raises them."""

    def lying(i: int) -> videos.Pixels:
        return np.ascontiguousarray(np.rot90(videos.frame(240, 320, (0.5, 0.5, 0.6, 1.0)), -1))

    frames = list(reader.analyze_video(videos.write(tmp_path / "a.mp4", lying, videos.times(3), rotation=90)))
    assert {(f.width, f.height, len(f.faces)) for f in frames} == {(240, 320, 1)}


def test_analyze_video_frames_without_faces(reader: Recognizer, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", lambda i: videos.frame(320, 240), videos.times(6), audio=None)
    assert [f.faces for f in reader.analyze_video(path)] == [()] * 6


def test_analyze_video_whole_detector(video_path: Path) -> None:
    reader = mien.load("nano", detector="whole")
    frames = list(islice(reader.analyze_video(video_path), 5))
    assert [[face.person for face in f.faces] for f in frames] == [[1]] * 5


def test_analyze_video_truncated_file_warns(reader: Recognizer, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mkv", scene, videos.times(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="truncated video"):
        frames = list(reader.analyze_video(path))
    notes: list[str] = []
    assert list(reader.analyze_video(path, on_note=notes.append)) == frames
    assert 5 < len(frames) < 50
    assert len(notes) == 1


def test_analyze_video_not_a_video_raises(reader: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video\n" * 99)
    with pytest.raises(VideoError, match="not a readable video"):
        list(reader.analyze_video(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be a whole number, at least 1, got 0"),
        ({"every": 1.5}, "every must be a whole number"),
        ({"longest_side": 3}, "longest_side must be a whole number, at least 32, got 3"),
        ({"smooth": -1}, "seconds, at least 0, got -1"),
        ({"smooth": "long"}, "seconds, at least 0, got 'long'"),
    ],
)
def test_analyze_video_wrong_options_raise_at_once(
    reader: Recognizer, video_path: Path, options: dict[str, float], message: str
) -> None:
    with pytest.raises(MienError, match=message):
        reader.analyze_video(video_path, **options)


@pytest.mark.parametrize("option", ["annotate.mp4", "out.csv", "srt.srt", "timeline.png"])
def test_analyze_video_never_overwrites_input(
    option: str, reader: Recognizer, video_path: Path, tmp_path: Path
) -> None:
    """Neither by another name of it, which a link is."""
    before, link = video_path.read_bytes(), tmp_path / option
    link.symlink_to(video_path)
    with pytest.raises(VideoError, match="it is the input video; choose another file"):
        list(reader.analyze_video(video_path, **{link.stem: link}))
    assert video_path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [link]


def test_analyze_video_bytes_and_large_frames_raise(reader: Recognizer, video_path: Path) -> None:
    with pytest.raises(MienError, match="a video must be a path, got bytes"):
        reader.analyze_video(video_path.read_bytes())
    with pytest.raises(VideoError, match=r"frames of 320 x 240 pixels are above the limit of"):
        next(mien.load("nano", max_pixels=320 * 240 - 1).analyze_video(video_path))


@pytest.mark.parametrize(
    "wrong", [{"annotate": "seen.avi"}, {"timeline": "t.pdf"}, {"srt": "old.txt"}, {"out": "t.doc"}]
)
def test_analyze_video_wrong_suffix_keeps_old_files(
    wrong: dict[str, str], reader: Recognizer, video_path: Path, tmp_path: Path
) -> None:
    old = {"out": "old.csv", "srt": "old.srt"}
    for name in old.values():
        (tmp_path / name).write_text("kept")
    options = {key: tmp_path / name for key, name in {**old, **wrong}.items()}
    with pytest.raises(MienError, match=r"extension|suffix"):
        list(reader.analyze_video(video_path, **options))
    assert [(tmp_path / name).read_text() for name in old.values()] == ["kept", "kept"]


@pytest.mark.parametrize("there", [True, False])
def test_analyze_video_no_frames_keeps_old_files(there: bool, reader: Recognizer, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", scene, videos.times(10), audio=None)
    data = path.read_bytes()
    begins, ends = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:begins] + bytes(ends - begins) + data[ends:])
    outputs = {"out": ("csv", "jsonl", "parquet"), "srt": ("srt",), "timeline": ("png",), "annotate": ("mp4",)}
    names = [f"old.{ending}" for endings in outputs.values() for ending in endings]
    for name in names if there else ():
        (tmp_path / name).write_text("kept")
    for number in range(3):
        options = {key: tmp_path / f"old.{(endings * 3)[number]}" for key, endings in outputs.items()}
        with pytest.raises(VideoError, match="no frame can be decoded"):
            list(reader.analyze_video(path, **options))
    assert {f.name: f.read_text() for f in tmp_path.iterdir() if f != path} == dict.fromkeys(names * there, "kept")


def test_analyze_video_closed_early_files_complete(reader: Recognizer, video_path: Path, tmp_path: Path) -> None:
    out, srt, video = tmp_path / "t.csv", tmp_path / "t.srt", tmp_path / "t.mp4"
    frames = analyze_video(reader.pipeline, video_path, out=out, srt=srt, annotate=video, timeline=tmp_path / "t.png")
    assert [f.index for f in islice(frames, 10)] == list(range(10))
    frames.close()
    assert not left()
    assert len(out.read_text().splitlines()) == 11
    assert srt.read_text().startswith("1\n00:00:00,000 --> 00:00:00,400\nPerson 1: happy\n")
    from mien.recognition.video.reader import VideoReader

    with VideoReader(video) as written:
        assert len(list(written.read_frames())) == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.mp4", "t.png", "t.srt"]


def left() -> list[str]:
    """The threads that do not end; one whose joining was interrupted may need a moment."""
    ours = [t for t in threading.enumerate() if t.name in ("mien-prefetch", "mien-worker")]
    for thread in ours:
        thread._started.wait(LONGEST)  # type: ignore[attr-defined]
        thread.join(LONGEST)
    return [t.name for t in ours if t.is_alive()]


def test_analyze_video_interrupted_file_complete(reader: Recognizer, video_path: Path, tmp_path: Path) -> None:
    from mien.recognition.video.reader import VideoReader

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGALRM, interrupt)
    try:
        for n in range(12):
            video = tmp_path / f"{n}.mp4"
            signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.011 * n)
            with (
                suppress(KeyboardInterrupt),
                closing(analyze_video(reader.pipeline, video_path, annotate=video)) as frames,
            ):
                for _ in frames:
                    pass
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not left()
            if video.exists():
                with VideoReader(video) as written:
                    assert list(written.read_frames())
                    assert not written.notes
    finally:
        signal.signal(signal.SIGALRM, usual)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("every", [1, 10])
def test_analyze_video_annotates_all_frames(reader: Recognizer, video_path: Path, tmp_path: Path, every: int) -> None:
    from mien.recognition.video.reader import VideoReader

    out = tmp_path / "b.mp4"
    frames = list(reader.analyze_video(video_path, annotate=out, every=every))
    with VideoReader(video_path) as a, VideoReader(out) as b:
        before, after = list(a.read_frames()), list(b.read_frames())
    assert [s.time for s in after] == pytest.approx([s.time for s in before], abs=1e-4)
    assert {s.image_HW3.shape for s in after} == {(240, 320, 3)}
    for frame_after, was in zip(after, before, strict=True):
        box = frames[frame_after.index // every].faces[0].box
        changed = np.abs(frame_after.image_HW3.astype(int) - was.image_HW3).max(2) > 60
        rim = changed[round(box.top) : round(box.bottom), round(box.left) - 3 : round(box.left) + 4].any(1)
        assert rim.mean() > 0.6, frame_after.index  # the frame around the face
        assert not changed[:12, :60].any()


def test_analyze_video_signatures_are_equal() -> None:
    function, method = (
        inspect.signature(analyze_video).parameters,
        inspect.signature(Recognizer.analyze_video).parameters,
    )
    assert [p for p in function.values() if p.name != "max_pixels"][1:] == list(method.values())[1:]
    assert all(f"            {name}: " in str(Recognizer.analyze_video.__doc__) for name in list(method)[1:])


def test_analyze_video_uses_all_options(reader: Recognizer, video_path: Path, tmp_path: Path) -> None:
    paths = {
        key: tmp_path / name
        for key, name in (("annotate", "a.mp4"), ("out", "a.csv"), ("srt", "a.srt"), ("timeline", "a.png"))
    }
    (frame,) = reader.analyze_video(video_path, every=50, smooth=0.0, longest_side=100, **paths)
    assert frame != next(reader.analyze_video(video_path))
    assert all(path.stat().st_size for path in paths.values())


def test_person_face_wrong_values_raise() -> None:
    assert VideoFrame(0, 0.0, 10, 10, ()).to_dict()["faces"] == []
    with pytest.raises(MienError, match="has 2 labels and 1 probabilities"):
        PersonFace(mien.Box(0, 0, 1, 1), 0.5, (), ("a", "b"), (1.0,), "a", 1)


def test_pipeline_with_threads_opens_new_sessions() -> None:
    recognizer = mien.load("nano", threads=2)
    pipeline = recognizer.pipeline.with_threads(1)
    sessions = [pipeline.model._session, pipeline.detector.one_scale().model._session]  # type: ignore[attr-defined]
    assert [s.get_session_options().intra_op_num_threads for s in sessions] == [1, 1]
    assert recognizer.model._session.get_session_options().intra_op_num_threads == 2
