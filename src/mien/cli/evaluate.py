"""`mien evaluate`: accuracy, calibration and robustness of one model."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from mien.cli.options import Data, Device, EvaluatedSplit, Json, Page, Strict, Tta, Votes
from mien.cli.output import check_writable, print_written, stoppable, write, write_json
from mien.cli.progress import StepProgressBar
from mien.cli.target import EvaluationTarget, evaluate_target, open_predictor
from mien.errors import MienError, ModelError
from mien.labels import same_classes

if TYPE_CHECKING:
    from mien.data import Split
    from mien.evaluation import EvaluationReport
    from mien.evaluation.predictor import Predictor

EvaluatedModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Shipped model, exported model, run, weight file, or a file of predictions [N,K] in row order.",
    ),
]


def evaluate(
    model: EvaluatedModel,
    data: Data,
    split: EvaluatedSplit,
    votes: Votes = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Class names of the columns of a file of predictions, or `fer7` or `ferplus8` (default: the classes "
            "of the data).",
        ),
    ] = None,
    tta: Tta = "none",
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Also evaluate on corrupted faces: twelve corruptions at five severities."),
    ] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="With --robustness: evaluate another model on the same faces. May be repeated."
        ),
    ] = None,
    detector: Annotated[
        bool,
        typer.Option("--detector", help="Also evaluate on faces pasted into larger images and found by the detector."),
    ] = False,
    device: Device = "auto",
    strict: Strict = False,
    json_file: Json = None,
    page: Page = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the probabilities [N,K] in row order to a file.")
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the metrics of a test split to the card.json of the model.")
    ] = False,
) -> None:
    """Evaluate one trained model, or the predictions of any package, on one split."""
    from mien.data import load
    from mien.evaluation import EvaluationReport, update_card

    _check(model, robustness=robustness, detector=detector, beside=beside or [], card=card, page=page)
    check_writable(json_file, page, predictions, read=[model, data, votes, *(beside or [])])
    dataset = load(data, votes=votes)
    options = {"--robustness": robustness, "--detector": detector, "--json": json_file, "--html": page, "--card": card}
    _check_labels(dataset[split], [option for option, value in options.items() if value])
    if card:
        update_card.check_card_accepts_scores(model, dataset, split)
    target = evaluate_target(model, dataset, split, tta=tta, device=device, columns=labels, strict=strict)
    if predictions is not None:
        _save(target, predictions)
    if target.model_evaluation is None:
        typer.echo(
            f"split '{split}' has no labels, so there are no metrics; --predictions FILE.npy writes probabilities"
        )
        print_written(predictions)
        return
    report = EvaluationReport(target.model_evaluation)
    if robustness or detector:
        others = {name: open_predictor(name, device=device, tta=tta) for name in beside or []}
        report = _full_report(report, target, others, split, robustness=robustness, detector=detector)
    _show(report)
    _write(report, json_file, page, predictions)
    if card:
        update_card.write_scores_to_card(model, target.model_evaluation)
        typer.echo(f"wrote the metrics to the card of {model}")


def _save(target: EvaluationTarget, file: Path) -> None:
    array = io.BytesIO()
    np.save(array, target.probs_NK)
    write(file, array.getvalue())


def _write(report: EvaluationReport, json_file: Path | None, page: Path | None, predictions: Path | None) -> None:
    """Write the report and print the names of all files, with the predictions that are written already."""
    from mien.evaluation.report.pages import full_report_page

    if json_file is not None:
        write_json(json_file, report.to_dict())
    if page is not None:
        write(page, full_report_page(report).encode())
    print_written(json_file, page, predictions)


def _check(model: str, *, robustness: bool, detector: bool, beside: list[str], card: bool, page: Path | None) -> None:
    from mien.evaluation.predictions_file import is_predictions
    from mien.evaluation.report.style import require_report_libraries
    from mien.model import is_model

    if beside and not robustness:
        raise MienError("--beside needs --robustness, which evaluates its models on the same corrupted faces")
    twice = [name for name, count in Counter([model, *beside]).items() if count > 1]
    if twice:
        raise MienError(f"{twice[0]} is named twice; --beside takes other models than the evaluated one, each once")
    for name in [model] * (robustness or detector) + beside:
        if is_predictions(name):
            raise MienError(f"{name} is a file of predictions; --robustness and --detector need a model")
    if card and (is_predictions(model) or not is_model(model)):
        raise ModelError(f"{model} has no card to write to; export a run to get one: mien export")
    if page is not None:
        require_report_libraries()


def _check_labels(faces: Split, options: list[str]) -> None:
    if options and not faces.has_ground_truth:
        raise MienError(f"split '{faces.name}' has no labels, so there are no metrics; leave out: {', '.join(options)}")


def _full_report(
    report: EvaluationReport,
    target: EvaluationTarget,
    others: dict[str, Predictor],
    split: str,
    *,
    robustness: bool,
    detector: bool,
) -> EvaluationReport:
    from mien.evaluation import extend_report
    from mien.evaluation.full_report import count_steps

    assert target.truth is not None, "an evaluated model has true labels"
    assert target.predict is not None, "and a predict function"
    for name, model in others.items():
        if not same_classes(model.labels, target.truth.labels.names):
            raise MienError(
                f"{name} and {target.name} have different classes, so they cannot be compared; leave out --beside"
            )
    faces = target.truth[split]
    models = {target.name: target.predict, **{name: model.predict for name, model in others.items()}}
    bar = StepProgressBar("evaluating", count_steps(faces, robustness=robustness, detector=detector))
    with stoppable("no results were written"), bar:
        return extend_report(
            report, models, faces, target.rule, robustness=robustness, detector=detector, step=bar.step
        )


def _show(report: EvaluationReport) -> None:
    from mien.evaluation.report.terminal import (
        confusion_table,
        detector_table,
        evaluation_table,
        protocols_table,
        robustness_table,
        selective_accuracy_table,
    )

    official = report.model_evaluation.official
    tables = [evaluation_table(official), confusion_table(official)]
    if len(report.model_evaluation.evaluations) > 1:
        tables.insert(0, protocols_table(report.model_evaluation))
    tables.append(selective_accuracy_table(report.model_evaluation))
    if report.robustness:
        tables.append(robustness_table(report.robustness))
    if report.detector_loop is not None:
        tables.append(detector_table(report.detector_loop))
    Console().print(*tables, sep="\n\n")
