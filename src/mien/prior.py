"""Class priors: the class frequencies that probabilities assume, and how to replace them by others.

Axes: N faces, K classes. Frequencies are in the order of the labels, positive, and sum to 1.

Sources: Menon et al. 2021, arXiv 2007.07314, for logit adjustment; Saerens et al. 2002, "Adjusting the Outputs of a
Classifier to New a Priori Probabilities: A Simple Procedure", Neural Computation 14:21, for the change to others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.labels import LabelSet

TRAINING, BALANCED = "training", "balanced"
_TOLERANCE = 1e-4  # largest difference between the sum of frequencies and 1


@dataclass(frozen=True)
class ClassFrequencies:
    """The class frequencies of a model, in the order of its labels.

    Attributes:
        training: Class frequencies of the training targets, [K].
        assumed: Class frequencies that the probabilities assume, [K]: `training` to the power of 1 minus both
            strengths, normalized.
        training_strength: How far training moved them towards equal frequencies: the sum of the recipe's
            `logit_adjustment` (tau), `class_weights` and `balanced_sampling`; 1 for equal frequencies.
        export_strength: How far the export moved them further (S, `mien export --prior-strength`).

    Raises:
        MienError: A frequency is not a positive number, frequencies do not sum to 1, or a strength is negative.

    >>> frequencies = ClassFrequencies.of((0.8, 0.2), training_strength=0.5, export_strength=0)
    >>> [round(fraction, 3) for fraction in frequencies.assumed]
    [0.667, 0.333]
    """

    training: tuple[float, ...]
    assumed: tuple[float, ...]
    training_strength: float
    export_strength: float

    def __post_init__(self) -> None:
        for name in ("training", "assumed"):
            fractions = getattr(self, name)
            if not all(map(_is_positive, fractions)) or abs(sum(fractions) - 1) > _TOLERANCE:
                raise MienError(
                    f"{name} class frequencies must be positive numbers that sum to 1, got {list(fractions)}"
                )
        if len(self.training) != len(self.assumed):
            raise MienError(
                f"there are {len(self.training)} training class frequencies and {len(self.assumed)} assumed ones; "
                "the numbers must be equal"
            )
        for name in ("training_strength", "export_strength"):
            value = getattr(self, name)
            if value != 0 and not _is_positive(value):
                raise MienError(f"{name} of class frequencies must be a number of 0 or more, got {value!r}")

    @classmethod
    def of(cls, training: Sequence[float], training_strength: float, export_strength: float) -> ClassFrequencies:
        """Compute the assumed frequencies from those of training and both strengths.

        Args:
            training: Class frequencies of the training targets, [K].
            training_strength: Sum of `logit_adjustment`, `class_weights` and `balanced_sampling` of the recipe.
            export_strength: `--prior-strength` of the export.
        """
        power = 1 - training_strength - export_strength
        fractions = tuple(float(fraction) for fraction in training)
        return cls(fractions, _normalized_power(fractions, power), training_strength, export_strength)


@dataclass(frozen=True)
class Prior:
    """Class frequencies that probabilities are adjusted to.

    Attributes:
        name: `training`, `balanced` or `CLASS=FRACTION,...` with every class; identifies the prior in results.
        fractions: The frequency of each class.
    """

    name: str
    fractions: Mapping[str, float]

    @property
    def option(self) -> str | dict[str, float]:
        """Return the argument from which `parse_prior` makes the same prior, as JSON types."""
        return self.name if self.name in (TRAINING, BALANCED) else dict(self.fractions)


def parse_prior(prior: str | Mapping[str, float], labels: LabelSet, training: Sequence[float]) -> Prior:
    """Parse a prior as users write it.

    Args:
        prior: `training`, `balanced`, `CLASS=FRACTION,...`, or a mapping from class names to fractions. Any spelling
            that `LabelSet.index` knows is accepted. If all classes are named, the fractions are divided by their sum,
            so that counts are accepted too. Otherwise they are fractions of all faces, and the classes that are not
            named get the rest in the proportions of `training`.
        labels: The K classes.
        training: Class frequencies of training, [K].

    Raises:
        MienError: A class is unknown or named twice, a fraction is not a positive number, or the fractions of some
            classes leave nothing for the others.

    >>> labels = LabelSet("mood", ("good", "bad"))
    >>> parse_prior("good=0.25", labels, training=(0.5, 0.5)).fractions
    {'good': 0.25, 'bad': 0.75}
    """
    keyword = prior.strip().lower() if isinstance(prior, str) else ""
    if keyword == TRAINING:
        return Prior(TRAINING, dict(zip(labels.names, training, strict=True)))
    if keyword == BALANCED:
        return Prior(BALANCED, dict.fromkeys(labels.names, 1 / len(labels)))
    named = _fractions_by_index(_split_pairs(prior), labels)
    others = [k for k in range(len(labels)) if k not in named]
    total = sum(named.values())
    if others and total >= 1:
        left = ", ".join(labels.names[k] for k in others)
        raise MienError(
            f"the fractions in the prior sum to {total:g} and leave nothing for {left}; give fractions that sum to "
            "less than 1, or name all classes"
        )
    scale = 1.0 if others else 1 / total
    rest = (1 - total) / sum(training[k] for k in others) if others else 0.0
    fractions = {name: named[k] * scale if k in named else rest * training[k] for k, name in enumerate(labels.names)}
    return Prior(",".join(f"{name}={fraction:.4g}" for name, fraction in fractions.items()), fractions)


def synonyms_in_prior(prior: str, labels: LabelSet) -> dict[str, str]:
    """Return the class that each synonym in a valid prior stands for; names of classes are left out.

    >>> from mien.labels import FER7
    >>> synonyms_in_prior("joy=0.2,sad=0.1", FER7)
    {'joy': 'happy'}
    """
    if prior.strip().lower() in (TRAINING, BALANCED):
        return {}
    classes = {name: labels.names[labels.index(name)] for name, _ in _split_pairs(prior)}
    return {name: label for name, label in classes.items() if name.casefold() != label.casefold()}


def apply_prior(
    probs_NK: NDArray[np.float32], assumed_K: Sequence[float], target_K: Sequence[float]
) -> NDArray[np.float32]:
    """Adjust probabilities to other class frequencies by Bayes' rule: p * target / assumed, normalized.

    Args:
        probs_NK: Probabilities, float32 [N,K]; each row sums to 1.
        assumed_K: Class frequencies that they assume, positive.
        target_K: Class frequencies that the result assumes, positive.

    Returns:
        Probabilities, float32 [N,K]; each row sums to 1.

    >>> apply_prior(np.array([[0.5, 0.5]], np.float32), (0.5, 0.5), (0.25, 0.75)).tolist()
    [[0.25, 0.75]]
    """
    ratio_K = np.asarray(target_K, np.float64) / np.asarray(assumed_K, np.float64)
    scaled_NK = probs_NK.astype(np.float64) * ratio_K
    result_NK: NDArray[np.float32] = (scaled_NK / scaled_NK.sum(1, keepdims=True)).astype(np.float32)
    return result_NK


def _normalized_power(fractions: Sequence[float], power: float) -> tuple[float, ...]:
    fraction_K = np.asarray(fractions, np.float64) ** power
    return tuple((fraction_K / fraction_K.sum()).tolist())


def _split_pairs(prior: object) -> list[tuple[str, object]]:
    """Return class names and fractions as they were given, not validated yet."""
    pairs: list[tuple[str, object]] = []
    if isinstance(prior, Mapping):
        pairs = list(prior.items())
    elif isinstance(prior, str):
        parts = [part.rpartition("=") for part in prior.split(",")]
        if all(sign and name.strip() for name, sign, _ in parts):
            pairs = [(name.strip(), _parse_number(fraction)) for name, _, fraction in parts]
    if not pairs or not all(isinstance(name, str) for name, _ in pairs):
        raise MienError(f"a prior must be {TRAINING}, {BALANCED} or CLASS=FRACTION,..., got {prior!r}")
    return pairs


def _fractions_by_index(pairs: Sequence[tuple[str, object]], labels: LabelSet) -> dict[int, float]:
    """Return the validated fractions by the index of their class."""
    fractions: dict[int, float] = {}
    for name, fraction in pairs:
        try:
            k = labels.index(name)
        except MienError as error:
            raise MienError(f"in the prior, {error}") from None
        if k in fractions:
            raise MienError(f"the prior names the class {labels.names[k]} twice")
        if not _is_positive(fraction):
            raise MienError(f"in the prior, the fraction of {name} must be a number above 0, got {fraction!r}")
        fractions[k] = float(fraction)  # type: ignore[arg-type]  # checked above
    return fractions


def _parse_number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
