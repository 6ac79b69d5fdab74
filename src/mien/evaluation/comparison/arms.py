"""Results of one arm: mean and spread over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.comparison.curves import Curve, Spread
from mien.evaluation.comparison.runs import CURVES, RunRecord
from mien.evaluation.comparison.verdict import MIN_SEEDS, interval_for
from mien.evaluation.selection import EpochSelection, selected_by
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.intervals import FACES, Interval, faces_interval, wilson_interval
from mien.evaluation.statistics.metrics import Floats, Ints

# Two gaps: the running training accuracy is measured on augmented images during the epoch.
GAPS = {"gap_train_eval": "train_eval_accuracy", "gap_running": "train_accuracy"}


@dataclass(frozen=True, eq=False)
class Score:
    """Metrics of an arm on one split at the evaluated epoch.

    Attributes:
        n: Number of faces.
        accuracy, macro_f1, log_loss: Values over the seeds.
        accuracy_interval, macro_f1_interval: 95 % intervals over seeds and faces; over faces alone below three seeds.
        precision, recall, f1: Mean over the seeds per class, float64 [K].
        f1_std: Standard deviation of F1 over the seeds, float64 [K]; None for a single seed.
        support: Faces per class, int64 [K].
        confusion_KK: Counts summed over the seeds, true classes in rows.
    """

    n: int
    accuracy: Spread
    accuracy_interval: Interval
    macro_f1: Spread
    macro_f1_interval: Interval
    log_loss: Spread
    precision: Floats
    recall: Floats
    f1: Floats
    f1_std: Floats | None
    support: Ints
    confusion_KK: Ints

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return all metrics as JSON types."""
        rows = zip(class_names, self.precision, self.recall, self.f1, self.support, strict=True)
        return {
            "n": self.n,
            "accuracy": {**self.accuracy.to_dict(), "interval": self.accuracy_interval.to_dict()},
            "macro_f1": {**self.macro_f1.to_dict(), "interval": self.macro_f1_interval.to_dict()},
            "log_loss": self.log_loss.to_dict(),
            "classes": [
                {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
                for name, p, r, f, n in rows
            ],
            "confusion_matrix": self.confusion_KK.tolist(),
        }


@dataclass(frozen=True, eq=False)
class ArmResult:
    """Results of one arm: curves, scores at the evaluated epoch, and training time.

    Attributes:
        arm: Name of the arm.
        seeds: Seeds in ascending order.
        lengths: Number of epochs per seed; they differ only with early stopping.
        selected_epochs: Evaluated epoch per seed, counted from 1.
        curves: Curve by name, for those of `runs.CURVES` that were measured. With a validation split there are also
            the gaps `gap_train_eval` (accuracy on unaugmented training faces minus validation accuracy: overfitting)
            and `gap_running` (running training accuracy minus validation accuracy, as in the student report).
        scores: Score by split.
        deduplicated: Score by split of the faces without a byte-identical duplicate in training; lacks a split without
            such faces, and all splits without training data.
        seconds: Training time per run.
        images_per_second: Training images per second, mean over the epochs of a run.
        machines: Distinct machines that the runs ran on.
        recipe: The trained recipe.
    """

    arm: str
    seeds: tuple[int, ...]
    lengths: tuple[int, ...]
    selected_epochs: tuple[int, ...]
    curves: Mapping[str, Curve]
    scores: Mapping[str, Score]
    deduplicated: Mapping[str, Score]
    seconds: Spread
    images_per_second: Spread | None
    machines: tuple[Mapping[str, object], ...]
    recipe: Mapping[str, object]

    @property
    def epochs(self) -> int:
        """The number of epochs of the longest run."""
        return max(self.lengths)

    @property
    def selected_by(self) -> str | None:
        """The metric that selected the evaluated epochs, such as `val_accuracy`; None for the last epoch."""
        return selected_by(self.recipe)

    @property
    def epoch_selection(self) -> EpochSelection:
        """The selection of the evaluated epochs, in words."""
        return EpochSelection({self.arm: self.selected_by})

    @property
    def peaks(self) -> tuple[int, ...]:
        """The epoch of the highest validation accuracy per seed, the first of equals; empty without validation."""
        curve = self.curves.get("val_accuracy")
        return () if curve is None else curve.peaks

    @property
    def peak_of_mean(self) -> int | None:
        """The epoch of the highest mean validation accuracy over the seeds; None without validation."""
        curve = self.curves.get("val_accuracy")
        return None if curve is None else curve.peak_of_mean

    def at_selected_epoch(self, name: str) -> Spread:
        """Return the value of the curve `name` at the evaluated epoch of each run."""
        return self.curves[name].at(self.selected_epochs)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return all results as JSON types."""
        return {
            "arm": self.arm,
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "lengths": {"per_seed": list(self.lengths)},
            "selected_by": self.selected_by,
            "selected_epoch": {"per_seed": list(self.selected_epochs)},
            "curves": {name: curve.to_dict() for name, curve in self.curves.items()},
            "validation_peak_epoch": {"of_mean": self.peak_of_mean, "per_seed": list(self.peaks)},
            "scores": {split: score.to_dict(class_names) for split, score in self.scores.items()},
            "scores_deduplicated": {split: score.to_dict(class_names) for split, score in self.deduplicated.items()},
            "seconds": self.seconds.to_dict(),
            "images_per_second": self.images_per_second.to_dict() if self.images_per_second else None,
            "machines": [dict(m) for m in self.machines],
            "recipe": dict(self.recipe),
        }


def summarize_arm(
    runs: Sequence[RunRecord],
    truth: Mapping[str, NDArray[np.int64]],
    deduplicated: Mapping[str, NDArray[np.bool_]],
    classes: int,
) -> ArmResult:
    """Return the results of the runs of one arm.

    Args:
        runs: Checked runs (`runs.group_by_arm`).
        truth: Labels by split, int64 [N].
        deduplicated: Mask by split of the faces without a duplicate in training, bool [N]; may lack splits.
        classes: Number of classes.
    """
    curves = {
        name: Curve.of([[epoch[name] for epoch in run.history] for run in runs])
        for name in CURVES
        if name in runs[0].history[0]
    }
    if "val_accuracy" in curves:
        for gap, of in GAPS.items():
            if of in curves:
                curves[gap] = Curve(curves[of].values_SE - curves["val_accuracy"].values_SE)
    rates = [[e["images_per_second"] for e in run.history if "images_per_second" in e] for run in runs]
    return ArmResult(
        arm=runs[0].arm,
        seeds=tuple(run.seed for run in runs),
        lengths=tuple(len(run.history) for run in runs),
        selected_epochs=tuple(run.evaluated_epoch for run in runs),
        curves=curves,
        scores={split: score([r.probabilities[split] for r in runs], y, classes) for split, y in truth.items()},
        deduplicated={
            split: score([r.probabilities[split][keep_N] for r in runs], truth[split][keep_N], classes)
            for split, keep_N in deduplicated.items()
        },
        seconds=Spread(tuple(float(run.seconds) for run in runs)),
        images_per_second=Spread(tuple(float(np.mean(r)) for r in rates)) if all(rates) else None,
        machines=_distinct([run.machine for run in runs]),
        recipe=runs[0].recipe,
    )


def score(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Score:
    """Return the metrics of an arm on one split.

    Args:
        probabilities: Probabilities of each run at the evaluated epoch, [N,K] each.
        labels_N: True class indices, int64 [N].
        classes: Number of classes.
    """
    counts = [metrics.confusion_matrix(labels_N, p.argmax(1), classes) for p in probabilities]
    tables = [metrics.per_class(c) for c in counts]
    f1_SK = np.array([t.f1 for t in tables])
    correct_SN = correct(probabilities, labels_N)
    return Score(
        n=len(labels_N),
        accuracy=Spread(tuple(correct_SN.mean(1).tolist())),
        accuracy_interval=_accuracy_interval(correct_SN),
        macro_f1=Spread(tuple(f1_SK.mean(1).tolist())),
        macro_f1_interval=interval_for(macro_f1_contributions(probabilities, labels_N, classes)),
        log_loss=Spread(tuple(metrics.log_loss(p, labels_N) for p in probabilities)),
        precision=np.mean([t.precision for t in tables], axis=0),
        recall=np.mean([t.recall for t in tables], axis=0),
        f1=f1_SK.mean(0),
        f1_std=f1_SK.std(0, ddof=1) if len(f1_SK) > 1 else None,
        support=tables[0].support,
        confusion_KK=np.sum(counts, axis=0),
    )


def correct(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints) -> Floats:
    """Return 1 for each correct prediction of a run and 0 for each mistake, float64 [S,N]."""
    return np.array([p.argmax(1) == labels_N for p in probabilities], np.float64)


def macro_f1_contributions(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Floats:
    """Return the contribution of each face to the macro-F1 of each run (`metrics.macro_f1_by_face`), float64 [S,N]."""
    return np.array([metrics.macro_f1_by_face(labels_N, p.argmax(1), classes) for p in probabilities])


def _accuracy_interval(correct_SN: Floats) -> Interval:
    """Return the interval over seeds and faces; over faces alone for two seeds, and Wilson's for one."""
    if len(correct_SN) >= MIN_SEEDS:
        both = interval_for(correct_SN)
        return Interval(both.mean, max(0.0, both.low), min(1.0, both.high), both.covers, both.se_seeds, both.se_faces)
    mean, n = float(correct_SN.mean()), correct_SN.shape[1]
    if len(correct_SN) > 1:
        return faces_interval(correct_SN)
    low, high = wilson_interval(float(correct_SN.sum()), n)
    return Interval(mean, low, high, FACES, 0.0, math.sqrt(mean * (1 - mean) / n))


def _distinct(machines: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    result: list[Mapping[str, object]] = []
    for machine in machines:
        if dict(machine) not in [dict(m) for m in result]:
            result.append(machine)
    return tuple(result)
