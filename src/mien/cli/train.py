"""`mien train` and `mien compare`: training and comparing recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.options import Data, Device, Settings, Votes
from mien.cli.output import stoppable


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as seed or seed_augmented.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default runs/RECIPE-seedN.")] = None,
    seed: Annotated[int, typer.Option(help="Decides first weights, order and augmentation.")] = 0,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|NAME|FILE", help="Start from these weights: a run, an exported or shipped model, or a file."
        ),
    ] = None,
    votes: Votes = None,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(metavar="N", help="How many to train on, each with its part of every batch.")
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates",
            "--drop-twins",
            help="Leave out training faces that are near-duplicates of faces judged.",
        ),
    ] = False,
    settings: Settings = None,
) -> None:
    """Train one model by a recipe."""
    from mien import train as room
    from mien.data import load
    from mien.train.processes import train_on_devices

    dropped = ["drop_duplicates=yes"] if drop_duplicates else []
    chosen = room.apply_overrides(room.find_recipe(recipe), [*(settings or []), *dropped])
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    with stoppable(f"the epochs done are kept in {folder}; the same command with --resume goes on"):
        faces = load(data, votes=votes)
        options = {"seed": seed, "init": init, "device": device, "resume": resume, "progress": True}
        run = train_on_devices(devices, chosen, faces, folder, **options)
    there, met = len(faces["train"]), run.identity["data"]["faces"]["train"]
    if met < there:
        typer.echo(f"learned from {met:,} of {there:,} training faces; the recipe left out the others")
    done, judged = len(run.history), run.selected_epoch
    if judged < done:
        typer.echo(f"of {done} epochs done, {chosen.select} chose epoch {judged}: that one is kept and judged")
    if done < chosen.epochs:
        typer.echo(
            f"stopped after epoch {done} of {chosen.epochs}: no better {chosen.select} in {chosen.patience} epochs"
        )
    source = data if votes is None else f"{data} --votes {votes}"
    typer.echo(f"the run lies in {run.folder}; judge it with: mien evaluate {run.folder} --data {source} --split val")


def compare(
    data: Data,
    arms: Annotated[
        str, typer.Option(help="The recipes to compare, joined by commas. The others are compared with the first.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the runs and the report.")],
    seeds: Annotated[int, typer.Option(min=1, help="The number of runs per recipe, with seeds 0, 1, 2, ...")] = 3,
    votes: Votes = None,
    device: Device = "auto",
    settings: Settings = None,
) -> None:
    """Train several recipes with several seeds, compare them and write a report; finished runs are reused."""
    from mien import train as training
    from mien.data import load
    from mien.evaluation.report.terminal import comparison_table

    recipes = [training.apply_overrides(training.find_recipe(arm.strip()), settings or []) for arm in arms.split(",")]
    with stoppable(f"finished epochs are kept in {out}; run the same command to resume"):
        result = training.compare(load(data, votes=votes), recipes, seeds=seeds, out=out, device=device, progress=True)
    Console().print(comparison_table(result))
    for verdict in result.verdicts:
        typer.echo(verdict.sentence)
    typer.echo(f"report: {out / 'report.html'}")
