"""`evaluate`: all metrics of predictions on one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import NO_LABEL
from mien.errors import DataError, MienError
from mien.evaluation.confidence import CalibrationReport, calibration_report
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.calibration import cross_fitted_ece, log_probabilities
from mien.evaluation.statistics.intervals import FACES, LEVEL, wilson_interval
from mien.labels import LabelSet
from mien.model_card import OFFICIAL, OWN_LABELS, Score

# What a split may have chosen of a model that is then judged on it.
EPOCH, TEMPERATURE = "epoch", "temperature"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one model on one split.

    Attributes:
        split: name of the split.
        n: faces.
        labels: the label set; K classes.
        accuracy: share of faces told right, 0 to 1.
        low, high: its 95 % interval by Wilson (1927), which covers the draw of faces and not that of the seed.
        balanced_accuracy: plain mean of recall over the classes that have faces, 0 to 1.
        macro_f1: plain mean of F1 over the classes, 0 to 1.
        top2: share of faces whose class is one of the two likeliest, 0 to 1.
        nll: mean negative log probability of the true class, natural logarithm.
        brier: mean squared distance between probabilities and truth, summed over the classes, 0 to 2.
        ece: expected calibration error, 0 to 1 (`metrics.ece`); on what fitted the temperature, cross-fitted.
        balanced_ece: the same with every true class of equal weight (`metrics.balanced_ece`), cross-fitted alike.
        trust: confidence before and after a temperature, and what refusing the least sure faces buys.
        per_class: precision, recall, F1 and support of each class, [K] each.
        confusion_KK: counts int64 [K,K], true class in rows, class predicted in columns.
        data, model: what was judged on what, for titles; may be empty.
        tta: `none`, one forward a face, or `flip`, averaged with the mirror image.
        protocol: `official`, all faces, `clean`, those without a byte-identical duplicate in training, or `strict`,
            those without a near-duplicate there either.
        against: `labels`, the data's own, or `raters' majority`, that of FER+'s votes.
        selected_on: what this split chose of the model, `epoch`, `temperature` or both, so that the figures flatter.
    """

    split: str
    n: int
    labels: LabelSet
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    macro_f1: float
    top2: float
    log_loss: float
    brier: float
    ece: float
    balanced_ece: float
    calibration: CalibrationReport
    per_class: metrics.PerClass
    confusion_KK: metrics.Ints
    data: str = ""
    model: str = ""
    tta: str = "none"
    protocol: str = OFFICIAL
    against: str = OWN_LABELS
    selected_on: tuple[str, ...] = ()

    def to_score(self) -> Score:
        """The figures that a card keeps."""
        return Score(
            split=self.split,
            protocol=self.protocol,
            against=self.against,
            tta=self.tta,
            n=self.n,
            accuracy=self.accuracy,
            low=self.low,
            high=self.high,
            macro_f1=self.macro_f1,
            log_loss=self.log_loss,
            ece=self.ece,
            selected_on=bool(self.selected_on),
            balanced_ece=self.balanced_ece,
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        c = self.per_class
        return {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "protocol": self.protocol,
            "against": self.against,
            "tta": self.tta,
            "selected_on": list(self.selected_on),
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": {"low": self.low, "high": self.high, "level": LEVEL, "covers": FACES},
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "top2": self.top2,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "ece": self.ece,
            "balanced_ece": self.balanced_ece,
            "calibration": self.calibration.to_dict(),
            "classes": [
                {"name": name, "precision": p, "recall": r, "f1": f, "support": n}
                for name, p, r, f, n in zip(
                    self.labels.names,
                    c.precision.tolist(),
                    c.recall.tolist(),
                    c.f1.tolist(),
                    c.support.tolist(),
                    strict=True,
                )
            ],
            "confusion_matrix": self.confusion_KK.tolist(),
        }


def evaluate(
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: NDArray[np.integer[Any]],
    labels: LabelSet,
    *,
    split: str,
    data: str = "",
    model: str = "",
    tta: str = "none",
    protocol: str = OFFICIAL,
    against: str = OWN_LABELS,
    selected_on: tuple[str, ...] = (),
    temperature: float | None = None,
    cross_fit: bool = False,
) -> Evaluation:
    """Judge probabilities by the labels.

    Args:
        probabilities_NK: one row per face, [N,K], finite; the class with the largest is the one told.
        labels_N: class index per face, [N].
        labels: the K classes.
        split: name of the split, for the record and for messages.
        data, model: names for the record.
        tta, protocol, against, selected_on: as `Evaluation` has them.
        temperature: what the model's logits have been divided by, where that is known.
        cross_fit: whether the model's temperature was fitted to these probabilities and labels, so that their plain
            calibration error would be too good: each fifth of the faces is then judged by what the others ask for.

    Raises:
        MienError: shapes that do not match each other or the label set, or a probability that is no number.
        DataError: the split is empty or has faces without a label.
    """
    predicted_N, true_N = check(probabilities_NK, labels_N, labels, split=split, whose=model or "the model")
    counts_KK = metrics.confusion_matrix(true_N, predicted_N, len(labels))
    hits = int(np.trace(counts_KK))
    low, high = wilson_interval(hits, len(true_N))
    return Evaluation(
        split=split,
        n=len(true_N),
        labels=labels,
        accuracy=hits / len(true_N),
        low=low,
        high=high,
        balanced_accuracy=metrics.balanced_accuracy(counts_KK),
        macro_f1=metrics.macro_f1(counts_KK),
        top2=metrics.top(probabilities_NK, true_N),
        log_loss=metrics.log_loss(probabilities_NK, true_N),
        brier=metrics.brier(probabilities_NK, true_N),
        ece=_error(metrics.ece, probabilities_NK, true_N, cross_fit),
        balanced_ece=_error(metrics.balanced_ece, probabilities_NK, true_N, cross_fit),
        calibration=calibration_report(probabilities_NK, true_N, temperature=temperature, cross_fit=cross_fit),
        per_class=metrics.per_class(counts_KK),
        confusion_KK=counts_KK,
        data=data,
        model=model,
        tta=tta,
        protocol=protocol,
        against=against,
        selected_on=selected_on,
    )


def _error(
    error: Callable[[NDArray[np.floating[Any]], metrics.Ints], float],
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: metrics.Ints,
    cross_fit: bool,
) -> float:
    """A calibration error, cross-fitted or plain."""
    if cross_fit:
        return cross_fitted_ece(log_probabilities(probabilities_NK), labels_N, error=error)
    return error(probabilities_NK, labels_N)


def check(
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: NDArray[np.integer[Any]],
    labels: LabelSet,
    *,
    split: str,
    whose: str,
) -> tuple[metrics.Ints, metrics.Ints]:
    """The classes told and the true ones, int64 [N] each, once both are known to be sound; raises as `evaluate`."""
    n, k = len(labels_N), len(labels)
    if n == 0:
        raise DataError(f"split '{split}' has no faces to judge {whose} by")
    if probabilities_NK.shape != (n, k):
        raise MienError(
            f"split '{split}' has {n} faces of {k} classes, so {whose} needs probabilities [{n},{k}], "
            f"got {list(probabilities_NK.shape)}"
        )
    blank = int((np.asarray(labels_N) == NO_LABEL).sum())
    if blank:
        raise DataError(f"split '{split}': {blank} of {n} faces have no label, so nothing can be judged on it")
    if labels_N.min() < 0 or labels_N.max() >= k:
        raise DataError(f"split '{split}': labels run from {labels_N.min()} to {labels_N.max()}, expected 0 to {k - 1}")
    sound_N = np.isfinite(probabilities_NK).all(1)
    if not sound_N.all():
        first = int(np.flatnonzero(~sound_N)[0])
        raise MienError(
            f"split '{split}': probabilities of {whose} are no numbers in {int((~sound_N).sum())} of {n} rows, "
            f"first in row {first}"
        )
    return probabilities_NK.argmax(1).astype(np.int64), np.asarray(labels_N).astype(np.int64)
