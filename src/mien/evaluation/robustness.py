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

# A model as a function: grayscale faces uint8 [N,48,48] in, probabilities [N,K] out.
PredictFunction = Callable[[Faces], NDArray[np.floating[Any]]]


@dataclass(frozen=True, eq=False)
class Robustness:
    """Accuracy of one model under every corruption, on the same faces.

    Attributes:
        model: Name of the model.
        unaltered_N: Whether the prediction on each unaltered face is correct, bool [N].
        accuracy: Accuracy at each severity of each corruption, by name of the corruption, 0 to 1.
        altered_accuracy_N: Fraction of the corruptions and severities with a correct prediction, float64 [N].
    """

    model: str
    unaltered_N: NDArray[np.bool_]
    accuracy: Mapping[str, tuple[float, ...]]
    altered_accuracy_N: NDArray[np.float64]

    @property
    def unaltered(self) -> float:
        """The accuracy on the unaltered faces, 0 to 1."""
        return float(self.unaltered_N.mean())

    @property
    def mean(self) -> Interval:
        """The mean accuracy over all corruptions and severities, with its 95 % interval over the draw of faces."""
        interval = faces_interval(self.altered_accuracy_N[None])
        low, high = max(interval.low, 0.0), min(interval.high, 1.0)  # it may exceed [0, 1] with few faces
        return replace(interval, low=low, high=high)

    def to_dict(self) -> dict[str, Any]:
        """Return all values as JSON types."""
        return {
            "model": self.model,
            "n": len(self.unaltered_N),
            "unaltered": self.unaltered,
            "mean": self.mean.to_dict(),
            "accuracy": {
                name: {
                    "unit": CORRUPTIONS[name].unit,
                    "severities": list(CORRUPTIONS[name].severities),
                    "values": list(values),
                }
                for name, values in self.accuracy.items()
            },
        }


def measure_robustness(
    models: Mapping[str, PredictFunction],
    faces_NHW: Faces,
    labels_N: NDArray[np.integer[Any]],
    *,
    corruptions: Mapping[str, Corruption] = CORRUPTIONS,
    step: Callable[[], None] = lambda: None,
) -> tuple[Robustness, ...]:
    """Measure the accuracy of models on unaltered and corrupted faces.

    Args:
        models: Predict function by name of the model.
        faces_NHW: Faces uint8 [N,48,48], N >= 2.
        labels_N: True class indices, int [N], in the class order of the models.
        corruptions: Corruptions to apply, a subset of `CORRUPTIONS`.
        step: Callback after each severity of each corruption.

    Returns:
        One `Robustness` per model, in the order of `models`.

    Raises:
        MienError: Fewer than two faces.

    Example:
        >>> faces = np.repeat(np.array([[[40]], [[200]]], np.uint8), 48, 1).repeat(48, 2)
        >>> def predict(faces):
        ...     bright = faces.mean((1, 2)) / 255
        ...     return np.stack([1 - bright, bright], 1)
        >>> (result,) = measure_robustness({"bright": predict}, faces, np.array([0, 1]))
        >>> result.unaltered, result.accuracy["blur"]
        (1.0, (1.0, 1.0, 1.0, 1.0, 1.0))
    """
    if len(faces_NHW) < 2:
        raise MienError(f"cannot measure robustness on {len(faces_NHW)} faces: two or more are needed")

    def correct(predict: PredictFunction, pixels_NHW: Faces) -> NDArray[np.bool_]:
        return np.asarray(predict(pixels_NHW).argmax(1) == labels_N)

    unaltered = {name: correct(predict, faces_NHW) for name, predict in models.items()}
    accuracy: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    counts = {name: np.zeros(len(faces_NHW)) for name in models}
    for corruption in corruptions.values():
        for _, altered_NHW in corruption.all_severities(faces_NHW):
            for name, predict in models.items():
                correct_N = correct(predict, altered_NHW)
                accuracy[name].setdefault(corruption.name, []).append(float(correct_N.mean()))
                counts[name] += correct_N
            step()
    conditions = sum(len(corruption.severities) for corruption in corruptions.values())
    return tuple(
        Robustness(
            name, unaltered[name], {c: tuple(values) for c, values in accuracy[name].items()}, counts[name] / conditions
        )
        for name in models
    )


def difference(one: Robustness, other: Robustness) -> Interval:
    """Return the mean accuracy under corruption of `one` minus that of `other`, paired by face, with 95 % interval."""
    return faces_interval((one.altered_accuracy_N - other.altered_accuracy_N)[None])
