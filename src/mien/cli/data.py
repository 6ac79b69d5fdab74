"""`mien data`: content and defects of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.options import Json, Votes
from mien.cli.output import write_json
from mien.errors import MienError


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Data set: a csv file, a folder of images, or `sketch` (synthetic faces).",
        ),
    ],
    write: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.csv", help="With `sketch`: file to write, in the format of fer2013.csv."),
    ] = None,
    votes: Votes = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the class histogram and the sample sheet.")
    ] = Path("runs/data"),
    json_file: Json = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="Also search for near-duplicates; the first time it takes half a minute for FER2013."
        ),
    ] = False,
) -> None:
    """Show a data set: faces per split and class, defects, a class histogram and a sample sheet."""
    from mien.data import class_histogram_png, load, sample_sheet, write_csv
    from mien.data.audit import audit as audit_dataset
    from mien.data.audit_tables import audit_tables

    if write is not None:
        if source != "sketch":
            raise MienError(f"only 'sketch' can be written as a csv, not '{source}'")
        write_csv(write)
        typer.echo(f"wrote {write}")
        return
    dataset = load(source, votes=votes)
    result = audit_dataset(dataset, near=audit)
    Console().print(audit_tables(result))
    if votes is not None:
        typer.echo(f"FER+ votes: {votes} has votes for all {sum(map(len, dataset.splits.values())):,} faces")
    if json_file is not None:
        write_json(json_file, result.to_dict())
    images = [class_histogram_png(dataset, out / "classes.png"), sample_sheet(dataset, out / "faces.png")]
    typer.echo(f"images: {', '.join(map(str, images))}")
