"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="FILE",
        help="The data set: fer2013.csv, one of Kaggle's csv files, a folder of images, or 'sketch' (synthetic).",
    ),
]
EvaluatedSplit = Annotated[str, typer.Option("--split", help="The split to evaluate on: train, val or test.")]
Votes = Annotated[Path | None, typer.Option("--votes", metavar="CSV", help="The file of FER+ votes, fer2013new.csv.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change any field of the recipe. May be repeated."),
]
Epochs = Annotated[int | None, typer.Option(metavar="N", help="Number of epochs, instead of the recipe's.")]
Batch = Annotated[int | None, typer.Option(metavar="N", help="Images per forward pass, instead of the recipe's.")]
LearningRate = Annotated[
    float | None, typer.Option("--lr", metavar="LR", help="Learning rate, instead of the recipe's.")
]
Architecture = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Architecture, instead of the recipe's.")
]
Augment = Annotated[
    str | None,
    typer.Option(
        metavar="A+B(...)",
        help="Augmentations instead of the recipe's: none, names joined by + (mien augmentations), or "
        "albumentations:FILE.json.",
    ),
]
Device = Annotated[str, typer.Option(help="The device to run on: auto, cpu, cuda or mps.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all results to a JSON file.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a report as one HTML file.")]
ClassPrior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="PRIOR",
        help="Adjust the probabilities to the class frequencies of your images: training, balanced or "
        "CLASS=FRACTION,... By default the probabilities are those of the model.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Evaluate also without faces that have a near-duplicate in training. The first search takes half a "
        "minute.",
    ),
]


def overrides(settings: list[str] | None, **options: object) -> list[str]:
    """Return the settings of `--set` and those of the options of a recipe's fields, which take precedence.

    >>> overrides(["warmup=1"], epochs=3, batch=None)
    ['warmup=1', 'epochs=3']
    """
    return [*(settings or []), *(f"{field}={value}" for field, value in options.items() if value is not None)]
