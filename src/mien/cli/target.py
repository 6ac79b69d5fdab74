"""The models that `evaluate` and `benchmark` take: ONNX models, training runs or files of predictions."""

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
    from mien.evaluation.robustness import PredictFunction
    from mien.imaging.crop import CropRule
    from mien.labels import LabelSet


@dataclass(frozen=True, eq=False)
class EvaluationTarget:
    """A model or a file of predictions, evaluated on a split.

    Attributes:
        name: Name for titles.
        probs_NK: Probabilities of all faces of the split, float32 [N,K].
        model_evaluation: The evaluation; None if the split has no labels.
        truth: The data with the labels that the model is evaluated against; None without labels and for a file.
        rule: Crop rule of the model.
        predict: Predict function for other faces, with the same test-time augmentation; None for a file.
    """

    name: str
    probs_NK: NDArray[np.float32]
    model_evaluation: ModelEvaluation | None
    truth: Dataset | None
    rule: CropRule
    predict: PredictFunction | None


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
    """Evaluate a model, a run or a file of predictions on a split.

    Args:
        model: A model as in `mien.load`, weights as in `mien.train`, or a file of predictions.
        dataset: The data as loaded.
        split: Name of the split.
        tta: `none`, or `flip`, averaged with the mirror image.
        device: Device of a run or of weights.
        columns: Class names of the columns of predictions; None for the classes of the data.
        strict: Whether to evaluate by the protocol `strict` too.

    Raises:
        MienError: The model cannot be found or read, or does not fit the data.
    """
    from mien.evaluation.common_classes import restrict_predict
    from mien.evaluation.predictions_file import is_predictions
    from mien.evaluation.protocols import evaluate_predictor, truth_for

    _check(model, columns)
    if is_predictions(model):
        return _file(model, dataset, split, tta, columns, strict)
    predictor = open_predictor(model, device=device, tta=tta)
    probs_NK, evaluation = evaluate_predictor(predictor, dataset, split, name=model, strict=strict)
    truth = truth_for(predictor, dataset, split)
    predict = predictor.predict if truth is None else restrict_predict(predictor, truth.labels, model)
    return EvaluationTarget(model, probs_NK, evaluation, truth, predictor.rule, predict)


def benchmark_entry(
    model: str, dataset: Dataset, split: str, *, name: str, device: str = "auto", columns: str | None = None
) -> BenchmarkEntry:
    """Return the predictions of a model for all faces of a split, in its own classes, as an entry of a benchmark.

    They are not evaluated yet, so models of FER+'s classes and models trained on votes need no votes here.

    Args:
        model: A model as in `mien.load`, weights as in `mien.train`, or a file of predictions.
        dataset: The data as loaded.
        split: Name of the split.
        name: Name for titles.
        device: Device of a run or of weights.
        columns: Class names of the columns of predictions; None for the classes of the data.

    Raises:
        MienError: The model cannot be found or read, or does not fit the data.
    """
    from mien.evaluation.comparison.benchmark import BenchmarkEntry
    from mien.evaluation.predictions_file import is_predictions, read_predictions_of_split
    from mien.evaluation.training_data import selected_on_split

    _check(model, columns)
    if is_predictions(model):
        return BenchmarkEntry(name, *read_predictions_of_split(model, dataset, split, columns=columns))
    predictor = open_predictor(model, device=device)
    probs_NK = predictor.predict(dataset[split].pixels_NHW)
    return BenchmarkEntry(
        name, _label_set(predictor.labels, dataset), probs_NK, selected_on_split(predictor, dataset, split)
    )


def open_predictor(model: str, *, device: str = "auto", tta: str = "none") -> Predictor:
    """Return the predictor of an ONNX model, a run or weights.

    Args:
        model: A model as in `mien.load`, or weights as in `mien.train`.
        device: Device of a run or of weights.
        tta: Test-time augmentation: `none`, or `flip`, averaged with the mirror image.

    Raises:
        MienError: The model cannot be found or read, or does not run on `device`.
    """
    from mien import model as onnx_models
    from mien.evaluation.predictor import Predictor

    if not onnx_models.is_model(model):
        from mien.train.predict import load_predictor

        return load_predictor(model, device=device, tta=tta)
    if device not in ("auto", "cpu"):
        raise MienError(f"exported models run on the CPU: --device must be auto or cpu, not {device}")
    return Predictor.of(onnx_models.load(model), tta)


def _check(model: str, columns: str | None) -> None:
    from mien.evaluation.predictions_file import is_predictions

    if columns is not None and not is_predictions(model):
        raise MienError(f"--labels names the columns of a file of predictions, but {model} is a model; leave it out")


def _file(file: str, dataset: Dataset, split: str, tta: str, columns: str | None, strict: bool) -> EvaluationTarget:
    from mien.evaluation import evaluate_predictions
    from mien.imaging.crop import DEFAULT_CROP_RULE

    if tta != "none":
        raise MienError(f"{file} is a file of predictions, so --tta {tta} cannot be applied; leave it out")
    probs_NK, model_evaluation = evaluate_predictions(file, dataset, split, columns=columns, name=file, strict=strict)
    return EvaluationTarget(file, probs_NK, model_evaluation, None, DEFAULT_CROP_RULE, None)


def _label_set(names: tuple[str, ...], dataset: Dataset) -> LabelSet:
    """Return the label set of a model; that of the data if the classes are the same."""
    from mien.labels import LabelSet, same_classes

    return dataset.labels if same_classes(names, dataset.labels.names) else LabelSet("the model's", names)
