"""Results of one arm: mean and spread over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.comparison.runs import CURVES, RunRecord
from mien.evaluation.comparison.verdict import MIN_SEEDS, interval_for
from mien.evaluation.selection import EpochSelection, selected_by
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.intervals import FACES, Interval, faces_interval, wilson_interval
from mien.evaluation.statistics.metrics import Floats, Ints

# Two gaps, because the running training accuracy is measured on augmented images while the model still learns.
GAPS = {"gap_clean": "clean_accuracy", "gap_running": "train_accuracy"}


@dataclass(frozen=True)
class Spread:
    """One figure over the seeds; `std` has n - 1 below the line and is None for a single seed."""

    per_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.per_seed))

    @property
    def std(self) -> float | None:
        return float(np.std(self.per_seed, ddof=1)) if len(self.per_seed) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std, "n": len(self.per_seed), "per_seed": list(self.per_seed)}


@dataclass(frozen=True, eq=False)
class Curve:
    """One figure per seed and epoch, float64 [S,E]; epochs count from 1; NaN where a run had ended before."""

    values_SE: Floats

    @classmethod
    def of(cls, runs: Sequence[Sequence[float]]) -> Curve:
        """From each run's figures, epoch by epoch; shorter runs are filled up with NaN."""
        values_SE = np.full((len(runs), max(map(len, runs))), np.nan)
        for row_E, run in zip(values_SE, runs, strict=True):
            row_E[: len(run)] = run
        return cls(values_SE)

    @property
    def runs_E(self) -> Ints:
        """How many runs got as far as each epoch."""
        runs: Ints = (~np.isnan(self.values_SE)).sum(0)
        return runs

    @property
    def mean_E(self) -> Floats:
        """Over the runs that got that far."""
        mean: Floats = np.nansum(self.values_SE, 0) / self.runs_E
        return mean

    @property
    def std_E(self) -> Floats:
        """Over the runs that got that far, n - 1 below the line; NaN where that is a single one."""
        squares_E = np.nansum((self.values_SE - self.mean_E) ** 2, 0)
        below_E = self.runs_E - 1
        std: Floats = np.sqrt(np.divide(squares_E, below_E, out=np.full(len(below_E), np.nan), where=below_E > 0))
        return std

    @property
    def peaks(self) -> tuple[int, ...]:
        """Per seed the epoch of the highest value, the first if several."""
        return tuple((np.nanargmax(self.values_SE, 1) + 1).tolist())

    @property
    def peak_of_mean(self) -> int:
        """The epoch of the highest mean among those that all runs reached: past them the mean is of other runs."""
        shared_E = self.runs_E == len(self.values_SE)
        return int(self.mean_E[shared_E].argmax()) + 1

    def at(self, epochs: Sequence[int]) -> Spread:
        """Each seed's value at its own one of `epochs`, [S] counted from 1."""
        return Spread(tuple(float(row_E[e - 1]) for row_E, e in zip(self.values_SE, epochs, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON types: None for NaN, and for the whole `std` of a single seed."""
        std = _or_none(self.std_E) if len(self.values_SE) > 1 else None
        return {"mean": _or_none(self.mean_E), "std": std, "per_seed": [_or_none(row_E) for row_E in self.values_SE]}


@dataclass(frozen=True, eq=False)
class Score:
    """How an arm does on one split at the judged epoch.

    Attributes:
        n: faces.
        accuracy, macro_f1, nll: over the seeds.
        accuracy_interval, macro_f1_interval: 95 %, over seeds and faces; over faces alone below three seeds.
        precision, recall, f1: per class, mean over the seeds, float64 [K]; `f1_std` their spread, or None.
        support: faces per class, int64 [K].
        confusion_KK: counts summed over the seeds, true class in rows.
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
    """One arm: its curves, its scores at the judged epoch, and what it cost.

    Attributes:
        arm: its name.
        seeds: rising.
        lengths: per seed how many epochs its run has; they differ only where the recipe lets a run end early.
        selected_epochs: per seed the epoch that the scores are of, counted from 1.
        curves: figure -> curve, for those of `records.CURVES` that were measured, and the gaps `gap_clean`
            (clean minus validation accuracy: overfitting) and `gap_running` (running training minus validation
            accuracy, as the student report read it), where there is a validation split.
        scores: split -> score at the judged epoch.
        clean: split -> the same of the faces without a byte-identical duplicate in training; lacks a split where that
            is not known, or leaves none.
        seconds: training time of a run.
        images_per_second: training images a second, mean over a run's epochs.
        machines: the different machines that the runs ran on.
        recipe: what was trained.
    """

    arm: str
    seeds: tuple[int, ...]
    lengths: tuple[int, ...]
    selected_epochs: tuple[int, ...]
    curves: Mapping[str, Curve]
    scores: Mapping[str, Score]
    clean: Mapping[str, Score]
    seconds: Spread
    images_per_second: Spread | None
    machines: tuple[Mapping[str, object], ...]
    recipe: Mapping[str, object]

    @property
    def epochs(self) -> int:
        """Passes over the training split, of the longest run."""
        return max(self.lengths)

    @property
    def selected_by(self) -> str | None:
        """The measure that chose the judged epochs, such as `val_accuracy`; None where they are the last."""
        return selected_by(self.recipe)

    @property
    def chosen(self) -> EpochSelection:
        """The same in words."""
        return EpochSelection({self.arm: self.selected_by})

    @property
    def peaks(self) -> tuple[int, ...]:
        """Per seed the epoch at which validation accuracy peaks, the first if several; empty without validation."""
        curve = self.curves.get("val_accuracy")
        return () if curve is None else curve.peaks

    @property
    def peak_of_mean(self) -> int | None:
        """The epoch at which validation accuracy, averaged over the seeds, peaks."""
        curve = self.curves.get("val_accuracy")
        return None if curve is None else curve.peak_of_mean

    def judged(self, name: str) -> Spread:
        """The figure `name` of the curves at each run's judged epoch."""
        return self.curves[name].at(self.selected_epochs)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
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
            "scores_deduplicated": {split: score.to_dict(class_names) for split, score in self.clean.items()},
            "seconds": self.seconds.to_dict(),
            "images_per_second": self.images_per_second.to_dict() if self.images_per_second else None,
            "machines": [dict(m) for m in self.machines],
            "recipe": dict(self.recipe),
        }


def summarize_arm(
    runs: Sequence[RunRecord],
    truth: Mapping[str, NDArray[np.int64]],
    clean: Mapping[str, NDArray[np.bool_]],
    classes: int,
) -> ArmResult:
    """What `runs`, of one arm and already checked, come to.

    Args:
        truth: split -> labels [N].
        clean: split -> which of these faces are in training nowhere, bool [N]; may lack splits.
        classes: how many.
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
        selected_epochs=tuple(run.judged for run in runs),
        curves=curves,
        scores={split: score([r.probabilities[split] for r in runs], y, classes) for split, y in truth.items()},
        clean={
            split: score([r.probabilities[split][keep_N] for r in runs], truth[split][keep_N], classes)
            for split, keep_N in clean.items()
        },
        seconds=Spread(tuple(float(run.seconds) for run in runs)),
        images_per_second=Spread(tuple(float(np.mean(r)) for r in rates)) if all(rates) else None,
        machines=_different([run.machine for run in runs]),
        recipe=runs[0].recipe,
    )


def score(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Score:
    """The figures of an arm's runs at the judged epoch, `probabilities` [N,K] each, on one split."""
    told = [p.argmax(1) for p in probabilities]
    counts = [metrics.confusion_matrix(labels_N, t, classes) for t in told]
    tables = [metrics.per_class(c) for c in counts]
    f1_SK = np.array([t.f1 for t in tables])
    right_SN = right(probabilities, labels_N)
    return Score(
        n=len(labels_N),
        accuracy=Spread(tuple(right_SN.mean(1).tolist())),
        accuracy_interval=_accuracy_interval(right_SN),
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


def right(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints) -> Floats:
    """1 where a run tells a face right, else 0: float64 [S,N]."""
    return np.array([p.argmax(1) == labels_N for p in probabilities], np.float64)


def macro_f1_contributions(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Floats:
    """Each face's share in each run's macro-F1, float64 [S,N]; see `metrics.macro_f1_by_face`."""
    return np.array([metrics.macro_f1_by_face(labels_N, p.argmax(1), classes) for p in probabilities])


def _accuracy_interval(right_SN: Floats) -> Interval:
    """Over seeds and faces; for one seed Wilson's, for two that of the mean, both over faces alone."""
    if len(right_SN) >= MIN_SEEDS:
        both = interval_for(right_SN)
        return Interval(both.mean, max(0.0, both.low), min(1.0, both.high), both.covers, both.se_seeds, both.se_faces)
    mean, n = float(right_SN.mean()), right_SN.shape[1]
    if len(right_SN) > 1:
        return faces_interval(right_SN)
    low, high = wilson_interval(float(right_SN.sum()), n)
    return Interval(mean, low, high, FACES, 0.0, math.sqrt(mean * (1 - mean) / n))


def _or_none(values: Floats) -> list[float | None]:
    return [None if math.isnan(v) else v for v in values.tolist()]


def _different(machines: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    found: list[Mapping[str, object]] = []
    for machine in machines:
        if dict(machine) not in [dict(m) for m in found]:
            found.append(machine)
    return tuple(found)
