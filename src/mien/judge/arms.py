"""What the runs of one arm come to: curves over the epochs and last-epoch figures, mean and spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.judge import metrics
from mien.judge.intervals import FACES, Interval, faces_interval, wilson_interval
from mien.judge.metrics import Floats, Ints
from mien.judge.records import CURVES, RunRecord
from mien.judge.verdict import FEWEST_SEEDS, interval_for

# Two gaps, because the running training accuracy is measured on augmented pictures while the net still learns.
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
    """One figure per seed and epoch, float64 [S,E]; epochs count from 1."""

    values_SE: Floats

    @property
    def mean_E(self) -> Floats:
        mean: Floats = self.values_SE.mean(0)
        return mean

    @property
    def std_E(self) -> Floats:
        """Over the seeds, n - 1 below the line; zeros for a single seed."""
        if len(self.values_SE) < 2:
            return np.zeros_like(self.mean_E)
        std: Floats = self.values_SE.std(0, ddof=1)
        return std

    def to_dict(self) -> dict[str, Any]:
        std = self.std_E.tolist() if len(self.values_SE) > 1 else None
        return {"mean": self.mean_E.tolist(), "std": std, "per_seed": self.values_SE.tolist()}


@dataclass(frozen=True, eq=False)
class Score:
    """How an arm does on one split after the last epoch.

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
    nll: Spread
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
            "nll": self.nll.to_dict(),
            "classes": [
                {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
                for name, p, r, f, n in rows
            ],
            "confusion": self.confusion_KK.tolist(),
        }


@dataclass(frozen=True, eq=False)
class ArmResult:
    """One arm: its curves, its last-epoch scores, and what it cost.

    Attributes:
        arm: its name.
        seeds: rising.
        epochs: passes over the training split.
        curves: figure -> curve, for those of `records.CURVES` that were measured, and the gaps `gap_clean`
            (clean minus validation accuracy: overfitting) and `gap_running` (running training minus validation
            accuracy, as the student report read it), where there is a validation split.
        peaks: per seed the epoch at which validation accuracy peaks, the first if several; empty without validation.
        scores: split -> last-epoch score.
        seconds: training time of a run.
        images_per_second: training pictures a second, mean over a run's epochs.
        machines: the different machines that the runs ran on.
        recipe: what was trained.
    """

    arm: str
    seeds: tuple[int, ...]
    epochs: int
    curves: Mapping[str, Curve]
    peaks: tuple[int, ...]
    scores: Mapping[str, Score]
    seconds: Spread
    images_per_second: Spread | None
    machines: tuple[Mapping[str, object], ...]
    recipe: Mapping[str, object]

    @property
    def peak_of_mean(self) -> int | None:
        """The epoch at which validation accuracy, averaged over the seeds, peaks."""
        curve = self.curves.get("val_accuracy")
        return None if curve is None else int(curve.mean_E.argmax()) + 1

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        return {
            "arm": self.arm,
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "curves": {name: curve.to_dict() for name, curve in self.curves.items()},
            "validation_peak_epoch": {"of_mean": self.peak_of_mean, "per_seed": list(self.peaks)},
            "last_epoch": {split: score.to_dict(class_names) for split, score in self.scores.items()},
            "seconds": self.seconds.to_dict(),
            "images_per_second": self.images_per_second.to_dict() if self.images_per_second else None,
            "machines": [dict(m) for m in self.machines],
            "recipe": dict(self.recipe),
        }


def summarise(runs: Sequence[RunRecord], truth: Mapping[str, NDArray[np.int64]], classes: int) -> ArmResult:
    """What `runs`, of one arm and already checked, come to on the splits whose labels [N] are in `truth`."""
    curves = {
        name: Curve(np.array([[epoch[name] for epoch in run.history] for run in runs]))
        for name in CURVES
        if name in runs[0].history[0]
    }
    if "val_accuracy" in curves:
        for gap, of in GAPS.items():
            if of in curves:
                curves[gap] = Curve(curves[of].values_SE - curves["val_accuracy"].values_SE)
    peaks = curves["val_accuracy"].values_SE.argmax(1) + 1 if "val_accuracy" in curves else np.array([], int)
    rates = [[e["images_per_second"] for e in run.history if "images_per_second" in e] for run in runs]
    return ArmResult(
        arm=runs[0].arm,
        seeds=tuple(run.seed for run in runs),
        epochs=len(runs[0].history),
        curves=curves,
        peaks=tuple(peaks.tolist()),
        scores={split: score([r.probabilities[split] for r in runs], y, classes) for split, y in truth.items()},
        seconds=Spread(tuple(float(run.seconds) for run in runs)),
        images_per_second=Spread(tuple(float(np.mean(r)) for r in rates)) if all(rates) else None,
        machines=_different([run.machine for run in runs]),
        recipe=runs[0].recipe,
    )


def score(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Score:
    """The last-epoch figures of an arm's runs, `probabilities` [N,K] each, on one split."""
    told = [p.argmax(1) for p in probabilities]
    counts = [metrics.confusion(labels_N, t, classes) for t in told]
    tables = [metrics.per_class(c) for c in counts]
    f1_SK = np.array([t.f1 for t in tables])
    right_SN = right(probabilities, labels_N)
    return Score(
        n=len(labels_N),
        accuracy=Spread(tuple(right_SN.mean(1).tolist())),
        accuracy_interval=_accuracy_interval(right_SN),
        macro_f1=Spread(tuple(f1_SK.mean(1).tolist())),
        macro_f1_interval=interval_for(f1_shares(probabilities, labels_N, classes)),
        nll=Spread(tuple(metrics.nll(p, labels_N) for p in probabilities)),
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


def f1_shares(probabilities: Sequence[NDArray[np.float32]], labels_N: Ints, classes: int) -> Floats:
    """Each face's share in each run's macro-F1, float64 [S,N]; see `metrics.macro_f1_by_face`."""
    return np.array([metrics.macro_f1_by_face(labels_N, p.argmax(1), classes) for p in probabilities])


def _accuracy_interval(right_SN: Floats) -> Interval:
    """Over seeds and faces; for one seed Wilson's, for two that of the mean, both over faces alone."""
    if len(right_SN) >= FEWEST_SEEDS:
        both = interval_for(right_SN)
        return Interval(both.mean, max(0.0, both.low), min(1.0, both.high), both.covers, both.se_seeds, both.se_faces)
    mean, n = float(right_SN.mean()), right_SN.shape[1]
    if len(right_SN) > 1:
        return faces_interval(right_SN)
    low, high = wilson_interval(float(right_SN.sum()), n)
    return Interval(mean, low, high, FACES, 0.0, math.sqrt(mean * (1 - mean) / n))


def _different(machines: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    found: list[Mapping[str, object]] = []
    for machine in machines:
        if dict(machine) not in [dict(m) for m in found]:
            found.append(machine)
    return tuple(found)
