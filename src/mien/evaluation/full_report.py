"""The full evaluation of one model: protocols, calibration, robustness, detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mien.data.dataset import Split
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.detector_loop import DetectorLoop, run_detector_loop
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.robustness import Ask, Robustness, difference, measure_robustness
from mien.imaging.crop import CropRule


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """What one model is worth, and where it fails.

    Attributes:
        judgement: on the split as it is, in every protocol.
        robustness: under corruptions, of the model itself first and then of those beside it; empty where not measured.
        looped: at the detector's box; None where not measured.
    """

    model_evaluation: ModelEvaluation
    robustness: tuple[Robustness, ...] = ()
    detector_loop: DetectorLoop | None = None

    def to_dict(self) -> dict[str, Any]:
        """The judgement's figures as JSON types, and within them `robustness` and `detector` where measured."""
        told = self.model_evaluation.to_dict()
        if self.robustness:
            first = self.robustness[0]
            told["robustness"] = [
                r.to_dict() | ({} if r is first else {"minus_the_first": difference(r, first).to_dict()})
                for r in self.robustness
            ]
        if self.detector_loop is not None:
            told["detector"] = self.detector_loop.to_dict()
        return told


def steps(faces: Split, *, robustness: bool, detector: bool) -> int:
    """How often `extend_report` calls its `step`, at most."""
    conditions = sum(len(c.strengths) for c in CORRUPTIONS.values())
    return conditions * robustness + len(faces) * detector


def extend_report(
    evaluation_report: EvaluationReport,
    models: Mapping[str, Ask],
    faces: Split,
    rule: CropRule,
    *,
    robustness: bool = False,
    detector: bool = False,
    step: Callable[[], None] = lambda: None,
) -> EvaluationReport:
    """Add to an examination what only the model itself can answer.

    Args:
        examination: as far as it has come.
        models: name -> what asks it: the model itself first, then those beside it, which tell the same classes apart.
        faces: those that the model is judged by, with the labels that it is judged by.
        rule: how faces are cut out for it.
        robustness: whether the models are asked for altered faces.
        detector: whether the model is asked for faces as the detector finds them.
        step: called after each face found and each altered set of faces.

    Raises:
        MienError: as `measure_robustness` and `run_detector_loop`.
    """
    pixels_NHW, labels_N = faces.pixels_NHW, faces.labels_N
    if detector:  # first, as it may find no faces, and that is better known before a quarter of an hour than after it
        ask = next(iter(models.values()))
        evaluation_report = replace(
            evaluation_report, detector_loop=run_detector_loop(ask, rule, pixels_NHW, labels_N, step=step)
        )
    if robustness:
        told = measure_robustness(models, pixels_NHW, labels_N, step=step)
        evaluation_report = replace(evaluation_report, robustness=told)
    return evaluation_report
