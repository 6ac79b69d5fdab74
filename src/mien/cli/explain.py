"""`mien explain`: which parts of a face the prediction depends on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import ClassPrior, Detector, MaxBytes, MaxPixels, ModelName
from mien.cli.output import print_prior_synonyms, write
from mien.errors import MienError
from mien.imaging.load import MAX_BYTES, MAX_PIXELS
from mien.recognition.recognizer import DEFAULT, DETECTOR


def explain(
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="Image file.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Use the portrait that comes with the package.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Output file (default: IMAGE-explained.png in the current folder)."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class to explain (default: the predicted one).")
    ] = None,
    model: ModelName = DEFAULT,
    detector: Detector = DETECTOR,
    prior: ClassPrior = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Draw which parts of each face are evidence for the predicted expression and which are evidence against it."""
    import cv2

    from mien.recognition import load
    from mien.recognition import sample as sample_path
    from mien.recognition.explain import draw
    from mien.recognition.explain import explain as explain_image
    from mien.recognition.results import percentage

    if sample == (image is not None):
        raise MienError("pass one image, or --sample")
    image = image or sample_path()
    if out is None:
        out = Path(f"{image.stem}-explained.png")
        if os.path.lexists(out):
            raise MienError(f"{out} exists; to replace it, or to write another file, use --out FILE.png")
    if out.suffix.lower() != ".png":
        raise MienError(f"the output must be a .png file, got {out.name}")
    if os.path.realpath(out) == os.path.realpath(image):
        raise MienError(f"{out} is the input image; use another --out")
    recognizer = load(model, detector=detector, prior=prior, max_pixels=max_pixels, max_bytes=max_bytes)
    print_prior_synonyms(prior, recognizer.labels)
    explanations = explain_image(recognizer, image, label=label)
    if not explanations:
        raise MienError(f"no face found in {image}; if the image is a face crop, use --detector whole")
    write(out, cv2.imencode(".png", draw(explanations))[1].tobytes())
    for number, explanation in enumerate(explanations, 1):
        typer.echo(f"face {number}: {explanation.label} {percentage(explanation.probability)}")
    typer.echo(f"wrote {out}: orange areas are evidence for the class, blue areas evidence against it")
