"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Option("--data", metavar="FILE", help="fer2013.csv, one of Kaggle's csv, a folder of images, or 'sketch'."),
]
Votes = Annotated[Path | None, typer.Option("--votes", metavar="CSV", help="FER+ votes, fer2013new.csv.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe; may be given again."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report, one self-contained page.")]
ClassPrior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="PRIOR",
        help="Class frequencies of the faces, which the probabilities are adjusted to: training, balanced or "
        "CLASS=SHARE,...; default the probabilities as the model gives them.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Judge also without near-duplicates of training faces, which are looked for.")
]
