"""Class priors: the class frequencies that probabilities assume, and their replacement by others.

N faces, K classes; frequencies are in the order of the labels, positive, and sum to 1.

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
_ROUNDED = 1e-4  # how far the sum of frequencies may be from 1


@dataclass(frozen=True)
class ClassFrequencies:
    """The class frequencies of a model, in the order of its labels.

    Attributes:
        training: Those of the training targets.
        assumed: Those that the probabilities assume: `training` to the power of 1 minus both strengths, normalised.
        training_strength: How far training moved them towards equal frequencies: the sum of the recipe's
            `logit_adjustment` (tau), `class_weights` and `balanced_sampling`; 1 for equal frequencies.
        export_strength: How far the export moved them further (S, `mien export --prior-strength`).

    Raises:
        MienError: A frequency that is not a positive number, frequencies that do not sum to 1, or a negative strength.
    """

    training: tuple[float, ...]
    assumed: tuple[float, ...]
    training_strength: float
    export_strength: float

    def __post_init__(self) -> None:
        for name in ("training", "assumed"):
            shares = getattr(self, name)
            if not all(map(_is_positive, shares)) or abs(sum(shares) - 1) > _ROUNDED:
                raise MienError(f"the {name} class frequencies are positive numbers that sum to 1, got {list(shares)}")
        if len(self.training) != len(self.assumed):
            raise MienError(
                f"there are {len(self.training)} training class frequencies and {len(self.assumed)} assumed"
            )
        for name in ("training_strength", "export_strength"):
            value = getattr(self, name)
            if value != 0 and not _is_positive(value):
                raise MienError(f"the {name} of class frequencies is a number from 0 on, got {value!r}")

    @classmethod
    def of(cls, training: Sequence[float], training_strength: float, export_strength: float) -> ClassFrequencies:
        """Compute the assumed frequencies from those of training and both strengths."""
        power = 1 - training_strength - export_strength
        given = tuple(float(share) for share in training)
        return cls(given, _normalised(given, power), training_strength, export_strength)


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
        """What `parse_prior` makes the same prior of, as JSON types."""
        return self.name if self.name in (TRAINING, BALANCED) else dict(self.shares)


def parse_prior(asked: str | Mapping[str, float], labels: LabelSet, training: Sequence[float]) -> Prior:
    """Return the prior that `asked` describes.

    Args:
        asked: `training`, `balanced`, `CLASS=SHARE,...`, or a mapping from class names to shares. Any spelling that
            `LabelSet.index` knows is accepted. If all classes are named, the shares are divided by their sum, so that
            counts are accepted too. Otherwise the shares are fractions of all faces, and the classes not named divide
            the rest among them in the proportions of `training`.
        labels: The K classes.
        training: The class frequencies of training, [K].

    Raises:
        MienError: An unknown class, a class named twice, a share that is not a positive number, or shares of some
            classes that leave nothing for the others.
    """
    words = asked.strip().lower() if isinstance(asked, str) else ""
    if words == TRAINING:
        return Prior(TRAINING, dict(zip(labels.names, training, strict=True)))
    if words == BALANCED:
        return Prior(BALANCED, dict.fromkeys(labels.names, 1 / len(labels)))
    named = _named(_pairs(asked), labels)
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


def adjusted(p_NK: NDArray[np.float32], assumed_K: Sequence[float], target_K: Sequence[float]) -> NDArray[np.float32]:
    """Return probabilities that assume other class frequencies, float32 [N,K]: p * target / assumed, normalised.

    Args:
        p_NK: Probabilities, rows of which sum to 1.
        assumed_K: The class frequencies that they assume, positive.
        target_K: Those that the result assumes, positive.
    """
    ratio_K = np.asarray(target_K, np.float64) / np.asarray(assumed_K, np.float64)
    scaled_NK = p_NK.astype(np.float64) * ratio_K
    result_NK: NDArray[np.float32] = (scaled_NK / scaled_NK.sum(1, keepdims=True)).astype(np.float32)
    return result_NK


def _normalised(training: Sequence[float], power: float) -> tuple[float, ...]:
    share_K = np.asarray(training, np.float64) ** power
    return tuple((share_K / share_K.sum()).tolist())


def _pairs(asked: object) -> list[tuple[str, object]]:
    """Class names as they were given, each with its share, not checked yet."""
    if isinstance(asked, Mapping):
        pairs: list[tuple[str, object]] = list(asked.items())
    elif isinstance(asked, str):
        parts = [part.rpartition("=") for part in asked.split(",")]
        pairs = [(name.strip(), _number(share)) for name, sign, share in parts if sign and name.strip()]
        if len(pairs) < len(parts):
            pairs = []
    else:
        pairs = []
    if not pairs or not all(isinstance(name, str) for name, _ in pairs):
        raise MienError(f"a prior is {TRAINING}, {BALANCED} or CLASS=SHARE,..., got {asked!r}")
    return pairs


def _named(pairs: Sequence[tuple[str, object]], labels: LabelSet) -> dict[int, float]:
    """The shares by the index of their class."""
    named: dict[int, float] = {}
    for name, share in pairs:
        try:
            k = labels.index(name)
        except MienError as error:
            raise MienError(f"in the prior, {error}") from None
        if k in named:
            raise MienError(f"the prior names the class {labels.names[k]} twice")
        if not _is_positive(share):
            raise MienError(f"in the prior, the share of {name} is a number above 0, got {share!r}")
        named[k] = float(share)  # type: ignore[arg-type]  # a number, as was just checked
    return named


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
