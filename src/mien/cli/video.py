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

from mien.cli.options import ClassPrior
from mien.cli.output import stoppable
from mien.detection.detectors import THRESHOLD, VIDEO_LONGEST_SIDE
from mien.imaging.load import MAX_PIXELS
from mien.recognition.recognizer import DETECTOR, NANO
from mien.recognition.results import SMOOTH

if TYPE_CHECKING:
    from mien.recognition.results import VideoFrame
    from mien.recognition.video.people import People
    from mien.recognition.video.reader import VideoReader


def video(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video, such as an .mp4.")],
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="A shipped model's name, or a model's folder.")
    ] = NANO,
    every: Annotated[int, typer.Option(metavar="N", help="Read every N-th frame.")] = 1,
    annotate: Annotated[
        Path | None, typer.Option(metavar="OUT.mp4", help="Write the video there with its faces marked; sound is kept.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A row for each frame and person: .csv, .jsonl or .parquet.")
    ] = None,
    srt: Annotated[Path | None, typer.Option(metavar="FILE.srt", help="Write subtitles there.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw each person's expressions over time there.")
    ] = None,
    smooth: Annotated[float, typer.Option(help="Seconds over which probabilities are smoothed.")] = SMOOTH,
    min_confidence: Annotated[
        float, typer.Option(help="A face whose likeliest class is less likely is `uncertain`, 0 to 1.")
    ] = 0.0,
    detector: Annotated[str, typer.Option(help="yunet; or whole, where each frame is a face already.")] = DETECTOR,
    threshold: Annotated[float, typer.Option(help="How sure the detector must be of a face, 0 to 1.")] = THRESHOLD,
    longest_side: Annotated[
        int, typer.Option(help="Pixels, above which faces are looked for in a smaller copy.")
    ] = VIDEO_LONGEST_SIDE,
    tta: Annotated[str, typer.Option(help="none, or flip: averaged with the mirror image.")] = "none",
    prior: ClassPrior = None,
    max_faces: Annotated[int | None, typer.Option(help="Of a frame, the largest; default all.")] = None,
    max_pixels: Annotated[int, typer.Option(help="Of a frame; a video of larger ones is not read.")] = MAX_PIXELS,
) -> None:
    """Read the faces in a video: who is there when, and what they express."""
    from mien.recognition import load
    from mien.recognition.video.people import People
    from mien.recognition.video.reader import VideoReader

    written = [str(path) for path in (annotate, out, srt, timeline) if path is not None]
    notes: list[str] = []
    with VideoReader(
        file, max_pixels=max_pixels
    ) as clip:  # before the models are loaded: what is no video is told at once
        bar = VideoProgress(clip)
    reader = load(
        model, detector=detector, threshold=threshold, min_confidence=min_confidence, tta=tta, prior=prior,
        max_faces=max_faces, max_pixels=max_pixels,
    )  # fmt: skip
    persons = People(reader.labels.names)
    frames = reader.analyze_video(
        file, every=every, annotate=annotate, out=out, srt=srt, timeline=timeline, smooth=smooth,
        longest_side=longest_side, on_note=notes.append,
    )  # fmt: skip
    kept = f"what was read is kept in {', '.join(written)}" if written else "nothing was to be written"
    with stoppable(kept), closing(frames), bar:
        for frame in frames:
            persons.write(frame)
            bar.step(frame)
    persons.close()
    _tell(persons, written)
    for note in notes:
        typer.echo(f"mien: {note}", err=True)
    if notes:
        raise typer.Exit(1)


def _tell(persons: People, written: list[str]) -> None:
    from mien.recognition.video.summary import clock, people_table

    console = Console(highlight=False)
    count = {0: "nobody", 1: "1 person"}.get(persons.met, f"{persons.met:,} persons")
    frames = "1 frame" if persons.looks == 1 else f"{persons.looks:,} frames"
    console.print(f"{count} in {clock(persons.seconds)}, {frames} read")
    if persons.met:
        console.print(people_table(persons))
    if written:
        typer.echo(f"wrote {', '.join(written)}")


class VideoProgress:
    """How much of a video is read, how fast, and how long still; on stderr, silent where nobody would see it."""

    def __init__(self, clip: VideoReader) -> None:
        console = Console(stderr=True)
        self._seconds, self._frames = clip.seconds, 0
        self._bar = Progress(
            TextColumn("reading"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=clip.seconds, told="")

    def __enter__(self) -> VideoProgress:
        self._began = time.perf_counter()
        self._bar.start()
        return self

    def step(self, frame: VideoFrame) -> None:
        """A frame is read."""
        self._frames += 1
        rate = self._frames / max(time.perf_counter() - self._began, 1e-9)
        of = "" if self._seconds is None else f" of {self._seconds:.1f}"
        self._bar.update(self._task, completed=frame.time, told=f"{frame.time:.1f}{of} s, {rate:.0f} frames/s")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
