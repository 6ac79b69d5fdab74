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
MinFace = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Search for faces from this height in pixels; smaller is slower (default: by the size of the image).",
    ),
]
Scales = Annotated[
    str, typer.Option(metavar="auto|one", help="Search in several sizes, or only in one, which is faster.")
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
_FOLDERS = "Image folders"
_LABEL_FILE = "Labels of the images: columns file, label and optionally rater and split."
Layout = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="auto|folders|raf-db|affectnet|ck+48|jaffe|fer2013",
        help="Layout of the folder; `folders` takes the names of the class folders as they are.",
        rich_help_panel=_FOLDERS,
    ),
]
Crop = Annotated[
    str,
    typer.Option(
        "--crop",
        metavar="auto|always|never",
        help="Detect and crop faces; `auto` in images that are larger than a face crop.",
        rich_help_panel=_FOLDERS,
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        metavar="warn|fail",
        help="Leave out images that cannot be read, or end with an error.",
        rich_help_panel=_FOLDERS,
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        "--label-file",
        metavar="FILE.csv",
        help=_LABEL_FILE,
        rich_help_panel=_FOLDERS,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        "--label-file",
        metavar="FILE.csv",
        help=_LABEL_FILE,
        rich_help_panel=_FOLDERS,
    ),
]
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
        help="Also evaluate without the faces that have a near-duplicate in training. The first search takes half a "
        "minute.",
    ),
]


def overrides(settings: list[str] | None, **options: object) -> list[str]:
    """Return the settings of `--set` and those of the options of a recipe's fields, which take precedence.

    >>> overrides(["warmup=1"], epochs=3, batch=None)
    ['warmup=1', 'epochs=3']
    """
    return [*(settings or []), *(f"{field}={value}" for field, value in options.items() if value is not None)]
