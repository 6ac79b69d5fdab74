"""`mien explain`: which parts of a face the prediction depends on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import ClassPrior
from mien.cli.output import write
from mien.errors import MienError
from mien.imaging.load import MAX_BYTES, MAX_PIXELS
from mien.recognition.recognizer import DEFAULT, DETECTOR


def explain(
    photo: Annotated[Path | None, typer.Argument(metavar="PHOTO", help="An image.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The portrait that comes with the package.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write the image there; default PHOTO-explained.png here.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class to be explained; default each face's likeliest.")] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="A shipped model's name, or a model's folder.")
    ] = DEFAULT,
    detector: Annotated[str, typer.Option(help="yunet; or whole, where each image is a face already.")] = DETECTOR,
    prior: ClassPrior = None,
    max_pixels: Annotated[int, typer.Option(help="Of the image; one with more is not read.")] = MAX_PIXELS,
    max_bytes: Annotated[int, typer.Option(help="Of its file; one with more is not read.")] = MAX_BYTES,
) -> None:
    """Show which parts of each face speak for an expression, and which against it."""
    import cv2

    from mien.recognition import load
    from mien.recognition import sample as portrait
    from mien.recognition.explain import draw
    from mien.recognition.explain import explain as explained

    if sample == (photo is not None):
        raise MienError("name one image, or say --sample")
    photo = photo or portrait()
    if out is None:
        out = Path(f"{photo.stem}-explained.png")
        if os.path.lexists(out):
            raise MienError(f"{out} is there already; to write over it, or to another file, say --out FILE.png")
    if out.suffix.lower() != ".png":
        raise MienError(f"an explanation is drawn as .png, not {out.name}")
    if os.path.realpath(out) == os.path.realpath(photo):
        raise MienError(f"{out} would take the place of the photo; name another file with --out")
    reader = load(model, detector=detector, prior=prior, max_pixels=max_pixels, max_bytes=max_bytes)
    found = explained(reader, photo, label=label)
    if not found:
        raise MienError(f"{photo} shows no face that could be explained; of a face alone say --detector whole")
    write(out, cv2.imencode(".png", draw(found))[1].tobytes())
    for number, one in enumerate(found, 1):
        likely = one.face.probabilities[one.face.labels.index(one.label)]
        typer.echo(f"face {number}: {one.label} {100 * likely:.0f} %")
    typer.echo(f"wrote {out}: orange speaks for the class, blue against it")
