"""`mien crop`: the face crops of a folder of photos as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.dataset import reading_progress
from mien.cli.options import Crop, OnError
from mien.cli.output import stoppable


def crop(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the crops; its subfolders are the same.")],
    when: Crop = "auto",
    on_error: OnError = "warn",
) -> None:
    """Write the face crops that a model is trained on, gray 48x48, to look at them or to train on them."""
    from mien.data.folders.write_crops import write_crops

    with stoppable(f"no crops were written to {out}"), reading_progress() as progress:
        faces = write_crops(photos, out, crop=when, on_error=on_error, progress=progress)
    for loss in faces.losses:
        typer.echo(f"warning: {loss}", err=True)
    typer.echo(f"wrote {len(faces.images):,} face crops to {out}")
