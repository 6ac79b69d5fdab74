"""`mien evaluate`: what a net is worth."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from mien.cli.options import Data, Device, Json, Votes
from mien.cli.shell import write, write_json
from mien.errors import MienError, ModelError

if TYPE_CHECKING:
    from mien.data import Dataset
    from mien.judge import Judgement


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A shipped net's name, a net's folder or file, the folder of a run, or a file of weights."),
    ],
    data: Data,
    split: Annotated[str, typer.Option(help="train, val or test.")],
    votes: Votes = None,
    tta: Annotated[str, typer.Option(help="none, or flip: averaged with the mirror image.")] = "none",
    device: Device = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Judge also without near-twins of training faces, which are looked for.")
    ] = False,
    json_file: Json = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the probabilities [N,K] in row order.")
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the figures of a test split into the net's card.json.")
    ] = False,
) -> None:
    """Judge a trained net on one split."""
    from mien import judge
    from mien.data import load
    from mien.model import is_net

    dataset, exported = load(data, votes=votes), is_net(model)
    if card and not exported:
        raise ModelError(f"{model} has no card to write to; a run gets one by: mien export")
    if card:
        judge.refuse_card(model, dataset, split)
    ask = _by_runtime if exported else _by_training
    probabilities_NK, found = ask(model, dataset, split, tta, device, strict)
    if predictions is not None:
        array = io.BytesIO()
        np.save(array, probabilities_NK)
        write(predictions, array.getvalue())
    if found is None:
        typer.echo(f"{split} has no labels, so there are no figures; --predictions FILE.npy writes the probabilities")
        return
    tables = [judge.evaluation_table(found.official), judge.confusion_table(found.official)]
    if len(found.evaluations) > 1:
        tables.insert(0, judge.judgement_table(found))
    Console().print(*tables, sep="\n\n")
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if card:
        judge.fill_card(model, found)
        typer.echo(f"the figures are on the card of {model}")


Told = tuple[NDArray[np.float32], "Judgement | None"]


def _by_runtime(model: str, dataset: Dataset, split: str, tta: str, device: str, strict: bool) -> Told:
    from mien.judge import judge_model
    from mien.model import load

    if device not in ("auto", "cpu"):
        raise MienError(f"a net that was exported runs on the CPU, so --device is auto or cpu, not {device}")
    return judge_model(load(model), dataset, split, tta=tta, name=model, strict=strict)


def _by_training(model: str, dataset: Dataset, split: str, tta: str, device: str, strict: bool) -> Told:
    from mien import judge
    from mien import train as room

    told_NK = room.predict(model, dataset, split, device=device, tta=tta)
    if not dataset[split].labelled and dataset[split].votes_NV is None:
        return told_NK, None
    truth, learned = room.as_judged(model, dataset), room.find_weights(model)
    chosen = judge.chosen_on(split, dataset, truth, learned.about["data"], learned.recipe["select"])
    rows_N = truth[split].rows_N
    return told_NK, judge.judge_split(
        told_NK, rows_N, dataset, truth, split, model=model, tta=tta, selected_on=chosen, strict=strict
    )
