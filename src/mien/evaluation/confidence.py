"""Calibration before and after temperature scaling, and accuracy when uncertain faces are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics import calibration, metrics

OWN = "the model's own"  # whose temperature made the figures after it
CROSS_FITTED = f"cross-fitted in {calibration.FOLDS} folds"
KEPT = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # of the faces, when the others are refused; what tables show


@dataclass(frozen=True, eq=False)
class CalibrationMetrics:
    """Probabilities as they are at one temperature.

    Attributes:
        reliability: by bins of the largest probability.
        nll, brier: as in `metrics`.
    """

    reliability: metrics.Reliability
    log_loss: float
    brier: float

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 to 1."""
        return self.reliability.ece

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        r = self.reliability
        bins = [
            {"confidence": round(s, 6), "accuracy": round(h, 6), "faces": n}
            for s, h, n in zip(r.sure.tolist(), r.hits.tolist(), r.faces.tolist(), strict=True)
        ]
        return {"ece": self.ece, "log_loss": self.log_loss, "brier": self.brier, "bins": bins}


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """How far one may go by a model's own confidence.

    Attributes:
        before, after: without a temperature and with one.
        temperature: what the logits are divided by: the model's own, or the mean over the folds.
        fitted: `OWN`, found before and elsewhere; or `CROSS_FITTED`, found here, where each fold's faces are judged by
            what the others ask for.
        risk_N: share of mistakes among the 1, 2, ..., N surest faces, float64 [N] (`metrics.risk_at_coverage`).
    """

    before: CalibrationMetrics
    after: CalibrationMetrics
    temperature: float
    fitted: str
    risk_N: metrics.Floats

    @property
    def aurc(self) -> float:
        """The area under risk against coverage, 0 to 1; the smaller, the better."""
        return float(self.risk_N.mean())

    def accuracy_at_coverage(self, share: float) -> float:
        """Accuracy on that share of the faces which the model is surest of, above 0 and at most 1."""
        return 1 - float(self.risk_N[max(1, round(share * len(self.risk_N))) - 1])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types; the curve at every twentieth of the faces."""
        return {
            "temperature": self.temperature,
            "fitted": self.fitted,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "aurc": self.aurc,
            "accuracy_of_most_confident": [
                {"share": round(k / 20, 2), "accuracy": self.accuracy_at_coverage(k / 20)} for k in range(20, 0, -1)
            ],
        }


def calibration_report(
    probabilities_NK: NDArray[np.floating[Any]],
    labels_N: metrics.Ints,
    *,
    temperature: float | None = None,
    cross_fit: bool = False,
) -> CalibrationReport:
    """Hold a model's confidence against the truth.

    Args:
        probabilities_NK: as the model tells them, [N,K].
        labels_N: the true classes.
        temperature: what the logits have been divided by already; None where nobody knows of any.
        cross_fit: whether that temperature was fitted on these very faces.
    """
    before_NK = probabilities_NK if temperature is None else calibration.apply(probabilities_NK, 1 / temperature)
    if temperature is None or cross_fit:
        found_N = calibration.cross_fitted_temperatures(calibration.log_probabilities(before_NK), labels_N)
        after_NK: NDArray[np.floating[Any]] = calibration.apply(before_NK, found_N)
        divided, fitted = float(found_N.mean()), CROSS_FITTED
    else:
        after_NK, divided, fitted = probabilities_NK, temperature, OWN
    return CalibrationReport(
        before=_calibration_metrics(before_NK, labels_N),
        after=_calibration_metrics(after_NK, labels_N),
        temperature=divided,
        fitted=fitted,
        risk_N=metrics.risk_at_coverage(probabilities_NK, labels_N),
    )


def _calibration_metrics(p_NK: NDArray[np.floating[Any]], labels_N: metrics.Ints) -> CalibrationMetrics:
    return CalibrationMetrics(
        metrics.reliability(p_NK, labels_N), metrics.log_loss(p_NK, labels_N), metrics.brier(p_NK, labels_N)
    )
