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

# What a split may have selected of a model that is then evaluated on it.
EPOCH, TEMPERATURE = "epoch", "temperature"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of one model on one split.

    Attributes:
        split: Name of the split.
        n: Number of faces.
        labels: Label set; K classes.
        accuracy: Fraction of correct predictions, 0 to 1.
        low, high: 95 % Wilson (1927) interval of the accuracy, over the sample of faces but not over training seeds.
        balanced_accuracy: Mean recall of the classes that have faces, 0 to 1.
        macro_f1: Mean F1 over the classes, 0 to 1; 0 for a class without faces (`missing_classes`).
        top2: Top-2 accuracy, 0 to 1.
        log_loss: Mean negative natural logarithm of the true class's probability.
        brier: Brier score, summed over the classes, 0 to 2.
        ece: Expected calibration error, 0 to 1 (`metrics.ece`); cross-fitted if these faces fitted the temperature.
        balanced_ece: Class-balanced calibration error (`metrics.balanced_ece`), cross-fitted in the same case.
        calibration: Calibration before and after temperature scaling, and the risk-coverage curve.
        per_class: Precision, recall, F1 and support of each class, [K] each.
        confusion_KK: Counts int64 [K,K], true classes in rows, predicted classes in columns.
        data, model: Names for titles; may be empty.
        tta: Test-time augmentation: `none`, or `flip`, averaged with the mirror image.
        protocol: `official`, all faces; `deduplicated`, those without a byte-identical duplicate in training; or
            `strict`, those without a near-duplicate there either.
        against: Labels of the evaluation: `labels`, those of the data, or `raters' majority`, the majority vote (FER+).
        selected_on: Parts of the model that were selected on this split, which makes the metrics optimistic: `epoch`,
            `temperature` or both.
        note: Classes that were left out because the model or the data does not have them, as a sentence; or empty.

    Example:
        >>> from mien.labels import LabelSet
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> result = evaluate(probabilities, np.array([0, 1, 1]), LabelSet("two", ("sad", "happy")), split="test")
        >>> print(f"{result.accuracy:.3f} ({result.low:.3f} to {result.high:.3f})")
        0.667 (0.208 to 0.939)
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
    note: str = ""

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Classes without faces; their F1 is 0 in macro-F1."""
        return tuple(name for name, n in zip(self.labels.names, self.per_class.support, strict=True) if not n)

    def to_score(self) -> Score:
        """Return the metrics that a model card stores."""
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
        """Return all metrics as JSON types."""
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
            "missing_classes": list(self.missing_classes),
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
        } | ({"note": self.note} if self.note else {})


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
    note: str = "",
) -> Evaluation:
    """Evaluate probabilities against labels.

    Args:
        probabilities_NK: One row per face, [N,K], finite; the prediction is the class with the largest probability.
        labels_N: True class indices, int [N].
        labels: Label set; K classes.
        split: Name of the split, for titles and errors.
        data: Name of the data, for titles.
        model: Name of the model, for titles.
        tta: Test-time augmentation of the probabilities, as in `Evaluation`.
        protocol: Protocol by which the faces were chosen, as in `Evaluation`.
        against: Kind of `labels_N`, as in `Evaluation`.
        selected_on: Parts of the model that were selected on this split, as in `Evaluation`.
        temperature: Temperature that the logits are divided by, if known.
        cross_fit: Whether the temperature was fitted to these probabilities and labels. The calibration error would be
            optimistic, so it is cross-fitted: each fifth of the faces gets the temperature of the other four.
        note: Classes that were left out, as in `Evaluation`.

    Raises:
        MienError: Shapes do not match each other or the label set, or a probability is not finite.
        DataError: The split is empty or has faces without a label.

    Example:
        >>> from mien.labels import LabelSet
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> evaluate(probabilities, np.array([0, 1]), LabelSet("two", ("sad", "happy")), split="test").accuracy
        1.0
    """
    predicted_N, true_N = check_probabilities(
        probabilities_NK, labels_N, labels, split=split, whose=model or "the model"
    )
    counts_KK = metrics.confusion_matrix(true_N, predicted_N, len(labels))
    correct = int(np.trace(counts_KK))
    low, high = wilson_interval(correct, len(true_N))
    return Evaluation(
        split=split,
        n=len(true_N),
        labels=labels,
        accuracy=correct / len(true_N),
        low=low,
        high=high,
        balanced_accuracy=metrics.balanced_accuracy(counts_KK),
        macro_f1=metrics.macro_f1(counts_KK),
        top2=metrics.top(probabilities_NK, true_N),
        log_loss=metrics.log_loss(probabilities_NK, true_N),
        brier=metrics.brier(probabilities_NK, true_N),
        ece=_calibration_error(metrics.ece, probabilities_NK, true_N, cross_fit),
        balanced_ece=_calibration_error(metrics.balanced_ece, probabilities_NK, true_N, cross_fit),
        calibration=calibration_report(probabilities_NK, true_N, temperature=temperature, cross_fit=cross_fit),
        per_class=metrics.per_class(counts_KK),
        confusion_KK=counts_KK,
        data=data,
        model=model,
        tta=tta,
        protocol=protocol,
        against=against,
        selected_on=selected_on,
        note=note,
    )


def _calibration_error(
    error: Callable[[NDArray[np.floating[Any]], metrics.Ints], float],
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: metrics.Ints,
    cross_fit: bool,
) -> float:
    """Return a calibration error, cross-fitted or plain."""
    if cross_fit:
        return cross_fitted_ece(log_probabilities(probabilities_NK), labels_N, error=error)
    return error(probabilities_NK, labels_N)


def check_probabilities(
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: NDArray[np.integer[Any]],
    labels: LabelSet,
    *,
    split: str,
    whose: str,
) -> tuple[metrics.Ints, metrics.Ints]:
    """Return the predicted and the true classes, int64 [N] each, after checking both; raises as `evaluate`."""
    n, k = len(labels_N), len(labels)
    if n == 0:
        raise DataError(f"split '{split}' has no faces; {whose} cannot be evaluated on it")
    if probabilities_NK.shape != (n, k):
        raise MienError(
            f"split '{split}' has {n} faces of {k} classes, so probabilities of {whose} must have the shape [{n},{k}], "
            f"got {list(probabilities_NK.shape)}"
        )
    unlabelled = int((np.asarray(labels_N) == NO_LABEL).sum())
    if unlabelled:
        raise DataError(f"split '{split}': {unlabelled} of {n} faces have no label; evaluation needs labels")
    if labels_N.min() < 0 or labels_N.max() >= k:
        raise DataError(f"split '{split}': labels run from {labels_N.min()} to {labels_N.max()}, expected 0 to {k - 1}")
    finite_N = np.isfinite(probabilities_NK).all(1)
    if not finite_N.all():
        first = int(np.flatnonzero(~finite_N)[0])
        raise MienError(
            f"split '{split}': probabilities of {whose} are not finite in {int((~finite_N).sum())} of {n} rows, "
            f"the first is row {first}"
        )
    return probabilities_NK.argmax(1).astype(np.int64), np.asarray(labels_N).astype(np.int64)
