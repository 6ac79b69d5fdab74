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
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe. May be repeated."),
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
Quality = Annotated[
    bool,
    typer.Option(
        "--quality/--no-quality",
        help="Measure the quality of each face; faces that are too small, blurred, dark or bright are `uncertain`.",
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
