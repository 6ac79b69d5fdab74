"""Faces in videos, frame by frame: who is who, smoothed over seconds, whatever the file is like."""

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

import clips
import mien
from mien.errors import MienError, VideoError
from mien.prior import adjusted
from mien.recognition import PersonFace, Recognizer, VideoFrame
from mien.recognition.results import UNCERTAIN
from mien.recognition.video.analyze import analyze_video
from waiting import LONGEST


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return mien.load("nano")


def scene(i: int) -> clips.Pixels:
    """One who stays and, from the 20th frame on, another."""
    who = [(0.27 + 0.002 * i, 0.5, 0.4, 1 + 0.2 * np.sin(i / 5))]
    return clips.still(320, 240, *who, *([(0.78, 0.45, 0.36, 0.8)] if i >= 20 else []))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make(tmp_path_factory.mktemp("clip") / "a.mp4", scene, clips.even(50))


def test_two_persons_keep_their_numbers(reader: Recognizer, clip: Path) -> None:
    frames = list(reader.analyze_video(clip))
    assert [f.index for f in frames] == list(range(50))
    assert [f.time for f in frames] == pytest.approx(clips.even(50), abs=1e-3)
    assert {(f.width, f.height) for f in frames} == {(320, 240)}
    assert [f.faces[0].person for f in frames] == [1] * 50
    assert all(len(f.faces) == 1 for f in frames[:20])
    assert all([face.person for face in f.faces] == [1, 2] for f in frames[30:])
    for face in (face for frame in frames for face in frame.faces):
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
        assert face.label == "happy"
        assert len(face.landmarks) == 5


def test_a_frame_is_told_as_a_image_is(reader: Recognizer, clip: Path) -> None:
    """Without smoothing, and where all is searched, a frame's face is the one that `analyze` finds."""
    frame = next(analyze_video(reader.pipeline, clip, smooth=0))
    from mien.recognition.video.reader import VideoReader

    with VideoReader(clip) as open_clip:
        shot = next(open_clip.shots())
    (alone,) = reader.analyze(shot.image_HW3, order="bgr").faces
    (face,) = frame.faces
    assert {k: v for k, v in face.to_dict().items() if k != "person"} == alone.to_dict()


def test_prior_adjusts_each_frame(reader: Recognizer, clip: Path) -> None:
    """Before smoothing, which is off here."""
    balanced = mien.load("nano", prior="balanced")
    assert reader.model.card.class_frequencies is not None
    both = [reader.analyze_video(clip, every=10, smooth=0), balanced.analyze_video(clip, every=10, smooth=0)]
    for without, with_prior in zip(*both, strict=True):
        for a, b in zip(without.faces, with_prior.faces, strict=True):
            p_NK = np.array([a.probabilities], np.float32)
            wanted_NK = adjusted(p_NK, reader.model.card.class_frequencies.assumed, [1 / 7] * 7)
            np.testing.assert_allclose([b.probabilities], wanted_NK, atol=1e-6)
            assert b.probabilities[1] > 2 * a.probabilities[1]


def test_to_dict_is_json(reader: Recognizer, clip: Path) -> None:
    told = json.loads(json.dumps(next(reader.analyze_video(clip)).to_dict()))
    keys = ["detector", "error", "faces", "height", "index", "model", "source", "time", "width"]
    assert sorted(told) == keys
    assert told["faces"][0]["person"] == 1
    assert sorted(told["faces"][0]) == ["box", "confidence", "label", "landmarks", "person", "probabilities", "score"]


def test_every_so_manyth_frame(reader: Recognizer, clip: Path) -> None:
    frames = list(reader.analyze_video(clip, every=12))
    assert [f.index for f in frames] == [0, 12, 24, 36, 48]
    assert [len(f.faces) for f in frames] == [1, 1, 2, 2, 2]
    assert {f.faces[0].person for f in frames} == {1}


def test_what_is_told_is_smooth(reader: Recognizer, tmp_path: Path) -> None:
    """A face that goes dark for two frames hardly stirs the smoothed probabilities."""

    def flickers(i: int) -> clips.Pixels:
        return clips.still(320, 240, (0.5, 0.5, 0.5, 0.25 if i in (10, 11) else 1.0))

    path = clips.make(tmp_path / "a.mp4", flickers, clips.even(20), sound=None)

    def steps(smooth: float) -> np.ndarray:
        told_TK = np.array([f.faces[0].probabilities for f in reader.analyze_video(path, smooth=smooth)])
        return np.abs(np.diff(told_TK, axis=0)).max()

    assert steps(0.5) < 0.25 * steps(0)


def test_below_min_confidence_the_label_is_uncertain(clip: Path) -> None:
    reader = mien.load("nano", min_confidence=1.0)
    frame = next(reader.analyze_video(clip))
    assert frame.faces[0].label == UNCERTAIN
    assert frame.faces[0].confidence > 0.5


def test_an_uneven_frame_rate_changes_the_times_alone(reader: Recognizer, tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.3, 0.31, 0.5, 0.9, 0.94, 0.98]
    frames = list(reader.analyze_video(clips.make(tmp_path / "a.mp4", scene, times)))
    assert [f.time for f in frames] == pytest.approx(times, abs=1e-3)
    assert {tuple(face.person for face in f.faces) for f in frames} == {(1,)}


def test_a_turned_video_is_read_upright(reader: Recognizer, tmp_path: Path) -> None:
    """Lying images with a flag that raises them."""

    def lying(i: int) -> clips.Pixels:
        return np.ascontiguousarray(np.rot90(clips.still(240, 320, (0.5, 0.5, 0.6, 1.0)), -1))

    frames = list(reader.analyze_video(clips.make(tmp_path / "a.mp4", lying, clips.even(3), turned=90)))
    assert {(f.width, f.height, len(f.faces)) for f in frames} == {(240, 320, 1)}


def test_frames_without_faces_are_frames(reader: Recognizer, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", lambda i: clips.still(320, 240), clips.even(6), sound=None)
    assert [f.faces for f in reader.analyze_video(path)] == [()] * 6


def test_whole_takes_each_frame_for_a_face(clip: Path) -> None:
    reader = mien.load("nano", detector="whole")
    frames = list(islice(reader.analyze_video(clip), 5))
    assert [[face.person for face in f.faces] for f in frames] == [[1]] * 5


def test_a_file_that_breaks_off_is_read_and_told(reader: Recognizer, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", scene, clips.even(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="breaks off after"):
        frames = list(reader.analyze_video(path))
    notes: list[str] = []
    assert list(reader.analyze_video(path, on_note=notes.append)) == frames
    assert 5 < len(frames) < 50
    assert len(notes) == 1


def test_what_is_no_video_raises(reader: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video\n" * 99)
    with pytest.raises(VideoError, match="is no video that can be read"):
        list(reader.analyze_video(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, "every is a whole number from 1 on, got 0"),
        ({"every": 1.5}, "every is a whole number"),
        ({"longest_side": 3}, "longest_side is a whole number from 32 on, got 3"),
        ({"smooth": -1}, "seconds from 0 on, got -1"),
        ({"smooth": "long"}, "seconds from 0 on, got 'long'"),
    ],
)
def test_options_out_of_range_are_told_at_once(
    reader: Recognizer, clip: Path, options: dict[str, float], told: str
) -> None:
    with pytest.raises(MienError, match=told):
        reader.analyze_video(clip, **options)


@pytest.mark.parametrize("option", ["annotate.mp4", "out.csv", "srt.srt", "timeline.png"])
def test_the_video_itself_is_never_written_to(option: str, reader: Recognizer, clip: Path, tmp_path: Path) -> None:
    """Neither by another name of it, which a link is."""
    before, link = clip.read_bytes(), tmp_path / option
    link.symlink_to(clip)
    with pytest.raises(VideoError, match="is the video itself; write to another file"):
        list(reader.analyze_video(clip, **{link.stem: link}))
    assert clip.read_bytes() == before
    assert list(tmp_path.iterdir()) == [link]


def test_bytes_are_no_path_and_large_frames_are_refused(reader: Recognizer, clip: Path) -> None:
    with pytest.raises(MienError, match="a video is read from a path, got bytes"):
        reader.analyze_video(clip.read_bytes())
    with pytest.raises(VideoError, match=r"has frames of 320 x 240 pixels, above the limit of"):
        next(mien.load("nano", max_pixels=320 * 240 - 1).analyze_video(clip))


@pytest.mark.parametrize(
    "wrong", [{"annotate": "seen.avi"}, {"timeline": "t.pdf"}, {"srt": "old.txt"}, {"out": "t.doc"}]
)
def test_a_mistaken_option_empties_no_other_file(
    wrong: dict[str, str], reader: Recognizer, clip: Path, tmp_path: Path
) -> None:
    old = {"out": "old.csv", "srt": "old.srt"}
    for name in old.values():
        (tmp_path / name).write_text("kept")
    options = {key: tmp_path / name for key, name in {**old, **wrong}.items()}
    with pytest.raises(MienError, match=r"written as|is a \.png"):
        list(reader.analyze_video(clip, **options))
    assert [(tmp_path / name).read_text() for name in old.values()] == ["kept", "kept"]


@pytest.mark.parametrize("there", [True, False])
def test_where_no_frame_can_be_decoded_files_stay_as_they_were(there: bool, reader: Recognizer, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", scene, clips.even(10), sound=None)
    data = path.read_bytes()
    begins, ends = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:begins] + bytes(ends - begins) + data[ends:])
    outputs = {"out": ("csv", "jsonl", "parquet"), "srt": ("srt",), "timeline": ("png",), "annotate": ("mp4",)}
    names = [f"old.{ending}" for endings in outputs.values() for ending in endings]
    for name in names if there else ():
        (tmp_path / name).write_text("kept")
    for number in range(3):
        options = {key: tmp_path / f"old.{(endings * 3)[number]}" for key, endings in outputs.items()}
        with pytest.raises(VideoError, match="holds no frame that can be decoded"):
            list(reader.analyze_video(path, **options))
    assert {f.name: f.read_text() for f in tmp_path.iterdir() if f != path} == dict.fromkeys(names * there, "kept")


def test_closing_early_leaves_no_thread_and_whole_files(reader: Recognizer, clip: Path, tmp_path: Path) -> None:
    out, srt, film = tmp_path / "t.csv", tmp_path / "t.srt", tmp_path / "t.mp4"
    frames = analyze_video(reader.pipeline, clip, out=out, srt=srt, annotate=film, timeline=tmp_path / "t.png")
    assert [f.index for f in islice(frames, 10)] == list(range(10))
    frames.close()
    assert not left()
    assert len(out.read_text().splitlines()) == 11
    assert srt.read_text().startswith("1\n00:00:00,000 --> 00:00:00,400\nPerson 1: happy\n")
    from mien.recognition.video.reader import VideoReader

    with VideoReader(film) as written:
        assert len(list(written.shots())) == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.mp4", "t.png", "t.srt"]


def left() -> list[str]:
    """The threads that do not end; one whose joining was interrupted may need a moment."""
    ours = [t for t in threading.enumerate() if t.name in ("mien-prefetch", "mien-worker")]
    for thread in ours:
        thread._started.wait(LONGEST)  # type: ignore[attr-defined]
        thread.join(LONGEST)
    return [t.name for t in ours if t.is_alive()]


def test_an_interrupt_at_any_moment_leaves_no_thread_and_a_whole_file(
    reader: Recognizer, clip: Path, tmp_path: Path
) -> None:
    from mien.recognition.video.reader import VideoReader

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGALRM, interrupt)
    try:
        for n in range(12):
            film = tmp_path / f"{n}.mp4"
            signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.011 * n)
            with suppress(KeyboardInterrupt), closing(analyze_video(reader.pipeline, clip, annotate=film)) as frames:
                for _ in frames:
                    pass
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not left()
            if film.exists():
                with VideoReader(film) as written:
                    assert list(written.shots())
                    assert not written.notes
    finally:
        signal.signal(signal.SIGALRM, usual)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("every", [1, 10])
def test_the_annotated_video_has_all_frames_and_marks(
    reader: Recognizer, clip: Path, tmp_path: Path, every: int
) -> None:
    from mien.recognition.video.reader import VideoReader

    out = tmp_path / "b.mp4"
    frames = list(reader.analyze_video(clip, annotate=out, every=every))
    with VideoReader(clip) as a, VideoReader(out) as b:
        before, after = list(a.shots()), list(b.shots())
    assert [s.time for s in after] == pytest.approx([s.time for s in before], abs=1e-4)
    assert {s.image_HW3.shape for s in after} == {(240, 320, 3)}
    for shot, was in zip(after, before, strict=True):
        box = frames[shot.index // every].faces[0].box
        changed = np.abs(shot.image_HW3.astype(int) - was.image_HW3).max(2) > 60
        rim = changed[round(box.top) : round(box.bottom), round(box.left) - 3 : round(box.left) + 4].any(1)
        assert rim.mean() > 0.6, shot.index  # the frame around the face
        assert not changed[:12, :60].any()


def test_the_method_and_the_function_take_the_same() -> None:
    function, method = (
        inspect.signature(analyze_video).parameters,
        inspect.signature(Recognizer.analyze_video).parameters,
    )
    assert [p for p in function.values() if p.name != "max_pixels"][1:] == list(method.values())[1:]
    assert all(f"            {name}: " in str(Recognizer.analyze_video.__doc__) for name in list(method)[1:])


def test_every_option_reaches_the_reading(reader: Recognizer, clip: Path, tmp_path: Path) -> None:
    paths = {
        key: tmp_path / name
        for key, name in (("annotate", "a.mp4"), ("out", "a.csv"), ("srt", "a.srt"), ("timeline", "a.png"))
    }
    (frame,) = reader.analyze_video(clip, every=50, smooth=0.0, longest_side=100, **paths)
    assert frame != next(reader.analyze_video(clip))
    assert all(path.stat().st_size for path in paths.values())


def test_results_are_checked_where_they_are_born() -> None:
    assert VideoFrame(0, 0.0, 10, 10, ()).to_dict()["faces"] == []
    with pytest.raises(MienError, match="has 2 labels and 1 probabilities"):
        PersonFace(mien.Box(0, 0, 1, 1), 0.5, (), ("a", "b"), (1.0,), "a", 1)


def test_pipeline_with_threads_opens_sessions_of_its_own() -> None:
    recognizer = mien.load("nano", threads=2)
    pipeline = recognizer.pipeline.with_threads(1)
    sessions = [pipeline.model._session, pipeline.detector.model._session]  # type: ignore[attr-defined]
    assert [s.get_session_options().intra_op_num_threads for s in sessions] == [1, 1]
    assert recognizer.model._session.get_session_options().intra_op_num_threads == 2
