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
    from mien.judge import Entry, Judgement
    from mien.judge.robustness import Ask
    from mien.labels import LabelSet
    from mien.model import Model


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

    _refuse(model, columns)
    if is_predictions(model):
        return _file(model, dataset, split, name or model, tta, columns, strict)
    return (_exported if is_net(model) else _trained)(model, dataset, split, name or model, tta, device, strict)


def find_entry(
    model: str, dataset: Dataset, split: str, *, name: str, device: str = "auto", columns: str | None = None
) -> Entry:
    """Ask what `model` names for all faces of a split, in its own classes, to hold it against others.

    Nothing is judged yet, so a net of FER+'s classes, or one that votes have taught, needs no votes here.

    Args:
        model, name, columns: as of `find_subject`.

    Raises:
        MienError: as `find_subject`.
    """
    from mien.judge import Entry
    from mien.judge.predictions import is_predictions, told_by_file
    from mien.model import is_net

    _refuse(model, columns)
    if is_predictions(model):
        return Entry(name, *told_by_file(model, dataset, split, columns=columns))
    return (_exported_entry if is_net(model) else _trained_entry)(model, dataset, split, name, device)


def _refuse(model: str, columns: str | None) -> None:
    from mien.judge.predictions import is_predictions

    if columns is not None and not is_predictions(model):
        raise MienError(f"--labels says what the columns of a file of predictions are, and {model} is a net")


def _file(file: str, dataset: Dataset, split: str, name: str, tta: str, columns: str | None, strict: bool) -> Subject:
    from mien.crop import MEASURED
    from mien.judge import judge_predictions

    if tta != "none":
        raise MienError(f"{file} holds what was said already, so --tta {tta} cannot be asked of it")
    told_NK, judgement = judge_predictions(file, dataset, split, columns=columns, name=name, strict=strict)
    return Subject(name, told_NK, judgement, None, MEASURED, None)


def _load(model: str, device: str) -> Model:
    from mien.model import load

    if device not in ("auto", "cpu"):
        raise MienError(f"a net that was exported runs on the CPU, so --device is auto or cpu, not {device}")
    return load(model)


def _exported(model: str, dataset: Dataset, split: str, name: str, tta: str, device: str, strict: bool) -> Subject:
    from mien.judge import judge_model
    from mien.judge.protocols import truth_for

    net = _load(model, device)
    told_NK, judgement = judge_model(net, dataset, split, tta=tta, name=name, strict=strict)
    ask = partial(net.probabilities, tta=tta)
    return Subject(name, told_NK, judgement, truth_for(net.card, dataset, split), net.card.crop, ask)


def _trained(model: str, dataset: Dataset, split: str, name: str, tta: str, device: str, strict: bool) -> Subject:
    from mien import judge
    from mien import train as room
    from mien.crop import MEASURED

    faces, ask = dataset[split], room.answering(model, device=device, tta=tta)
    if not faces.labelled and faces.votes_NV is None:
        return Subject(name, ask(faces.pixels_NHW), None, None, MEASURED, ask)
    truth, learned = room.as_judged(model, dataset), room.find_weights(model)
    told_NK = ask(faces.pixels_NHW)
    chosen = judge.chosen_on(split, dataset, truth, learned.about["data"], learned.recipe["select"])
    found = judge.judge_split(
        told_NK, faces.rows_N, dataset, truth, split, model=name, tta=tta, selected_on=chosen, strict=strict
    )
    return Subject(name, told_NK, found, truth, MEASURED, ask)


def _exported_entry(model: str, dataset: Dataset, split: str, name: str, device: str) -> Entry:
    from mien.judge import Entry
    from mien.judge.protocols import chosen_of, truth_for

    net, faces = _load(model, device), dataset[split]
    truth = None if faces.votes_NV is None else truth_for(net.card, dataset, split)
    chosen = chosen_of(net.card, dataset, truth or dataset, split)
    return Entry(name, _of_data(net.card.labels.names, dataset), net.probabilities(faces.pixels_NHW), chosen)


def _trained_entry(model: str, dataset: Dataset, split: str, name: str, device: str) -> Entry:
    from mien import train as room
    from mien.judge import Entry, chosen_on

    learned, faces = room.find_weights(model), dataset[split]
    truth = dataset if faces.votes_NV is None else room.as_judged(model, dataset)
    told_NK = room.answering(model, device=device)(faces.pixels_NHW)
    chosen = chosen_on(split, dataset, truth, learned.about["data"], learned.recipe["select"])
    return Entry(name, _of_data(learned.labels, dataset), told_NK, chosen)


def _of_data(names: tuple[str, ...], dataset: Dataset) -> LabelSet:
    """A net's classes, and those of the data themselves where they are the same."""
    from mien.labels import LabelSet

    return dataset.labels if names == dataset.labels.names else LabelSet("the net's", names)
