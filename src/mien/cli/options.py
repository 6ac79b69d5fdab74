"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelName = Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Shipped model, or folder of an exported model.")]
Detector = Annotated[
    str,
    typer.Option(metavar="yunet|whole", help="Face detector; `whole` if each image is a face crop already."),
]
Threshold = Annotated[
    float, typer.Option(metavar="SCORE", help="Minimum detector score of a face, above 0 and at most 1.")
]
LongestSide = Annotated[
    int,
    typer.Option(metavar="PIXELS", help="Downscale to this many pixels on the longer side before detection."),
]
MinConfidence = Annotated[
    float,
    typer.Option(metavar="P", help="Minimum probability of a label, 0 to 1; below it the label is `uncertain`."),
]
Tta = Annotated[
    str,
    typer.Option(metavar="none|flip", help="Test-time augmentation; `flip` averages with the mirror image."),
]
MaxPixels = Annotated[int, typer.Option(metavar="PIXELS", help="Maximum number of pixels; larger images are an error.")]
MaxBytes = Annotated[int, typer.Option(metavar="BYTES", help="Maximum file size; larger files are an error.")]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="FILE|FOLDER|sketch",
        help="Data set: fer2013.csv, one of Kaggle's csv files, a folder of images, or `sketch` (synthetic faces).",
    ),
]
EvaluatedSplit = Annotated[str, typer.Option("--split", metavar="train|val|test", help="Split to evaluate on.")]
Votes = Annotated[Path | None, typer.Option("--votes", metavar="FILE.csv", help="FER+ votes, fer2013new.csv.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe. May be repeated."),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Device to run on.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE.json", help="Write all results to a JSON file.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE.html", help="Write a report as one HTML file.")]
ClassPrior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="PRIOR",
        help="Adjust the probabilities to the class frequencies of your images: training, balanced or "
        "CLASS=FRACTION,... (default: the probabilities of the model).",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Also evaluate without the faces that have a near-duplicate in training. The first search takes half a "
        "minute.",
    ),
]
