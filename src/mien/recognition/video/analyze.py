"""`analyze_video`: faces and expressions frame by frame, in constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from mien.detection.detectors import VIDEO_LONGEST_SIDE
from mien.errors import MienError
from mien.imaging.load import MAX_PIXELS
from mien.paths import expand_user
from mien.recognition.annotation import panels
from mien.recognition.pipeline import Pipeline
from mien.recognition.prefetch import prefetch
from mien.recognition.results import SMOOTH, VideoFrame
from mien.recognition.video.container import check_not_input
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
    """Yield the results of a video frame by frame; see `Recognizer.analyze_video` for options and errors."""
    report = on_note or (lambda note: warnings.warn(note, UserWarning, stacklevel=3))
    _check_path(path)
    path = expand_user(path)
    annotate, out, srt, timeline = (
        None if file is None else expand_user(file) for file in (annotate, out, srt, timeline)
    )
    _check_options(every=every, smooth=smooth, longest_side=longest_side)

    def results() -> Generator[VideoFrame]:
        with ExitStack() as stack:
            reader = stack.enter_context(VideoReader(path, max_pixels=max_pixels))
            outputs, video_writer = [], None
            if annotate is not None:
                video_writer = stack.enter_context(VideoWriter(annotate, audio_from=path, fps=reader.fps))
            for output in _open_outputs(pipeline, reader, out, srt, timeline):
                stack.enter_context(output)
                outputs.append(output)
            frames = analyze_frames(
                pipeline, reader, video_writer=video_writer, every=every, smooth=smooth, longest_side=longest_side
            )
            for frame in stack.enter_context(closing(frames)):  # closed even if a traceback keeps a reference
                for output in outputs:
                    output.write(frame)
                yield frame
            for note in reader.notes:
                report(note)

    return results()


def _open_outputs(
    pipeline: Pipeline, reader: VideoReader, out: str | Path | None, srt: str | Path | None, timeline: str | Path | None
) -> Iterator[FrameTable | Subtitles | TimelinePlot]:
    """Yield the writers of the output files; all checks come before the first file is created."""
    for path in (out, srt, timeline):
        if path is not None:
            check_not_input(reader.path, Path(path))
    labels = pipeline.labels.names
    if timeline is not None:
        yield TimelinePlot(timeline, labels, reader.path.name)
    if srt is not None:
        check_suffix(Path(srt))
    if out is not None:
        yield FrameTable(out, labels)
    if srt is not None:
        yield Subtitles(srt)


def analyze_frames(
    pipeline: Pipeline,
    reader: VideoReader,
    *,
    video_writer: VideoWriter | None = None,
    every: int = 1,
    smooth: float = SMOOTH,
    longest_side: int = VIDEO_LONGEST_SIDE,
) -> Generator[VideoFrame]:
    """Yield the results of an open video, which is decoded ahead in a thread.

    Args:
        pipeline: Pipeline that detects, crops and predicts.
        reader: Open video.
        video_writer: Writer of the annotated video, which gets every frame.
        every: Interval of the analyzed frames; 1 analyzes all.
        smooth: Time constant of the smoothing in seconds, 0 for none.
        longest_side: Pixels of a frame's longer side, above which faces are detected in a smaller copy.

    Raises:
        MienError: An option is out of its range.
        VideoError: No frame can be decoded, or the annotated video cannot be written.
    """
    _check_options(every=every, smooth=smooth, longest_side=longest_side)
    # One thread per model: decoding runs in parallel, so more threads would make each frame faster and the whole video
    # slower.
    stream = FaceStream(pipeline.with_threads(1), smooth=smooth, longest_side=longest_side)
    result: VideoFrame | None = None
    frames = prefetch(reader.read_frames(1 if video_writer is not None else every))
    try:
        for frame in frames:
            selected = frame.index % every == 0
            if selected or result is None:
                result = _analyze_frame(stream, frame, str(reader.path))
            if video_writer is not None:
                video_writer.write(frame.image_HW3, frame.time, frame.duration, _draw_function(result))
            if selected:
                yield result
    finally:
        frames.close()


def _analyze_frame(stream: FaceStream, frame: Frame, source: str) -> VideoFrame:
    """Return the result of one frame."""
    frame_faces = stream.detect_and_crop(frame.image_HW3, frame.time)
    faces = stream.smooth(frame_faces, stream.pipeline.predict(frame_faces.faces_NHW))
    height, width = frame.image_HW3.shape[:2]
    names = stream.pipeline.model_name, stream.pipeline.detector.name
    return VideoFrame(frame.index, frame.time, width, height, faces, source, *names)


def _draw_function(result: VideoFrame) -> Callable[[Pixels], Pixels]:
    """Return a function that draws a result into its frame, or into a later one that is not analyzed."""
    captions = [f"#{face.person}" for face in result.faces]
    return lambda image_HW3: panels.annotate(image_HW3, result.faces, captions=captions)


def _check_path(path: object) -> None:
    if not isinstance(path, str | Path):
        raise MienError(f"a video must be a path, got {type(path).__name__}; write the bytes to a file first")


def _check_options(*, every: int, smooth: float, longest_side: int) -> None:
    for name, value, least in (("every", every, 1), ("longest_side", longest_side, 32)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise MienError(f"{name} must be a whole number, at least {least}, got {value!r}")
    Smoother(smooth)
