"""`analyze_video`: faces and expressions frame by frame, in constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from mien.detection.detectors import VIDEO_LONGEST_SIDE
from mien.errors import MienError
from mien.imaging.load import MAX_PIXELS
from mien.recognition.annotation import panels
from mien.recognition.pipeline import Pipeline
from mien.recognition.prefetch import prefetch
from mien.recognition.results import SMOOTH, VideoFrame
from mien.recognition.video.audio import check_different
from mien.recognition.video.frame_table import FrameTable
from mien.recognition.video.reader import Frame, Pixels, VideoReader
from mien.recognition.video.stream import FaceStream
from mien.recognition.video.subtitles import Subtitles, check_suffix
from mien.recognition.video.timeline_plot import TimelinePlot
from mien.recognition.video.tracker import Smoother
from mien.recognition.video.writer import VideoWriter


def analyze_video(
    pipeline: Pipeline,
    path: str | Path,
    *,
    every: int = 1,
    annotate: str | Path | None = None,
    out: str | Path | None = None,
    srt: str | Path | None = None,
    timeline: str | Path | None = None,
    smooth: float = SMOOTH,
    longest_side: int = VIDEO_LONGEST_SIDE,
    max_pixels: int = MAX_PIXELS,
    on_note: Callable[[str], None] | None = None,
) -> Generator[VideoFrame]:
    """What `Recognizer.analyze_video` does, which says what the options are and what is raised."""
    told = on_note or (lambda note: warnings.warn(note, UserWarning, stacklevel=3))
    _check_path(path)
    _check(every=every, smooth=smooth, longest_side=longest_side)

    def frames() -> Generator[VideoFrame]:
        with ExitStack() as stack:
            clip = stack.enter_context(VideoReader(path, max_pixels=max_pixels))
            sinks, film = [], None
            if annotate is not None:
                film = stack.enter_context(VideoWriter(annotate, audio_from=path, rate=clip.rate))
            for sink in _sinks(pipeline, clip, out, srt, timeline):
                stack.enter_context(sink)
                sinks.append(sink)
            seen = watch(pipeline, clip, film=film, every=every, smooth=smooth, longest_side=longest_side)
            for frame in stack.enter_context(closing(seen)):  # closed at once, whoever's traceback still holds it
                for sink in sinks:
                    sink.write(frame)
                yield frame
            for note in clip.notes:
                told(note)

    return frames()


def _sinks(
    pipeline: Pipeline, clip: VideoReader, out: str | Path | None, srt: str | Path | None, timeline: str | Path | None
) -> Iterator[FrameTable | Subtitles | TimelinePlot]:
    """What could be refused comes first, so that nothing is made for nothing."""
    for path in (out, srt, timeline):
        if path is not None:
            check_different(clip.path, Path(path))
    labels = pipeline.labels.names
    if timeline is not None:
        yield TimelinePlot(timeline, labels, clip.path.name)
    if srt is not None:
        check_suffix(Path(srt))
    if out is not None:
        yield FrameTable(out, labels)
    if srt is not None:
        yield Subtitles(srt)


def watch(
    pipeline: Pipeline,
    clip: VideoReader,
    *,
    film: VideoWriter | None = None,
    every: int = 1,
    smooth: float = SMOOTH,
    longest_side: int = VIDEO_LONGEST_SIDE,
) -> Generator[VideoFrame]:
    """The faces in an open clip, which is read in a thread ahead of the work; else as `analyze_video`.

    Args:
        film: where each frame is written with what was read in it.
    """
    _check(every=every, smooth=smooth, longest_side=longest_side)
    # One thread each: decoding goes on beside the model and the detector, and with more threads each look would be done
    # sooner and the whole video later.
    watcher = FaceStream(pipeline.with_threads(1), smooth=smooth, longest_side=longest_side)
    frame: VideoFrame | None = None
    shots = prefetch(clip.shots(1 if film is not None else every))
    try:
        for shot in shots:
            read = shot.index % every == 0
            if read or frame is None:
                frame = _read(watcher, shot)
            if film is not None:
                film.write(shot.image_HW3, shot.time, shot.lasts, _drawing(frame))
            if read:
                yield frame
    finally:
        shots.close()


def _read(watcher: FaceStream, shot: Frame) -> VideoFrame:
    """What is to be told of one frame."""
    glance = watcher.look(shot.image_HW3, shot.time)
    faces = watcher.tell(glance, watcher.pipeline.predict(glance.faces_NHW))
    high, wide = shot.image_HW3.shape[:2]
    return VideoFrame(shot.index, shot.time, wide, high, faces)


def _drawing(frame: VideoFrame) -> Callable[[Pixels], Pixels]:
    """What draws a frame's faces into its image, and into those after it that are not read."""
    captions = [f"#{face.person}" for face in frame.faces]
    return lambda image_HW3: panels.annotate(image_HW3, frame.faces, captions=captions)


def _check_path(path: object) -> None:
    if not isinstance(path, str | Path):
        raise MienError(f"a video is read from a path, got {type(path).__name__}; write its bytes to a file")


def _check(*, every: int, smooth: float, longest_side: int) -> None:
    for name, value, least in (("every", every, 1), ("longest_side", longest_side, 32)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise MienError(f"{name} is a whole number from {least} on, got {value!r}")
    Smoother(smooth)
