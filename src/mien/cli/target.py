"""What `evaluate` and `judge` take: a model, a training run or a file of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import MienError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data import Dataset
    from mien.evaluation.comparison.benchmark import BenchmarkEntry
    from mien.evaluation.predictor import Predictor
    from mien.evaluation.protocols import ModelEvaluation
    from mien.evaluation.robustness import Ask
    from mien.imaging.crop import CropRule
    from mien.labels import LabelSet


@dataclass(frozen=True, eq=False)
class EvaluationTarget:
    """One model, or one file of predictions, and what it says of a split.

    Attributes:
        name: for titles.
        probs_NK: probabilities of all faces that it was asked for, float32 [N,K].
        judgement: what they are worth; None where nothing is known of the faces.
        truth: the data as a model is judged on it; None likewise, and for a file.
        rule: how faces are cut out for it.
        ask: asks it for other faces, in the same way; None for a file.
    """

    name: str
    probs_NK: NDArray[np.float32]
    model_evaluation: ModelEvaluation | None
    truth: Dataset | None
    rule: CropRule
    ask: Ask | None


def evaluate_target(
    model: str,
    dataset: Dataset,
    split: str,
    *,
    tta: str = "none",
    device: str = "auto",
    columns: str | None = None,
    strict: bool = False,
) -> EvaluationTarget:
    """Ask what `model` names for the faces of a split, and judge it.

    Args:
        model: a model, as `mien.load` finds it, weights, as `mien.train` does, or a file of predictions.
        columns: what the columns of predictions are; None for the data's own classes.
        strict: whether to judge by the protocol `strict` too.

    Raises:
        MienError: it cannot be found or read, or does not fit the data.
    """
    from mien.evaluation.predictions_file import is_predictions
    from mien.evaluation.protocols import evaluate_predictor, truth_for

    _check(model, columns)
    if is_predictions(model):
        return _file(model, dataset, split, tta, columns, strict)
    predictor = open_predictor(model, device=device, tta=tta)
    probs_NK, found = evaluate_predictor(predictor, dataset, split, name=model, strict=strict)
    return EvaluationTarget(model, probs_NK, found, truth_for(predictor, dataset, split), predictor.rule, predictor.ask)


def benchmark_entry(
    model: str, dataset: Dataset, split: str, *, name: str, device: str = "auto", columns: str | None = None
) -> BenchmarkEntry:
    """Ask what `model` names for all faces of a split, in its own classes, to hold it against others.

    Nothing is judged yet, so a model of FER+'s classes, or one that votes have taught, needs no votes here.

    Args:
        model, columns: as of `evaluate_target`.
        name: for titles.

    Raises:
        MienError: as `evaluate_target`.
    """
    from mien.evaluation.comparison.benchmark import BenchmarkEntry
    from mien.evaluation.predictions_file import is_predictions, read_predictions_of_split
    from mien.evaluation.protocols import selected_on_split

    _check(model, columns)
    if is_predictions(model):
        return BenchmarkEntry(name, *read_predictions_of_split(model, dataset, split, columns=columns))
    predictor = open_predictor(model, device=device)
    probs_NK = predictor.ask(dataset[split].pixels_NHW)
    return BenchmarkEntry(
        name, _of_data(predictor.labels, dataset), probs_NK, selected_on_split(predictor, dataset, split)
    )


def open_predictor(model: str, *, device: str = "auto", tta: str = "none") -> Predictor:
    """A model as a file, or weights; raises as `evaluate_target`."""
    from mien import model as files
    from mien.evaluation.predictor import Predictor

    if not files.is_model(model):
        from mien.train.predict import load_predictor

        return load_predictor(model, device=device, tta=tta)
    if device not in ("auto", "cpu"):
        raise MienError(f"a model that was exported runs on the CPU, so --device is auto or cpu, not {device}")
    return Predictor.of(files.load(model), tta)


def _check(model: str, columns: str | None) -> None:
    from mien.evaluation.predictions_file import is_predictions

    if columns is not None and not is_predictions(model):
        raise MienError(f"--labels says what the columns of a file of predictions are, and {model} is a model")


def _file(file: str, dataset: Dataset, split: str, tta: str, columns: str | None, strict: bool) -> EvaluationTarget:
    from mien.evaluation import evaluate_predictions
    from mien.imaging.crop import DEFAULT_CROP_RULE

    if tta != "none":
        raise MienError(f"{file} holds what was said already, so --tta {tta} cannot be asked of it")
    probs_NK, model_evaluation = evaluate_predictions(file, dataset, split, columns=columns, name=file, strict=strict)
    return EvaluationTarget(file, probs_NK, model_evaluation, None, DEFAULT_CROP_RULE, None)


def _of_data(names: tuple[str, ...], dataset: Dataset) -> LabelSet:
    """A model's classes, and those of the data themselves where they are the same."""
    from mien.labels import LabelSet, same_classes

    return dataset.labels if same_classes(names, dataset.labels.names) else LabelSet("the model's", names)
