"""`mien train` and `mien compare`: training and comparing recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.options import Data, Device, Settings, Votes
from mien.cli.output import stoppable


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Name of a recipe, such as release_nano or seed_augmented.")
    ],
    data: Data,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the run (default: runs/RECIPE-seedN).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed of initial weights, order and augmentation.")] = 0,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER|FILE",
            help="Start from trained weights: shipped model, folder of a run or of an exported model, or weight file.",
        ),
    ] = None,
    votes: Votes = None,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(metavar="N", help="Number of devices; each trains on a part of every batch.")
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after the last finished epoch.")] = False,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates",
            help="Leave out training faces that are duplicates or near-duplicates of validation or test faces.",
        ),
    ] = False,
    drop_twins: Annotated[bool, typer.Option("--drop-twins", hidden=True)] = False,  # old name
    settings: Settings = None,
) -> None:
    """Train a model with a recipe."""
    from mien import train as training
    from mien.data import load
    from mien.train.processes import train_on_devices

    overrides = [*(settings or []), *(["drop_duplicates=yes"] if drop_duplicates or drop_twins else [])]
    changed = training.apply_overrides(training.find_recipe(recipe), overrides)
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    with stoppable(f"finished epochs are kept in {folder}; resume with the same command and --resume"):
        dataset = load(data, votes=votes)
        options = {"seed": seed, "init": init, "device": device, "resume": resume, "progress": True}
        run = train_on_devices(devices, changed, dataset, folder, **options)
    total, used = len(dataset["train"]), run.identity["data"]["faces"]["train"]
    if used < total:
        typer.echo(f"trained on {used:,} of {total:,} training faces; the recipe left out the others")
    epochs, selected = len(run.history), run.selected_epoch
    if epochs < changed.epochs:
        typer.echo(
            f"early stopping after epoch {epochs} of {changed.epochs}: "
            f"no better {changed.select} in {changed.patience} epochs"
        )
    if selected < epochs:
        typer.echo(f"selected epoch {selected} of {epochs} by {changed.select}; its weights are kept")
    source = data if votes is None else f"{data} --votes {votes}"
    split = "val" if "val" in dataset else "train"
    typer.echo(
        f"saved the run in {run.folder}; evaluate it with: mien evaluate {run.folder} --data {source} --split {split}"
    )


def compare(
    data: Data,
    arms: Annotated[
        str,
        typer.Option(
            metavar="RECIPE,RECIPE,...",
            help="Recipes to compare, the arms of the comparison; the others are compared with the first.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the runs and the report.")],
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs per recipe, with the random seeds 0, 1, 2, ...")
    ] = 3,
    votes: Votes = None,
    device: Device = "auto",
    settings: Settings = None,
) -> None:
    """Train several recipes with several random seeds and compare them in a report."""
    from mien import train as training
    from mien.data import load
    from mien.evaluation.report.terminal import comparison_table

    recipes = [training.apply_overrides(training.find_recipe(arm.strip()), settings or []) for arm in arms.split(",")]
    with stoppable(f"finished epochs are kept in {out}; resume with the same command"):
        result = training.compare(load(data, votes=votes), recipes, seeds=seeds, out=out, device=device, progress=True)
    Console().print(comparison_table(result))
    for verdict in result.verdicts:
        typer.echo(verdict.sentence)
    typer.echo(f"wrote the report: {out / 'report.html'}")
