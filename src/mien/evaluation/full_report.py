"""The full evaluation of one model: protocols, calibration, robustness, detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mien.data.dataset import Split
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.detector_loop import DetectorLoop, run_detector_loop
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.robustness import PredictFunction, Robustness, difference, measure_robustness
from mien.imaging.crop import CropRule


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """All results of the evaluation of one model.

    Attributes:
        model_evaluation: Evaluation on the unaltered split, by every protocol.
        robustness: Accuracy under corruptions, of the model first and then of other models; empty if not measured.
        detector_loop: Accuracy on detected faces; None if not measured.

    Example:
        >>> import mien
        >>> from mien.evaluation.protocols import evaluate_model
        >>> from mien.data import sketch
        >>> data = sketch(train=0, val=0, test=20)
        >>> _, model_evaluation = evaluate_model(mien.model.load("nano"), data, "test")
        >>> report = EvaluationReport(model_evaluation)
        >>> report.to_dict()["split"]
        'test'
    """

    model_evaluation: ModelEvaluation
    robustness: tuple[Robustness, ...] = ()
    detector_loop: DetectorLoop | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON types, with the keys `robustness` and `detector` if measured."""
        result = self.model_evaluation.to_dict()
        if self.robustness:
            first = self.robustness[0]
            result["robustness"] = [
                r.to_dict() | ({} if r is first else {"minus_the_first": difference(r, first).to_dict()})
                for r in self.robustness
            ]
        if self.detector_loop is not None:
            result["detector"] = self.detector_loop.to_dict()
        return result


def count_steps(faces: Split, *, robustness: bool, detector: bool) -> int:
    """Return the largest number of times that `extend_report` calls `step`."""
    conditions = sum(len(c.severities) for c in CORRUPTIONS.values())
    return conditions * robustness + len(faces) * detector


def extend_report(
    report: EvaluationReport,
    models: Mapping[str, PredictFunction],
    faces: Split,
    rule: CropRule,
    *,
    robustness: bool = False,
    detector: bool = False,
    step: Callable[[], None] = lambda: None,
) -> EvaluationReport:
    """Return a report extended by robustness and by accuracy on detected faces, which need the model itself.

    Args:
        report: Report to extend.
        models: Predict function by name, the evaluated model first; all have the same classes.
        faces: Evaluated faces, with the labels that the model is evaluated against.
        rule: Crop rule of the model.
        robustness: Whether to evaluate the models on corrupted faces.
        detector: Whether to evaluate the first model on faces that the detector finds in larger images.
        step: Callback after each detected face and each severity of a corruption.

    Raises:
        MienError: The faces or the probabilities of a model have another shape than expected.

    Example:
        >>> import mien
        >>> from mien.evaluation.protocols import evaluate_model
        >>> from mien.data import sketch
        >>> model, data = mien.model.load("nano"), sketch(train=0, val=0, test=4)
        >>> report = EvaluationReport(evaluate_model(model, data, "test")[1])
        >>> models = {"nano": model.probabilities}
        >>> report = extend_report(report, models, data["test"], model.card.crop, robustness=True)
        >>> len(report.robustness[0].accuracy)
        12
    """
    pixels_NHW, labels_N = faces.pixels_NHW, faces.labels_N
    if detector:  # first: it fails at once if no faces are detected, and robustness takes minutes
        predict = next(iter(models.values()))
        report = replace(report, detector_loop=run_detector_loop(predict, rule, pixels_NHW, labels_N, step=step))
    if robustness:
        report = replace(report, robustness=measure_robustness(models, pixels_NHW, labels_N, step=step))
    return report
