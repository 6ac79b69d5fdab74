"""What is judged: a net as a file, trained weights, or predictions in a file, all asked in one way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mien.errors import MienError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.crop import CropRule
    from mien.data import Dataset
    from mien.judge import Judgement
    from mien.judge.robustness import Ask


@dataclass(frozen=True, eq=False)
class Subject:
    """One net, or one file of predictions, and what it says of a split.

    Attributes:
        name: for titles.
        told_NK: probabilities of all faces that it was asked for, float32 [N,K].
        judgement: what they are worth; None where nothing is known of the faces.
        truth: the data as a net is judged on it; None likewise, and for a file.
        rule: how faces are cut out for it.
        ask: asks it for other faces, in the same way; None for a file.
    """

    name: str
    told_NK: NDArray[np.float32]
    judgement: Judgement | None
    truth: Dataset | None
    rule: CropRule
    ask: Ask | None


def find_subject(
    model: str,
    dataset: Dataset,
    split: str,
    *,
    name: str = "",
    tta: str = "none",
    device: str = "auto",
    columns: str | None = None,
    strict: bool = False,
) -> Subject:
    """Ask what `model` names for the faces of a split, and judge it.

    Args:
        model: a net, as `mien.load` finds it, weights, as `mien.train` does, or a file of predictions.
        name: for titles; default `model`.
        columns: what the columns of predictions are; None for the data's own classes.
        strict: whether to judge by the protocol `strict` too.

    Raises:
        MienError: it cannot be found or read, or does not fit the data.
    """
    from mien.judge.predictions import is_predictions
    from mien.model import is_net

    if is_predictions(model):
        return _file(model, dataset, split, name or model, tta, columns, strict)
    if columns is not None:
        raise MienError(f"--labels says what the columns of a file of predictions are, and {model} is a net")
    return (_exported if is_net(model) else _trained)(model, dataset, split, name or model, tta, device, strict)


def _file(file: str, dataset: Dataset, split: str, name: str, tta: str, columns: str | None, strict: bool) -> Subject:
    from mien.crop import MEASURED
    from mien.judge import judge_predictions

    if tta != "none":
        raise MienError(f"{file} holds what was said already, so --tta {tta} cannot be asked of it")
    told_NK, judgement = judge_predictions(file, dataset, split, columns=columns, name=name, strict=strict)
    return Subject(name, told_NK, judgement, None, MEASURED, None)


def _exported(model: str, dataset: Dataset, split: str, name: str, tta: str, device: str, strict: bool) -> Subject:
    from mien.judge import judge_model
    from mien.judge.protocols import truth_for
    from mien.model import load

    if device not in ("auto", "cpu"):
        raise MienError(f"a net that was exported runs on the CPU, so --device is auto or cpu, not {device}")
    net = load(model)
    told_NK, judgement = judge_model(net, dataset, split, tta=tta, name=name, strict=strict)
    ask = partial(net.probabilities, tta=tta)
    return Subject(name, told_NK, judgement, truth_for(net.card, dataset, split), net.card.crop, ask)


def _trained(model: str, dataset: Dataset, split: str, name: str, tta: str, device: str, strict: bool) -> Subject:
    from mien import judge
    from mien import train as room
    from mien.crop import MEASURED

    told_NK = room.predict(model, dataset, split, device=device, tta=tta)
    ask = room.answering(model, device=device, tta=tta)
    if not dataset[split].labelled and dataset[split].votes_NV is None:
        return Subject(name, told_NK, None, None, MEASURED, ask)
    truth, learned = room.as_judged(model, dataset), room.find_weights(model)
    chosen = judge.chosen_on(split, dataset, truth, learned.about["data"], learned.recipe["select"])
    rows_N = truth[split].rows_N
    found = judge.judge_split(
        told_NK, rows_N, dataset, truth, split, model=name, tta=tta, selected_on=chosen, strict=strict
    )
    return Subject(name, told_NK, found, truth, MEASURED, ask)
