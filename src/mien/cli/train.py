"""`mien train` and `mien compare`: training and comparing recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.dataset import folder_arguments, load_dataset
from mien.cli.options import (
    Architecture,
    Augment,
    Batch,
    Crop,
    Data,
    Device,
    Epochs,
    Labels,
    Layout,
    LearningRate,
    OnError,
    Settings,
    Votes,
    overrides,
)
from mien.cli.output import stoppable


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Name of a recipe, such as seed_augmented; mien recipes lists them.")
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
    epochs: Epochs = None,
    batch: Batch = None,
    lr: LearningRate = None,
    model: Architecture = None,
    augment: Augment = None,
    settings: Settings = None,
    labels: Labels = None,
    layout: Layout = "auto",
    crop: Crop = "auto",
    on_error: OnError = "warn",
) -> None:
    """Train a model with a recipe."""
    typer.echo(f"reading {data}", err=True)  # the imports take seconds
    from mien import train as training
    from mien.train.processes import train_on_devices

    drop = "yes" if drop_duplicates or drop_twins else None
    options = overrides(settings, drop_duplicates=drop, epochs=epochs, batch=batch, lr=lr, model=model, augment=augment)
    changed = training.apply_overrides(training.find_recipe(recipe), options)
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    with stoppable(f"finished epochs are kept in {folder}; resume with the same command and --resume"):
        dataset = load_dataset(data, votes=votes, layout=layout, crop=crop, on_error=on_error, labels=labels)
        run = train_on_devices(
            devices, changed, dataset, folder, seed=seed, init=init, device=device, resume=resume, progress=True
        )
    total, used = len(dataset["train"]), run.identity["data"]["faces"]["train"]
    if used < total:
        typer.echo(f"trained on {used:,} of {total:,} training faces; the recipe left out the others")
    trained, selected = len(run.history), run.selected_epoch
    if trained < changed.epochs:
        typer.echo(
            f"early stopping after epoch {trained} of {changed.epochs}: "
            f"no better {changed.select} in {changed.patience} epochs"
        )
    if selected < trained:
        typer.echo(f"selected epoch {selected} of {trained} by {changed.select}; its weights are kept")
    source = data if votes is None else f"{data} --votes {votes}"
    source += folder_arguments(layout=layout, crop=crop, on_error=on_error, labels=labels)
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
    epochs: Epochs = None,
    batch: Batch = None,
    lr: LearningRate = None,
    model: Architecture = None,
    augment: Augment = None,
    settings: Settings = None,
    labels: Labels = None,
    layout: Layout = "auto",
    crop: Crop = "auto",
    on_error: OnError = "warn",
) -> None:
    """Train several recipes with several random seeds and compare them in a report."""
    typer.echo(f"reading {data}", err=True)  # the imports take seconds
    from mien import train as training
    from mien.evaluation.report.terminal import comparison_table

    changes = overrides(settings, epochs=epochs, batch=batch, lr=lr, model=model, augment=augment)
    recipes = [training.apply_overrides(training.find_recipe(arm.strip()), changes) for arm in arms.split(",")]
    with stoppable(f"finished epochs are kept in {out}; resume with the same command"):
        dataset = load_dataset(data, votes=votes, layout=layout, crop=crop, on_error=on_error, labels=labels)
        result = training.compare(dataset, recipes, seeds=seeds, out=out, device=device, progress=True)
    Console().print(comparison_table(result))
    for verdict in result.verdicts:
        typer.echo(verdict.sentence)
    typer.echo(f"wrote the report: {out / 'report.html'}")
