"""`mien analyze`: faces and expressions in images and folders."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import (
    ClassPrior,
    Detector,
    LongestSide,
    MaxBytes,
    MaxPixels,
    MinConfidence,
    ModelName,
    Threshold,
    Tta,
)
from mien.cli.output import print_prior_synonyms, print_unreadable, stoppable
from mien.detection.detectors import LONGEST_SIDE, THRESHOLD
from mien.errors import MienError
from mien.imaging.load import MAX_BYTES, MAX_PIXELS
from mien.recognition.recognizer import DEFAULT, DETECTOR

if TYPE_CHECKING:
    from mien.recognition.inputs import Source
    from mien.recognition.output.base import Writer
    from mien.recognition.recognizer import Recognizer

FEW = 3  # up to so many images are printed with a bar per class, and without a progress bar


Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Images, folders, glob patterns, or - for an image on standard input."),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="table, json, jsonl, csv or parquet (default: by the extension of --out; without it, table on a terminal "
        "and jsonl in a pipe).",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Run on the Ray cluster at this address; `local` starts one on this machine. PATH is then one folder, "
        "pattern or Parquet file, on this machine or at an address such as s3://.",
    ),
]


def analyze(
    paths: Paths = None,
    sample: Annotated[bool, typer.Option("--sample", help="Analyze the portrait that comes with the package.")] = False,
    model: ModelName = DEFAULT,
    detector: Detector = DETECTOR,
    threshold: Threshold = THRESHOLD,
    longest_side: LongestSide = LONGEST_SIDE,
    min_confidence: MinConfidence = 0.0,
    tta: Tta = "none",
    prior: ClassPrior = None,
    max_faces: Annotated[
        int | None, typer.Option(metavar="N", help="Keep at most N of the largest faces of each image (default: all).")
    ] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    max_bytes: MaxBytes = MAX_BYTES,
    format_name: FormatName = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Output file (default: stdout). With --ray, a folder or address.")
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write annotated copies of the images to this folder.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the csv, jsonl or parquet file of --out; skip images that are in it."),
    ] = False,
    ray: RayAddress = None,
    partition: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --ray: images per output file (default: 1,000).")
    ] = None,
) -> None:
    """Find the faces in images and predict their expressions."""
    options: dict[str, Any] = {
        "name_or_path": model, "detector": detector, "threshold": threshold, "longest_side": longest_side, "tta": tta,
        "prior": prior, "min_confidence": min_confidence, "max_faces": max_faces, "max_pixels": max_pixels,
        "max_bytes": max_bytes,
    }  # fmt: skip
    if ray is not None:
        from mien.cli.cluster import on_cluster

        given = {"--sample": sample, "--annotate": annotate, "--format": format_name not in (None, "parquet")}
        on_cluster(paths or [], out, ray, partition, resume, [name for name, value in given.items() if value], options)
        return
    if partition is not None:
        raise MienError("--partition needs --ray, which writes one file per partition")
    file = None if out is None else Path(out)
    format_name = _choose_format(format_name, file, resume)
    _analyze_locally(_find(paths or [], sample, annotate, max_bytes), format_name, file, annotate, resume, options)


def _analyze_locally(
    sources: list[Source], format_name: str, out: Path | None, annotate: Path | None, resume: bool,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Analyze the images in this process; exit with 1 if some could not be read."""
    from mien.recognition import load
    from mien.recognition.inputs import annotated_paths, check_not_overwriting
    from mien.recognition.output.registry import open_writer

    copies = {} if annotate is None else annotated_paths(sources, annotate)
    if out is not None:
        check_not_overwriting(sources, out, copies.values())
    recognizer = load(**options)
    print_prior_synonyms(options["prior"], recognizer.labels)
    writer = open_writer(
        format_name, recognizer.labels.names, out=out, append=resume, brief=len(sources) > FEW,
        options=_recorded_options(recognizer, options),
    )  # fmt: skip
    with stoppable(_stop_message(writer, resume)), writer:
        unread = _run(recognizer, writer, sources, copies)
    if unread:
        if len(sources) > 1:
            print_unreadable(unread, len(sources))
        raise typer.Exit(1)


def _recorded_options(recognizer: Recognizer, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that rows depend on; `--resume` requires the same ones."""
    model = recognizer.model
    recorded = {name: value for name, value in options.items() if name != "name_or_path"}
    recorded["prior"] = None if model.prior is None else model.prior.option
    return {"model": model.card.name, "model_sha256": model.card.sha256, **recorded}


def _find(paths: list[str], sample: bool, annotate: Path | None, max_bytes: int) -> list[Source]:
    from mien.recognition.inputs import find_sources

    sources = find_sources(paths, exclude=annotate, max_bytes=max_bytes) if paths or not sample else []
    return [_sample(sources), *sources] if sample else sources


def _sample(others: list[Source]) -> Source:
    """Return the sample; its name is its path if another image has the same name, since results are found by name."""
    from mien.recognition import sample
    from mien.recognition.inputs import Source

    name = Path(sample().name)
    clash = any(source.name == str(name) for source in others)
    return Source(str(sample()) if clash else str(name), name, data=sample().read_bytes())


def _choose_format(name: str | None, out: Path | None, resume: bool) -> str:
    from mien.recognition.output.registry import format_for

    if resume and out is None:
        raise MienError("--resume needs the file to continue: use --out")
    if resume and out is not None and not out.exists():
        typer.echo(f"mien: nothing to resume: {out} does not exist; starting a new file", err=True)
    if name is not None:
        return name
    if out is not None:
        return format_for(out)
    return "table" if sys.stdout.isatty() else "jsonl"


def _stop_message(writer: Writer, resume: bool) -> str:
    """Return the message for a user who stops the command."""
    if writer.out is None:
        return "results so far are printed"
    if not writer.resumable:
        return f"results so far are in {writer.out}"
    command = "the same command" if resume else "the same command with --resume"
    return f"results so far are in {writer.out}; run {command} to continue"


def _run(recognizer: Recognizer, writer: Writer, sources: list[Source], copies: dict[str, Path]) -> int:
    """Analyze the images that are not done; return how many could not be read, now or earlier."""
    from mien.errors import ImageError
    from mien.recognition.parallel import analyze_sources, write_annotated
    from mien.recognition.results import escape_surrogates

    remaining = [source for source in sources if escape_surrogates(source.name) not in writer.done]
    unread = sum(not writer.done.get(escape_surrogates(source.name), True) for source in sources)
    bar = None
    if len(remaining) > FEW:
        from mien.cli.progress import ImageProgressBar

        bar = ImageProgressBar(len(remaining), writer.console)
    with bar or nullcontext():
        for source, analysis in analyze_sources(recognizer, remaining):
            if source.name in copies and not analysis.error:
                try:
                    write_annotated(recognizer, source, analysis, copies[source.name])
                except ImageError as error:  # the file has changed since it was analyzed
                    analysis = replace(analysis, faces=(), error=str(error))
            writer.write(analysis)
            unread += bool(analysis.error)
            if bar is not None:
                bar.step(len(analysis.faces))
    return unread
