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
    >>> [round(share, 3) for share in frequencies.assumed]
    [0.667, 0.333]
    """

    training: tuple[float, ...]
    assumed: tuple[float, ...]
    training_strength: float
    export_strength: float

    def __post_init__(self) -> None:
        for name in ("training", "assumed"):
            shares = getattr(self, name)
            if not all(map(_is_positive, shares)) or abs(sum(shares) - 1) > _TOLERANCE:
                raise MienError(f"{name} class frequencies must be positive numbers that sum to 1, got {list(shares)}")
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
        shares = tuple(float(share) for share in training)
        return cls(shares, _normalized_power(shares, power), training_strength, export_strength)


@dataclass(frozen=True)
class Prior:
    """Class frequencies that probabilities are adjusted to.

    Attributes:
        name: `training`, `balanced` or `CLASS=SHARE,...` with every class; identifies the prior in results.
        shares: The frequency of each class.
    """

    name: str
    shares: Mapping[str, float]

    @property
    def option(self) -> str | dict[str, float]:
        """Return the argument from which `parse_prior` makes the same prior, as JSON types."""
        return self.name if self.name in (TRAINING, BALANCED) else dict(self.shares)


def parse_prior(prior: str | Mapping[str, float], labels: LabelSet, training: Sequence[float]) -> Prior:
    """Parse a prior as users write it.

    Args:
        prior: `training`, `balanced`, `CLASS=SHARE,...`, or a mapping from class names to shares. Any spelling that
            `LabelSet.index` knows is accepted. If all classes are named, the shares are divided by their sum, so that
            counts are accepted too. Otherwise the shares are fractions of all faces, and the classes not named divide
            the rest among them in the proportions of `training`.
        labels: The K classes.
        training: Class frequencies of training, [K].

    Raises:
        MienError: A class is unknown or named twice, a share is not a positive number, or the shares of some classes
            leave nothing for the others.

    >>> labels = LabelSet("mood", ("good", "bad"))
    >>> parse_prior("good=0.25", labels, training=(0.5, 0.5)).shares
    {'good': 0.25, 'bad': 0.75}
    """
    keyword = prior.strip().lower() if isinstance(prior, str) else ""
    if keyword == TRAINING:
        return Prior(TRAINING, dict(zip(labels.names, training, strict=True)))
    if keyword == BALANCED:
        return Prior(BALANCED, dict.fromkeys(labels.names, 1 / len(labels)))
    named = _shares_by_index(_split_pairs(prior), labels)
    others = [k for k in range(len(labels)) if k not in named]
    total = sum(named.values())
    if others and total >= 1:
        left = ", ".join(labels.names[k] for k in others)
        raise MienError(
            f"the shares in the prior sum to {total:g} and leave nothing for {left}; give shares that sum to less than "
            "1, or name all classes"
        )
    scale = 1.0 if others else 1 / total
    rest = (1 - total) / sum(training[k] for k in others) if others else 0.0
    shares = {name: named[k] * scale if k in named else rest * training[k] for k, name in enumerate(labels.names)}
    return Prior(",".join(f"{name}={share:.4g}" for name, share in shares.items()), shares)


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


def _normalized_power(shares: Sequence[float], power: float) -> tuple[float, ...]:
    share_K = np.asarray(shares, np.float64) ** power
    return tuple((share_K / share_K.sum()).tolist())


def _split_pairs(prior: object) -> list[tuple[str, object]]:
    """Return class names and shares as they were given, not validated yet."""
    pairs: list[tuple[str, object]] = []
    if isinstance(prior, Mapping):
        pairs = list(prior.items())
    elif isinstance(prior, str):
        parts = [part.rpartition("=") for part in prior.split(",")]
        if all(sign and name.strip() for name, sign, _ in parts):
            pairs = [(name.strip(), _parse_number(share)) for name, _, share in parts]
    if not pairs or not all(isinstance(name, str) for name, _ in pairs):
        raise MienError(f"a prior must be {TRAINING}, {BALANCED} or CLASS=SHARE,..., got {prior!r}")
    return pairs


def _shares_by_index(pairs: Sequence[tuple[str, object]], labels: LabelSet) -> dict[int, float]:
    """Return the validated shares by the index of their class."""
    shares: dict[int, float] = {}
    for name, share in pairs:
        try:
            k = labels.index(name)
        except MienError as error:
            raise MienError(f"in the prior, {error}") from None
        if k in shares:
            raise MienError(f"the prior names the class {labels.names[k]} twice")
        if not _is_positive(share):
            raise MienError(f"in the prior, the share of {name} must be a number above 0, got {share!r}")
        shares[k] = float(share)  # type: ignore[arg-type]  # checked above
    return shares


def _parse_number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
