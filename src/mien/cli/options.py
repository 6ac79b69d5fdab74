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
_FOLDERS = "Image folders"
Layout = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="The layout of the folder: auto, folders (names are classes), raf-db, affectnet, ck+48, jaffe or fer2013.",
        rich_help_panel=_FOLDERS,
    ),
]
Crop = Annotated[
    str,
    typer.Option(
        "--crop",
        metavar="WHEN",
        help="Detect and crop faces: auto (in images larger than a face crop), always or never.",
        rich_help_panel=_FOLDERS,
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        metavar="WHAT",
        help="What to do with images that cannot be read: warn (leave them out) or fail.",
        rich_help_panel=_FOLDERS,
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        "--label-file",
        metavar="CSV",
        help="The labels of the images: a csv with the columns file, label and optionally rater and split.",
        rich_help_panel=_FOLDERS,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        "--label-file",
        metavar="CSV",
        help="The labels of the images: a csv with the columns file, label and optionally rater and split.",
        rich_help_panel=_FOLDERS,
    ),
]
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
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Evaluate also without faces that have a near-duplicate in training. The first search takes half a "
        "minute.",
    ),
]
