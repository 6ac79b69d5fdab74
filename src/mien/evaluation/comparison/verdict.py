"""The verdict on two arms: difference, interval and sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.evaluation.statistics.intervals import BOTH, Interval, faces_interval, two_way_interval
from mien.evaluation.statistics.metrics import Floats

MIN_SEEDS = 3  # below this the spread over seeds is a guess
SHOWN, NOT_SHOWN, TOO_FEW_SEEDS = "difference shown", "no difference shown", "a single comparison, no verdict"


@dataclass(frozen=True)
class VerdictBasis:
    """What a verdict stands on.

    Attributes:
        data: name of the data set.
        split: name of the split as it is spoken of, such as `test (PrivateTest)`.
        why: why it is this split where it is not the test split, else empty.
        seeds: seeds per arm.
        faces: faces in the split.
        when: which epoch's models are judged (`EpochSelection.when`).
        aside: the clause that says that the split also chose that epoch, or empty (`EpochSelection.aside`).
    """

    data: str
    split: str
    reason: str
    seeds: int
    faces: int
    when: str
    aside: str = ""


@dataclass(frozen=True)
class Verdict:
    """How arm `b` stands to arm `a`; accuracies are 0 to 1, `b` minus `a`.

    Attributes:
        a, b: the first arm of the comparison, and the one held against it.
        finding: `difference shown`, `no difference shown`, or `a single comparison, no verdict`.
        accuracy: difference in accuracy with its 95 % interval, over seeds and faces; over the faces alone where
            there are fewer than three seeds.
        macro_f1: the same for macro-F1; beside the verdict, never the ground of it.
        per_seed: the difference in accuracy of each pair of runs, by rising seed.
        ground: data, split, seeds and faces.
    """

    a: str
    b: str
    finding: str
    accuracy: Interval
    macro_f1: Interval
    per_seed: tuple[float, ...]
    ground: VerdictBasis

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, in points of accuracy (hundredths)."""
        g, d = self.ground, self.accuracy
        besides = " and stands in ".join(text for text in (g.aside, g.reason) if text)
        where = f"{g.data}, {g.split}{', ' + besides if besides else ''}"
        drawn = f"{_count(g.seeds, 'seed')} per arm, {g.faces:,} faces"
        # A bound that is not 0 must not be printed as 0: it is what the finding hangs on.
        digits = next((k for k in (1, 2, 3) if all(_told(v, k) for v in (d.low, d.high))), 4)
        span = f"95 % interval {points(d.low, digits)} to {points(d.high, digits)}"
        mean = points(d.mean, digits)
        if self.finding == TOO_FEW_SEEDS:
            return (
                f"A single comparison, no verdict: on {where}, {self.b} minus {self.a} is {mean} points of "
                f"accuracy {g.when} ({drawn}; {span} covers the draw of faces only)."
            )
        if self.finding == NOT_SHOWN:
            return (
                f"No difference shown between {self.b} and {self.a} on {where}: {mean} points of accuracy "
                f"{g.when} ({span}; {drawn})."
            )
        which = "higher" if d.mean > 0 else "lower"
        return (
            f"On {where}, {self.b} is {mean.lstrip('+−')} points of accuracy {which} than {self.a} "
            f"{g.when} ({span}; {drawn})."
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields and the sentence as JSON types."""
        g = self.ground
        return {
            "a": self.a,
            "b": self.b,
            "finding": self.finding,
            "sentence": self.sentence,
            "data": g.data,
            "split": g.split,
            "reason": g.reason,
            "seeds": g.seeds,
            "faces": g.faces,
            "accuracy_difference": self.accuracy.to_dict(),
            "macro_f1_difference": self.macro_f1.to_dict(),
            "accuracy_difference_per_seed": list(self.per_seed),
        }


def verdict(a: str, b: str, right: tuple[Floats, Floats], f1: tuple[Floats, Floats], ground: VerdictBasis) -> Verdict:
    """Hold arm `b` against arm `a`.

    Args:
        right: per arm, 1 where a face is told right and 0 where not, [S,N], same seeds and faces in the same order.
        f1: per arm, each face's share in macro-F1 (`metrics.macro_f1_by_face`), [S,N].
    """
    by_face_SN = right[1] - right[0]
    difference = interval_for(by_face_SN)
    finding = TOO_FEW_SEEDS if difference.covers != BOTH else NOT_SHOWN if 0.0 in difference else SHOWN
    per_seed = tuple(by_face_SN.mean(1).tolist())
    return Verdict(a, b, finding, difference, interval_for(f1[1] - f1[0]), per_seed, ground)


def interval_for(values_SN: Floats) -> Interval:
    """The interval over seeds and faces; with fewer than three seeds, over the faces alone."""
    return two_way_interval(values_SN) if len(values_SN) >= MIN_SEEDS else faces_interval(values_SN)


def points(share: float, digits: int = 1) -> str:
    """A difference of shares in signed hundredths: `+1.8`, `−0.4`, `0.0`."""
    text = f"{100 * share:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _told(share: float, digits: int) -> bool:
    return share == 0 or float(f"{100 * share:.{digits}f}") != 0


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
