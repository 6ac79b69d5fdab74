"""Accuracy on corrupted images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.corruptions import CORRUPTIONS, Corruption, Faces
from mien.evaluation.statistics.intervals import Interval, faces_interval

# What a model says of grey faces uint8 [N,48,48]: probabilities [N,K].
Ask = Callable[[Faces], NDArray[np.floating[Any]]]


@dataclass(frozen=True, eq=False)
class Robustness:
    """One model under every corruption, all of them judged on the same faces.

    Attributes:
        model: its name.
        clean_N: whether each face is told right as it is, bool [N].
        accuracy: corruption -> accuracy at each of its strengths, 0 to 1.
        kept_N: of all corruptions and strengths, the share under which each face is told right, float64 [N].
    """

    model: str
    clean_N: NDArray[np.bool_]
    accuracy: Mapping[str, tuple[float, ...]]
    kept_N: NDArray[np.float64]

    @property
    def clean(self) -> float:
        """Accuracy on the faces as they are."""
        return float(self.clean_N.mean())

    @property
    def mean(self) -> Interval:
        """Accuracy over all corruptions and strengths alike, with its 95 % interval over the draw of faces."""
        found = faces_interval(self.kept_N[None])
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))  # of a few faces it reaches beyond

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        return {
            "model": self.model,
            "n": len(self.clean_N),
            "clean": self.clean,
            "mean": self.mean.to_dict(),
            "accuracy": {
                name: {
                    "unit": CORRUPTIONS[name].unit,
                    "strengths": list(CORRUPTIONS[name].strengths),
                    "values": list(a),
                }
                for name, a in self.accuracy.items()
            },
        }


def measure_robustness(
    models: Mapping[str, Ask],
    faces_NHW: Faces,
    labels_N: NDArray[np.integer[Any]],
    *,
    corruptions: Mapping[str, Corruption] = CORRUPTIONS,
    step: Callable[[], None] = lambda: None,
) -> tuple[Robustness, ...]:
    """Ask each model for the same faces, as they are and altered in every way; one `Robustness` a model.

    Args:
        models: name -> what asks it.
        faces_NHW: uint8 [N,48,48], N >= 2.
        labels_N: the true classes, as the models tell them.
        corruptions: those of `CORRUPTIONS` that are wanted.
        step: called after each altered set of faces, of which there are five a corruption.

    Raises:
        MienError: fewer than two faces.
    """
    if len(faces_NHW) < 2:
        raise MienError(f"robustness is measured on two faces or more, got {len(faces_NHW)}")

    def right(ask: Ask, altered_NHW: Faces) -> NDArray[np.bool_]:
        return np.asarray(ask(altered_NHW).argmax(1) == labels_N)

    clean = {name: right(ask, faces_NHW) for name, ask in models.items()}
    told: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    hits = {name: np.zeros(len(faces_NHW)) for name in models}
    for each in corruptions.values():
        for _, altered_NHW in each.all(faces_NHW):
            for name, ask in models.items():
                right_N = right(ask, altered_NHW)
                told[name].setdefault(each.name, []).append(float(right_N.mean()))
                hits[name] += right_N
            step()
    conditions = sum(len(each.strengths) for each in corruptions.values())
    return tuple(
        Robustness(name, clean[name], {c: tuple(a) for c, a in told[name].items()}, hits[name] / conditions)
        for name in models
    )


def difference(one: Robustness, other: Robustness) -> Interval:
    """Mean accuracy under corruption of one model minus that of the other on the same faces, and its 95 % interval."""
    return faces_interval((one.kept_N - other.kept_N)[None])
