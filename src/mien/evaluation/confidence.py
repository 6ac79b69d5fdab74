"""Calibration before and after temperature scaling, and accuracy when uncertain faces are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics import calibration, metrics

OWN = "the model's own"  # where the temperature comes from
CROSS_FITTED = f"cross-fitted in {calibration.FOLDS} folds"
TOO_FEW = f"not fitted on fewer than {calibration.MIN_FACES} faces"
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # fractions of the most confident faces, for the columns of tables


@dataclass(frozen=True, eq=False)
class CalibrationMetrics:
    """Calibration of probabilities at one temperature.

    Attributes:
        reliability: Confidence and accuracy by bins of the largest probability.
        log_loss: Mean negative log probability of the true class (`metrics.log_loss`).
        brier: Brier score (`metrics.brier`).
    """

    reliability: metrics.Reliability
    log_loss: float
    brier: float

    @property
    def ece(self) -> float:
        """The expected calibration error, 0 to 1."""
        return self.reliability.ece

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON types."""
        r = self.reliability
        bins = [
            {"confidence": round(confidence, 6), "accuracy": round(accuracy, 6), "faces": n}
            for confidence, accuracy, n in zip(
                r.confidence.tolist(), r.accuracy.tolist(), r.count.tolist(), strict=True
            )
        ]
        return {"ece": self.ece, "log_loss": self.log_loss, "brier": self.brier, "bins": bins}


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """Calibration of a model before and after temperature scaling, and its risk-coverage curve.

    Attributes:
        before, after: Metrics without a temperature and with one.
        temperature: Divisor of the logits: the model's own temperature, or the mean over the folds.
        fitted: `OWN` if the temperature was fitted on other faces; `CROSS_FITTED` if it was fitted on these faces,
            where each fold is evaluated at the temperature of the other folds; or `TOO_FEW` if a model without a
            temperature is evaluated on too few faces to fit one, and it is 1.
        risk_N: Error rate on the 1, 2, ..., N most confident faces, float64 [N] (`metrics.risk_at_coverage`).
    """

    before: CalibrationMetrics
    after: CalibrationMetrics
    temperature: float
    fitted: str
    risk_N: metrics.Floats

    @property
    def aurc(self) -> float:
        """The area under the risk-coverage curve, 0 to 1; smaller is better."""
        return float(self.risk_N.mean())

    def accuracy_at_coverage(self, coverage: float) -> float:
        """Return the accuracy on the most confident faces.

        Args:
            coverage: Fraction of the faces, above 0 and at most 1.
        """
        return 1 - float(self.risk_N[max(1, round(coverage * len(self.risk_N))) - 1])

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON types, with the curve at each twentieth of the faces."""
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
    """Return the calibration of probabilities before and after temperature scaling.

    Args:
        probabilities_NK: Probabilities as the model returns them, [N,K].
        labels_N: True class indices, int [N].
        temperature: Temperature that the logits are already divided by; None if unknown.
        cross_fit: Whether that temperature was fitted on these faces.
    """
    before_NK = probabilities_NK if temperature is None else calibration.apply(probabilities_NK, 1 / temperature)
    after_NK: NDArray[np.floating[Any]]
    if temperature is None and len(labels_N) < calibration.MIN_FACES:
        after_NK, mean_temperature, fitted = before_NK, 1.0, TOO_FEW
    elif temperature is None or cross_fit:
        log_p_NK = calibration.log_probabilities(before_NK)
        temperature_N = calibration.cross_fitted_temperatures(log_p_NK, labels_N)
        after_NK = calibration.apply(before_NK, temperature_N)
        mean_temperature, fitted = float(temperature_N.mean()), CROSS_FITTED
    else:
        after_NK, mean_temperature, fitted = probabilities_NK, temperature, OWN
    return CalibrationReport(
        before=_calibration_metrics(before_NK, labels_N),
        after=_calibration_metrics(after_NK, labels_N),
        temperature=mean_temperature,
        fitted=fitted,
        risk_N=metrics.risk_at_coverage(probabilities_NK, labels_N),
    )


def _calibration_metrics(p_NK: NDArray[np.floating[Any]], labels_N: metrics.Ints) -> CalibrationMetrics:
    return CalibrationMetrics(
        metrics.reliability(p_NK, labels_N), metrics.log_loss(p_NK, labels_N), metrics.brier(p_NK, labels_N)
    )
