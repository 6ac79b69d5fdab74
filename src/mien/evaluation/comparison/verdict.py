"""The verdict on two arms: difference, interval and sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.evaluation.statistics.intervals import BOTH, Interval, faces_interval, two_way_interval
from mien.evaluation.statistics.metrics import Floats

MIN_SEEDS = 3  # with fewer seeds their variance cannot be estimated
SHOWN, NOT_SHOWN, TOO_FEW_SEEDS = "significant difference", "no significant difference", "not enough seeds"


@dataclass(frozen=True)
class VerdictBasis:
    """Data and runs that a verdict is based on.

    Attributes:
        data: Name of the data set.
        split: Title of the split, such as `test (PrivateTest)`.
        reason: Why it is this split and not the test split, such as `because there is no test split`; else empty.
        seeds: Seeds per arm.
        faces: Faces in the split.
        when: Epoch of the evaluated models (`EpochSelection.when`).
        note: Sentence on a split that also selected that epoch (`EpochSelection.note`); else empty.
    """

    data: str
    split: str
    reason: str
    seeds: int
    faces: int
    when: str
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The comparison of arm `b` with arm `a`; differences are `b` minus `a`, as fractions.

    Attributes:
        a, b: The first arm of the comparison, and the one compared with it.
        finding: `significant difference`, `no significant difference` or `not enough seeds`.
        accuracy: Difference in accuracy with its 95 % interval, over seeds and faces; over the faces alone with fewer
            than three seeds.
        macro_f1: Difference in macro-F1; the finding does not depend on it.
        per_seed: Difference in accuracy of each pair of runs, in the order of the seeds.
        basis: Data, split, seeds and faces.

    Example:
        >>> import numpy as np
        >>> correct = np.repeat([[1.0, 0.0], [1.0, 1.0]], 50, axis=1)
        >>> a, b = (np.stack([row] * 3) for row in correct)
        >>> result = verdict("old", "new", (a, b), (a, b), VerdictBasis("faces", "test", "", 3, 100, "after epoch 9"))
        >>> result.finding, result.accuracy.mean
        ('significant difference', 0.5)
    """

    a: str
    b: str
    finding: str
    accuracy: Interval
    macro_f1: Interval
    per_seed: tuple[float, ...]
    basis: VerdictBasis

    @property
    def sentence(self) -> str:
        """The verdict in words, with differences in percentage points: `result` and `measurement`."""
        return f"{self.result} {self.measurement}"

    @property
    def result(self) -> str:
        """Whether the arms differ, and by how much."""
        basis, d = self.basis, self.accuracy
        # Show enough digits that a bound other than 0 is not printed as 0.
        digits = next((k for k in (1, 2, 3) if all(_is_visible(v, k) for v in (d.low, d.high))), 4)
        difference = (
            f"{points(d.mean, digits)} points of accuracy, "
            f"95 % interval {points(d.low, digits)} to {points(d.high, digits)}"
        )
        if self.finding == TOO_FEW_SEEDS:
            return (
                f"Not enough seeds to decide ({basis.seeds} of {MIN_SEEDS} needed). "
                f"{self.b} − {self.a}: {difference} (it accounts for variation of faces only)."
            )
        if self.finding == NOT_SHOWN:
            return f"No significant difference between {self.b} and {self.a}: {difference}."
        return f"{self.b} is {'better' if d.mean > 0 else 'worse'} than {self.a}: {difference}."

    @property
    def measurement(self) -> str:
        """Epoch, data and number of runs of the result."""
        basis = self.basis
        reason = f", {basis.reason}" if basis.reason else ""
        note = f" {basis.note}" if basis.note else ""
        seeds = f"{basis.seeds} random seed{'' if basis.seeds == 1 else 's'} per arm"
        return f"Measured {basis.when} on {basis.data}, {basis.split}{reason}; {seeds}, {basis.faces:,} faces.{note}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the sentence as JSON types."""
        basis = self.basis
        return {
            "a": self.a,
            "b": self.b,
            "finding": self.finding,
            "sentence": self.sentence,
            "data": basis.data,
            "split": basis.split,
            "reason": basis.reason,
            "seeds": basis.seeds,
            "faces": basis.faces,
            "accuracy_difference": self.accuracy.to_dict(),
            "macro_f1_difference": self.macro_f1.to_dict(),
            "accuracy_difference_per_seed": list(self.per_seed),
        }


def verdict(a: str, b: str, correct: tuple[Floats, Floats], f1: tuple[Floats, Floats], basis: VerdictBasis) -> Verdict:
    """Compare arm `b` with arm `a`.

    Args:
        a: Name of the first arm, the baseline.
        b: Name of the second arm.
        correct: 1 for a correct prediction and 0 for a mistake, [S,N] per arm, with seeds and faces in the same order.
        f1: Contribution of each face to macro-F1 (`metrics.macro_f1_by_face`), [S,N] per arm.
        basis: Data and runs.
    """
    by_face_SN = correct[1] - correct[0]
    difference = interval_for(by_face_SN)
    finding = TOO_FEW_SEEDS if difference.covers != BOTH else NOT_SHOWN if 0.0 in difference else SHOWN
    per_seed = tuple(by_face_SN.mean(1).tolist())
    return Verdict(a, b, finding, difference, interval_for(f1[1] - f1[0]), per_seed, basis)


def interval_for(values_SN: Floats) -> Interval:
    """Return the interval over seeds and faces, or over the faces alone with fewer than three seeds.

    Args:
        values_SN: One value per seed and face, [S,N].
    """
    return two_way_interval(values_SN) if len(values_SN) >= MIN_SEEDS else faces_interval(values_SN)


def points(fraction: float, digits: int = 1) -> str:
    """Return a difference of fractions in signed percentage points: `+1.8`, `−0.4`, `0.0`.

    >>> points(0.018)
    '+1.8'
    """
    text = f"{100 * fraction:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _is_visible(fraction: float, digits: int) -> bool:
    return fraction == 0 or float(f"{100 * fraction:.{digits}f}") != 0
