"""`mien analyze`: faces and expressions in images and folders."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import ClassPrior
from mien.cli.output import print_unreadable, stoppable
from mien.detection.detectors import LONGEST_SIDE, THRESHOLD
from mien.errors import MienError
from mien.imaging.load import MAX_BYTES, MAX_PIXELS
from mien.recognition.recognizer import DEFAULT, DETECTOR

if TYPE_CHECKING:
    from mien.recognition.inputs import Source
    from mien.recognition.output.base import Writer
    from mien.recognition.output.resume import RecordedOptions
    from mien.recognition.recognizer import Recognizer

FEW = 3  # images that are told at length


def analyze(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Images, folders, patterns, or - for an image on standard input."),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Read the portrait that comes with the package.")] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="A shipped model's name, or a model's folder.")
    ] = DEFAULT,
    detector: Annotated[str, typer.Option(help="yunet; or whole, where each image is a face already.")] = DETECTOR,
    threshold: Annotated[float, typer.Option(help="How sure the detector must be of a face, 0 to 1.")] = THRESHOLD,
    longest_side: Annotated[
        int, typer.Option(help="Pixels, above which faces are looked for in a smaller copy.")
    ] = LONGEST_SIDE,
    min_confidence: Annotated[
        float, typer.Option(help="A face whose likeliest class is less likely is `uncertain`, 0 to 1.")
    ] = 0.0,
    tta: Annotated[str, typer.Option(help="none, or flip: averaged with the mirror image.")] = "none",
    prior: ClassPrior = None,
    max_faces: Annotated[int | None, typer.Option(help="Of an image, the largest; default all.")] = None,
    max_pixels: Annotated[int, typer.Option(help="Of an image; one with more is not read.")] = MAX_PIXELS,
    max_bytes: Annotated[int, typer.Option(help="Of a file; one with more is not read.")] = MAX_BYTES,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="table, json, jsonl, csv or parquet; default by the name of --out, else table on a terminal and jsonl "
            "in a pipe.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write there, not to stdout. With --ray, a folder or an address.")
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each image there, with its faces marked.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the jsonl, csv or parquet file of --out.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Read a folder, pattern or parquet, here or at an address such as s3://, on a Ray cluster; or local.",
        ),
    ] = None,
    partition: Annotated[int | None, typer.Option(min=1, help="With --ray, images to a file; default 1,000.")] = None,
) -> None:
    """Read the faces in photos: where they are and what they express."""
    options: dict[str, Any] = {
        "name_or_path": model, "detector": detector, "threshold": threshold, "longest_side": longest_side, "tta": tta,
        "prior": prior, "min_confidence": min_confidence, "max_faces": max_faces, "max_pixels": max_pixels,
        "max_bytes": max_bytes,
    }  # fmt: skip
    if ray is not None:
        _on_cluster(paths or [], out, ray, partition, resume, _only_here(sample, annotate, format_name), options)
        return
    if partition is not None:
        raise MienError("--partition is of --ray, whose results are a file a partition; without it there is one file")
    file = None if out is None else Path(out)
    form = _format(format_name, file, resume)
    _here(_meant(paths or [], sample, annotate, max_bytes), form, file, annotate, resume, options)


def _on_cluster(*arguments: Any) -> None:
    """Call `on_cluster`, whose module a single photo does not need."""
    from mien.cli.cluster import on_cluster

    on_cluster(*arguments)


def _here(
    sources: list[Source], form: str, out: Path | None, annotate: Path | None, resume: bool, options: dict[str, Any]
) -> None:
    """Read them in this process; ends as the command does."""
    from mien.recognition import inputs as meant
    from mien.recognition import load
    from mien.recognition.output.registry import open_writer

    places = {} if annotate is None else meant.places(sources, annotate)
    if out is not None:
        meant.check_not_overwriting(sources, out, places.values())
    reader = load(**options)
    reading = None if out is None else _reading(reader, options["threshold"])
    writer = open_writer(form, reader.labels.names, out=out, append=resume, brief=len(sources) > FEW, reading=reading)
    with stoppable(_kept(writer, resume)), writer:
        unread = _run(reader, writer, sources, places)
    if unread:
        if len(sources) > 1:
            print_unreadable(unread, len(sources))
        raise typer.Exit(1)


def _only_here(sample: bool, annotate: Path | None, format_name: str | None) -> list[str]:
    """The options that were given and have no meaning on a cluster."""
    given = {"--sample": sample, "--annotate": annotate is not None, "--format": format_name not in (None, "parquet")}
    return [option for option, is_given in given.items() if is_given]


def _sample(*, beside: list[Source]) -> Source:
    """The portrait, called by its path beside an image that has its name: results are told apart by names."""
    from mien.recognition import sample
    from mien.recognition.inputs import Source

    name = Path(sample().name)
    clash = any(source.name == str(name) for source in beside)
    return Source(str(sample()) if clash else str(name), name, data=sample().read_bytes())


def _meant(paths: list[str], sample: bool, annotate: Path | None, max_bytes: int) -> list[Source]:
    from mien.recognition.inputs import find_sources

    named = find_sources(paths, exclude=annotate, max_bytes=max_bytes) if paths or not sample else []
    return [_sample(beside=named), *named] if sample else named


def _reading(reader: Recognizer, threshold: float) -> RecordedOptions:
    from mien.recognition.output.resume import RecordedOptions

    pipeline = reader.pipeline
    return RecordedOptions(
        pipeline.model_name, pipeline.detector.name, threshold, pipeline.min_confidence, pipeline.max_faces
    )


def _format(name: str | None, out: Path | None, resume: bool) -> str:
    from mien.recognition.output.registry import format_for

    if resume and out is None:
        raise MienError("--resume goes on in a file: say which one with --out")
    if name is not None:
        return name
    if out is not None:
        return format_for(out)
    return "table" if sys.stdout.isatty() else "jsonl"


def _kept(writer: Writer, resume: bool) -> str:
    """What to tell someone who stops the command."""
    if writer.out is None:
        return "what was done is printed"
    if not writer.resumable:
        return f"what was done is kept in {writer.out}"
    again = "the same command goes on" if resume else "the same command with --resume goes on"
    return f"what was done is kept in {writer.out}; {again}"


def _run(reader: Recognizer, writer: Writer, sources: list[Source], places: dict[str, Path]) -> int:
    """Read all that is not done; gives how many images could not be read, now or before."""
    from mien.cli.progress import ImageProgressBar
    from mien.errors import ImageError
    from mien.recognition.parallel import analyze_sources, write_annotated
    from mien.recognition.results import escape_surrogates

    left = [source for source in sources if escape_surrogates(source.name) not in writer.done]
    unread = sum(not writer.done.get(escape_surrogates(source.name), True) for source in sources)
    with ImageProgressBar(len(left), writer.console, shown=len(left) > FEW) as bar:
        for source, analysis in analyze_sources(reader, left):
            if source.name in places and not analysis.error:
                try:
                    write_annotated(reader, source, analysis, places[source.name])
                except ImageError as error:  # it has changed in the meantime
                    analysis = replace(analysis, faces=(), error=str(error))
            writer.write(analysis)
            unread += bool(analysis.error)
            bar.step(len(analysis.faces))
    return unread
