"""`mien evaluate`: accuracy, calibration and robustness of one model."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from mien.cli.options import Data, Device, Json, Page, Strict, Votes
from mien.cli.output import check_writable, print_written, stoppable, write, write_json
from mien.cli.progress import StepProgressBar
from mien.cli.target import EvaluationTarget, evaluate_target, open_predictor
from mien.errors import MienError, ModelError
from mien.labels import same_classes

if TYPE_CHECKING:
    from mien.data import Split
    from mien.evaluation import EvaluationReport
    from mien.evaluation.predictor import Predictor

Evaluated = Annotated[
    str,
    typer.Argument(
        help="A shipped model's name, a model's folder or file, the folder of a run, a file of weights, or predictions "
        "[N,K] in row order, FILE.npy."
    ),
]


def evaluate(
    model: Evaluated,
    data: Data,
    split: Annotated[str, typer.Option(help="train, val or test.")],
    votes: Votes = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Of predictions: the columns' classes, or fer7 or ferplus8; default the data's."
        ),
    ] = None,
    tta: Annotated[str, typer.Option(help="none, or flip: averaged with the mirror image.")] = "none",
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also on altered faces: twelve corruptions in five strengths.")
    ] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option(metavar="NET", help="With --robustness: a further model on the same faces; may be given again."),
    ] = None,
    detector: Annotated[
        bool, typer.Option("--detector", help="Also on faces laid into images and found by the detector.")
    ] = False,
    device: Device = "auto",
    strict: Strict = False,
    json_file: Json = None,
    page: Page = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the probabilities [N,K] in row order.")
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the figures of a test split into the model's card.json.")
    ] = False,
) -> None:
    """Judge a trained model, or the predictions of any package, on one split."""
    from mien.data import load
    from mien.evaluation import EvaluationReport, update_card

    _check(model, robustness=robustness, detector=detector, beside=beside or [], card=card, page=page)
    check_writable(json_file, page, predictions, read=[model, data, votes, *(beside or [])])
    dataset = load(data, votes=votes)
    asked = {"--robustness": robustness, "--detector": detector, "--json": json_file, "--html": page, "--card": card}
    _check_figures(dataset[split], [option for option, value in asked.items() if value])
    if card:
        update_card.check_card_accepts_scores(model, dataset, split)
    subject = evaluate_target(model, dataset, split, tta=tta, device=device, columns=labels, strict=strict)
    if predictions is not None:
        _save(subject, predictions)
    if subject.model_evaluation is None:
        typer.echo(f"{split} has no labels, so there are no figures; --predictions FILE.npy writes the probabilities")
        print_written(predictions)
        return
    found = EvaluationReport(subject.model_evaluation)
    if robustness or detector:
        others = {name: open_predictor(name, device=device, tta=tta) for name in beside or []}
        found = _full_report(found, subject, others, split, robustness=robustness, detector=detector)
    _show(found)
    _keep(found, json_file, page, predictions)
    if card:
        update_card.write_scores_to_card(model, subject.model_evaluation)
        typer.echo(f"the figures are on the card of {model}")


def _save(subject: EvaluationTarget, file: Path) -> None:
    array = io.BytesIO()
    np.save(array, subject.probs_NK)
    write(file, array.getvalue())


def _keep(found: EvaluationReport, json_file: Path | None, page: Path | None, predictions: Path | None) -> None:
    """Write the figures, and say where they and the probabilities, which are written already, lie."""
    from mien.evaluation.report.pages import full_report_page

    if json_file is not None:
        write_json(json_file, found.to_dict())
    if page is not None:
        write(page, full_report_page(found).encode())
    print_written(json_file, page, predictions)


def _check(model: str, *, robustness: bool, detector: bool, beside: list[str], card: bool, page: Path | None) -> None:
    from mien.evaluation.predictions_file import is_predictions
    from mien.evaluation.report.style import require_report_libraries
    from mien.model import is_model

    if beside and not robustness:
        raise MienError("--beside names models whose robustness is measured too, so it needs --robustness")
    twice = [name for name, count in Counter([model, *beside]).items() if count > 1]
    if twice:
        raise MienError(f"--beside names other models than the one examined, each once; {twice[0]} is named twice")
    for name in [model] * (robustness or detector) + beside:
        if is_predictions(name):
            raise MienError(
                f"{name} says nothing of other images, which --robustness and --detector need; give a model"
            )
    if card and (is_predictions(model) or not is_model(model)):
        raise ModelError(f"{model} has no card to write to; a run gets one by: mien export")
    if page is not None:
        require_report_libraries()


def _check_figures(faces: Split, asked: list[str]) -> None:
    if asked and not faces.has_ground_truth:
        raise MienError(f"{faces.name} has no labels, so there are no figures; leave out: {', '.join(asked)}")


def _full_report(
    found: EvaluationReport,
    subject: EvaluationTarget,
    others: dict[str, Predictor],
    split: str,
    *,
    robustness: bool,
    detector: bool,
) -> EvaluationReport:
    from mien.evaluation import extend_report
    from mien.evaluation.full_report import steps

    assert subject.truth is not None, "a model with a judgement has a truth"
    assert subject.ask is not None, "and can be asked"
    for name, model in others.items():
        if not same_classes(model.labels, subject.truth.labels.names):
            raise MienError(f"{name} and {subject.name} tell other classes apart, so they cannot stand side by side")
    faces = subject.truth[split]
    models = {subject.name: subject.ask, **{name: model.ask for name, model in others.items()}}
    bar = StepProgressBar("altered", steps(faces, robustness=robustness, detector=detector))
    with stoppable("no figures are written"), bar:
        return extend_report(
            found, models, faces, subject.rule, robustness=robustness, detector=detector, step=bar.step
        )


def _show(found: EvaluationReport) -> None:
    from mien.evaluation.report.terminal import (
        confusion_table,
        detector_table,
        evaluation_table,
        protocols_table,
        robustness_table,
        selective_accuracy_table,
    )

    official = found.model_evaluation.official
    tables = [evaluation_table(official), confusion_table(official)]
    if len(found.model_evaluation.evaluations) > 1:
        tables.insert(0, protocols_table(found.model_evaluation))
    tables.append(selective_accuracy_table(found.model_evaluation))
    if found.robustness:
        tables.append(robustness_table(found.robustness))
    if found.detector_loop is not None:
        tables.append(detector_table(found.detector_loop))
    Console().print(*tables, sep="\n\n")
