"""Words into calls: each command translates its options and prints what comes back; the thinking is elsewhere."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from mien import __version__
from mien.data import atomic
from mien.errors import MienError, Stopped

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Facial expression recognition that a person can train, trust and use.",
)

Data = Annotated[
    str,
    typer.Option("--data", metavar="FILE", help="fer2013.csv, one of Kaggle's csv, a folder of pictures, or 'sketch'."),
]
Votes = Annotated[Path | None, typer.Option("--votes", metavar="CSV", help="FER+ votes, fer2013new.csv.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe; may be given again."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")]


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.command()
def data(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A csv, a folder of pictures, or 'sketch'.")],
    write: Annotated[
        Path | None, typer.Argument(metavar="[OUT.csv]", help="With 'sketch': write it there as a fer2013.csv.")
    ] = None,
    votes: Votes = None,
    out: Annotated[Path, typer.Option(help="Folder for the histogram and the sheet of faces.")] = Path("runs/data"),
    json_file: Json = None,
) -> None:
    """Show a data set: faces per split and class, its defects, a histogram and a sheet of faces."""
    from mien import data as room

    if write is not None:
        if source != "sketch":
            raise MienError(f"only 'sketch' can be written as a csv, not '{source}'")
        room.write_csv(write)
        typer.echo(f"wrote {write}")
        return
    dataset = room.load(source, votes=votes)
    found = room.audit(dataset)
    Console().print(room.audit_tables(found))
    if votes is not None:
        typer.echo(
            f"FER+ votes: {votes} fits, a row of votes for each of {sum(map(len, dataset.splits.values())):,} faces"
        )
    if json_file is not None:
        _write_json(json_file, found.to_dict())
    made = [room.class_histogram_png(dataset, out / "classes.png"), room.sample_sheet(dataset, out / "faces.png")]
    typer.echo(f"pictures: {', '.join(map(str, made))}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as seed or seed_augmented.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default runs/RECIPE-seedN.")] = None,
    seed: Annotated[int, typer.Option(help="Decides first weights, order and augmentation.")] = 0,
    init: Annotated[
        str | None,
        typer.Option(metavar="RUN|NAME|FILE", help="Start from these weights: a run, a shipped net or a file."),
    ] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    settings: Settings = None,
) -> None:
    """Train one net by a recipe."""
    from mien import train as room
    from mien.data import load

    chosen = room.with_settings(room.find_recipe(recipe), settings or [])
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    with _stoppable(f"the epochs done are kept in {folder}; the same command with --resume goes on"):
        run = room.train(chosen, load(data), folder, seed=seed, init=init, device=device, resume=resume, progress=True)
    done, judged = len(run.history), run.judged_epoch
    if judged < done:
        typer.echo(f"of {done} epochs done, {chosen.select} chose epoch {judged}: that one is kept and judged")
    if done < chosen.epochs:
        typer.echo(
            f"stopped after epoch {done} of {chosen.epochs}: no better {chosen.select} in {chosen.patience} epochs"
        )
    typer.echo(f"the run lies in {run.folder}; judge it with: mien evaluate {run.folder} --data {data} --split val")


@app.command()
def compare(
    data: Data,
    arms: Annotated[str, typer.Option(help="Recipes, joined by commas; the first is the one compared with.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs per arm: seeds 0, 1, 2, ...")] = 3,
    device: Device = "auto",
    settings: Settings = None,
) -> None:
    """Train what is missing of a comparison and write its report."""
    from mien import judge
    from mien import train as room
    from mien.data import load

    recipes = [room.with_settings(room.find_recipe(arm.strip()), settings or []) for arm in arms.split(",")]
    with _stoppable(f"the epochs done are kept in {out}; the same command goes on"):
        result = room.compare(load(data), recipes, seeds=seeds, out=out, device=device, progress=True)
    Console().print(judge.comparison_table(result))
    for verdict in result.verdicts:
        typer.echo(verdict.sentence)
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="The folder of a run, a file of weights, or a shipped net's name.")],
    data: Data,
    split: Annotated[str, typer.Option(help="train, val or test.")],
    device: Device = "auto",
    json_file: Json = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the probabilities [N,K] in row order.")
    ] = None,
) -> None:
    """Judge a trained net on one split."""
    from mien import judge
    from mien import train as room
    from mien.data import load

    dataset = load(data)
    probabilities_NK = room.predict(model, dataset, split, device=device)
    if predictions is not None:
        array = io.BytesIO()
        np.save(array, probabilities_NK)
        _write(predictions, array.getvalue())
    if not dataset[split].labelled:
        typer.echo(f"{split} has no labels, so there are no figures; --predictions FILE.npy writes the probabilities")
        return
    result = judge.evaluate(
        probabilities_NK, dataset[split].labels_N, dataset.labels, split=split, data=dataset.name, model=model
    )
    Console().print(judge.evaluation_table(result), judge.confusion_table(result), sep="\n\n")
    if json_file is not None:
        _write_json(json_file, result.to_dict())


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C: what is open is closed on the way out."""


@contextmanager
def _stoppable(kept: str) -> Iterator[None]:
    """End a long command by Ctrl-C or SIGTERM with a sentence on what is kept."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    usual = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as why:
        by = signal.SIGTERM if isinstance(why, _Terminated) else signal.SIGINT
        raise Stopped(f"stopped; {kept}", by) from None
    finally:
        signal.signal(signal.SIGTERM, usual)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    _write(file, (json.dumps(content, indent=2) + "\n").encode())


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, with the folders above it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, [content])
    except OSError as why:
        raise MienError(f"cannot write {file}: {why.strerror}") from None
