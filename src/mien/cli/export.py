"""`mien export`: a trained model as ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.dataset import load_dataset
from mien.cli.options import Crop, Data, Labels, Layout, OnError, Votes
from mien.model import CARD, GRAPH

if TYPE_CHECKING:
    from mien.model_card import Calibration


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run or of an exported model, weight file, or shipped model.",
        ),
    ],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for model.onnx and card.json.")],
    votes: Votes = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model (default: that of its recipe).")
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="float32|float16|int8",
            help="Number format of the weights: float16 has half the size of float32; int8 is the smallest, but "
            "cannot be trained further.",
        ),
    ] = "float32",
    prior_strength: Annotated[
        str,
        typer.Option(
            metavar="S|auto",
            help="Predict rare classes more often: subtract S times the log of the training class frequencies from the "
            "logits. `auto` chooses the S with the best macro-F1 on validation.",
        ),
    ] = "0",
    labels: Labels = None,
    layout: Layout = "auto",
    crop: Crop = "auto",
    on_error: OnError = "warn",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Overwrite another model in the folder.")] = False,
) -> None:
    """Export a trained model to ONNX, with preprocessing, calibration and a model card."""
    from mien import train as training
    from mien.evaluation.report.text import percent
    from mien.evaluation.selection import SELECTED_ON

    dataset = load_dataset(data, votes=votes, layout=layout, crop=crop, on_error=on_error, labels=labels)
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as caught:
        card = training.export(
            run, out, dataset, name=name, storage=storage, overwrite=overwrite,
            prior_strength=_strength(prior_strength),
        )  # fmt: skip
    for warning in caught:
        typer.echo(f"warning: {warning.message}", err=True)
    file, fitted, score = out / GRAPH, card.calibration, card.scores[0]
    mark = f", {SELECTED_ON}" if score.selected_on else ""
    if _strength(prior_strength) != 0 and card.class_frequencies is not None:
        fractions = zip(card.labels.names, card.class_frequencies.assumed, strict=True)
        typer.echo(
            f"prior strength {card.class_frequencies.export_strength:g}: the probabilities assume "
            + ", ".join(f"{label} {percent(fraction)} %" for label, fraction in fractions)
        )
    typer.echo(
        f"wrote {file} ({file.stat().st_size / 1e6:.2f} MB, {card.storage}) and {CARD}: the model '{card.name}'\n"
        f"{_calibration(fitted)}\n"
        f"accuracy on '{score.split}' {percent(score.accuracy)} % (95 % interval {percent(score.low)} to "
        f"{percent(score.high)}, {score.n:,} faces{mark}); largest difference from PyTorch: {card.parity:.1g}"
    )


def _calibration(fitted: Calibration) -> str:
    from mien.evaluation.report.text import percent

    before, after = percent(fitted.ece_before), percent(fitted.ece_after)
    if not fitted.split:
        return f"temperature 1, not fitted: calibration error {before} %"
    on = f"temperature {fitted.temperature:.3f}, fitted on '{fitted.split}'"
    return f"{on}: calibration error {before} % before, {after} % after"


def _strength(text: str) -> float | str:
    """Return a number if `text` is one; `train.export` checks other values."""
    try:
        return float(text)
    except ValueError:
        return text
