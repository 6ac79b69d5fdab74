"""`mien video`: faces and expressions in a video."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mien.cli.options import ClassPrior, Detector, LongestSide, MaxPixels, MinConfidence, ModelName, Threshold, Tta
from mien.cli.output import print_prior_synonyms, stoppable
from mien.detection.detectors import THRESHOLD, VIDEO_LONGEST_SIDE
from mien.imaging.load import MAX_PIXELS
from mien.recognition.recognizer import DETECTOR, NANO
from mien.recognition.results import SMOOTH

if TYPE_CHECKING:
    from mien.recognition.results import VideoFrame
    from mien.recognition.video.people import People


def video(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video file, such as an .mp4.")],
    model: ModelName = NANO,
    every: Annotated[int, typer.Option(metavar="N", help="Analyze every N-th frame.")] = 1,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.mp4", help="Write the video with annotated faces and its audio to this file."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write results to this file: .jsonl (a line per frame), .csv or .parquet (a row per face).",
        ),
    ] = None,
    srt: Annotated[Path | None, typer.Option(metavar="FILE.srt", help="Write subtitles to this file.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Plot each person's expressions over time to this file.")
    ] = None,
    smooth: Annotated[
        float, typer.Option(metavar="SECONDS", help="Smooth probabilities over this time; 0 for no smoothing.")
    ] = SMOOTH,
    min_confidence: MinConfidence = 0.0,
    detector: Detector = DETECTOR,
    threshold: Threshold = THRESHOLD,
    longest_side: LongestSide = VIDEO_LONGEST_SIDE,
    tta: Tta = "none",
    prior: ClassPrior = None,
    max_faces: Annotated[
        int | None, typer.Option(metavar="N", help="Keep at most N of the largest faces of each frame (default: all).")
    ] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Find and track the faces in a video and predict their expressions."""
    from mien.recognition import load
    from mien.recognition.video.people import People
    from mien.recognition.video.reader import VideoReader

    written = [str(path) for path in (annotate, out, srt, timeline) if path is not None]
    notes: list[str] = []
    with VideoReader(file, max_pixels=max_pixels) as reader:  # reports unreadable videos before models are loaded
        progress = VideoProgress(reader.duration)
    recognizer = load(
        model, detector=detector, threshold=threshold, min_confidence=min_confidence, tta=tta, prior=prior,
        max_faces=max_faces, max_pixels=max_pixels,
    )  # fmt: skip
    print_prior_synonyms(prior, recognizer.labels)
    people = People(recognizer.labels.names)
    frames = recognizer.analyze_video(
        file, every=every, annotate=annotate, out=out, srt=srt, timeline=timeline, smooth=smooth,
        longest_side=longest_side, on_note=notes.append,
    )  # fmt: skip
    on_stop = f"results so far are in {', '.join(written)}" if written else "no results were written"
    with stoppable(on_stop), closing(frames), progress:
        for frame in frames:
            people.write(frame)
            progress.step(frame)
    people.close()
    _print_summary(people, written)
    for note in notes:
        typer.echo(f"mien: {note}", err=True)
    if notes:
        raise typer.Exit(1)


def _print_summary(people: People, written: list[str]) -> None:
    from mien.recognition.video.summary import clock, people_table

    console = Console(highlight=False)
    persons = {0: "no persons", 1: "1 person"}.get(people.person_count, f"{people.person_count:,} persons")
    frames = "1 frame" if people.frame_count == 1 else f"{people.frame_count:,} frames"
    console.print(f"{persons} in {clock(people.seconds)}, {frames} analyzed")
    if people.person_count:
        console.print(people_table(people))
    if written:
        typer.echo(f"wrote {', '.join(written)}")


class VideoProgress:
    """Progress bar of a video on stderr, with frame rate and remaining time; silent if stderr is not a terminal."""

    def __init__(self, duration: float | None) -> None:
        console = Console(stderr=True)
        self._duration, self._frames = duration, 0
        self._bar = Progress(
            TextColumn("analyzing"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=duration, status="")

    def __enter__(self) -> VideoProgress:
        self._start = time.perf_counter()
        self._bar.start()
        return self

    def step(self, frame: VideoFrame) -> None:
        """Update the bar after a frame."""
        self._frames += 1
        fps = self._frames / max(time.perf_counter() - self._start, 1e-9)
        total = "" if self._duration is None else f" of {self._duration:.1f}"
        self._bar.update(self._task, completed=frame.time, status=f"{frame.time:.1f}{total} s, {fps:.0f} frames/s")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
