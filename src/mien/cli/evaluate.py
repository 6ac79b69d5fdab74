"""`mien evaluate`: what a net is worth, and where it fails."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from mien.cli.bars import StepBar
from mien.cli.options import Data, Device, Json, Page, Strict, Votes
from mien.cli.shell import stoppable, write, write_json
from mien.cli.subject import Subject, find_subject
from mien.errors import MienError, ModelError

if TYPE_CHECKING:
    from mien.judge import Examination

Judged = Annotated[
    str,
    typer.Argument(
        help="A shipped net's name, a net's folder or file, the folder of a run, a file of weights, or predictions "
        "[N,K] in row order, FILE.npy."
    ),
]


def evaluate(
    model: Judged,
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
        typer.Option(metavar="NET", help="With --robustness: a further net on the same faces; may be given again."),
    ] = None,
    detector: Annotated[
        bool, typer.Option("--detector", help="Also on faces laid into pictures and found by the detector.")
    ] = False,
    device: Device = "auto",
    strict: Strict = False,
    json_file: Json = None,
    page: Page = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the probabilities [N,K] in row order.")
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the figures of a test split into the net's card.json.")
    ] = False,
) -> None:
    """Judge a trained net, or the predictions of any package, on one split."""
    from mien import judge
    from mien.data import load

    _refuse(model, robustness=robustness, detector=detector, beside=beside or [], card=card)
    dataset = load(data, votes=votes)
    if card:
        judge.refuse_card(model, dataset, split)
    subject = find_subject(model, dataset, split, tta=tta, device=device, columns=labels, strict=strict)
    if predictions is not None:
        _save(subject, predictions)
    if subject.judgement is None:
        typer.echo(f"{split} has no labels, so there are no figures; --predictions FILE.npy writes the probabilities")
        return
    found = judge.Examination(subject.judgement)
    if robustness or detector:
        others = [find_subject(name, dataset, split, tta=tta, device=device) for name in beside or []]
        found = _examined(found, [subject, *others], split, robustness=robustness, detector=detector)
    _show(found)
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if page is not None:
        write(page, judge.examination_page(found).encode())
    if card:
        judge.fill_card(model, subject.judgement)
        typer.echo(f"the figures are on the card of {model}")


def _save(subject: Subject, file: Path) -> None:
    array = io.BytesIO()
    np.save(array, subject.told_NK)
    write(file, array.getvalue())


def _refuse(model: str, *, robustness: bool, detector: bool, beside: list[str], card: bool) -> None:
    from mien.judge.predictions import is_predictions
    from mien.model import is_net

    if beside and not robustness:
        raise MienError("--beside names nets whose robustness is measured too, so it needs --robustness")
    twice = [name for name, count in Counter([model, *beside]).items() if count > 1]
    if twice:
        raise MienError(f"--beside names other nets than the one examined, each once; {twice[0]} is named twice")
    for name in [model] * (robustness or detector) + beside:
        if is_predictions(name):
            raise MienError(
                f"{name} says nothing of other pictures, which --robustness and --detector need; give a net"
            )
    if card and (is_predictions(model) or not is_net(model)):
        raise ModelError(f"{model} has no card to write to; a run gets one by: mien export")


def _examined(
    found: Examination, subjects: list[Subject], split: str, *, robustness: bool, detector: bool
) -> Examination:
    from mien.judge import examine, steps

    first, *others = subjects
    for other in others:
        if other.truth is None or first.truth is None or other.truth.labels != first.truth.labels:
            raise MienError(
                f"{other.name} and {first.name} tell other classes apart, so they cannot stand side by side"
            )
    assert first.truth is not None, "a net with a judgement has a truth"
    faces = first.truth[split]
    nets = {one.name: one.ask for one in subjects if one.ask is not None}
    bar = StepBar("altered", steps(faces, robustness=robustness, detector=detector))
    with stoppable("no figures are written"), bar:
        return examine(found, nets, faces, first.rule, robustness=robustness, detector=detector, step=bar.step)


def _show(found: Examination) -> None:
    from mien import judge

    official = found.judgement.official
    tables = [judge.evaluation_table(official), judge.confusion_table(official)]
    if len(found.judgement.evaluations) > 1:
        tables.insert(0, judge.judgement_table(found.judgement))
    tables.append(judge.refusal_table(found.judgement))
    if found.robustness:
        tables.append(judge.robustness_table(found.robustness))
    if found.looped is not None:
        tables.append(judge.detector_table(found.looped))
    Console().print(*tables, sep="\n\n")
