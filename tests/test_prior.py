"""Class priors: parsing, and adjusting probabilities, against numbers computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mien.errors import MienError
from mien.labels import FER7, LabelSet
from mien.prior import ClassFrequencies, apply_prior, parse_prior

ABC = LabelSet("custom", ("a", "b", "c"))
TRAINING = (0.6, 0.3, 0.1)


def test_apply_prior_is_bayes_rule() -> None:
    probs_NK = np.array([[0.6, 0.3, 0.1], [0.5, 0.5, 0.0]], np.float32)
    result_NK = apply_prior(probs_NK, (0.5, 0.25, 0.25), (0.2, 0.2, 0.6))
    # 0.6 * 0.4, 0.3 * 0.8, 0.1 * 2.4: three equal numbers; and 0.2 to 0.4
    np.testing.assert_allclose(result_NK, [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 0]], atol=1e-7)
    assert result_NK.dtype == np.float32
    assert apply_prior(probs_NK[:0], (0.5, 0.25, 0.25), (0.2, 0.2, 0.6)).shape == (0, 3)


def test_apply_prior_and_back_restores_probabilities() -> None:
    probs_NK = np.random.default_rng(0).dirichlet(np.ones(3), 20).astype(np.float32)
    adjusted_NK = apply_prior(probs_NK, TRAINING, (1 / 3, 1 / 3, 1 / 3))
    assert np.abs(adjusted_NK - probs_NK).max() > 0.1
    np.testing.assert_allclose(apply_prior(adjusted_NK, (1 / 3, 1 / 3, 1 / 3), TRAINING), probs_NK, atol=1e-6)


@pytest.mark.parametrize(
    ("strengths", "assumed"),
    [
        ((0, 0), TRAINING),
        ((1, 0), (1 / 3, 1 / 3, 1 / 3)),
        ((0.5, 0.5), (1 / 3, 1 / 3, 1 / 3)),
        ((0, 0.5), tuple(math.sqrt(s) / sum(map(math.sqrt, TRAINING)) for s in TRAINING)),
        ((1, 1), (1 / 9, 2 / 9, 6 / 9)),
    ],
)
def test_class_frequencies_assumed_is_power_of_training(strengths: tuple[float, float], assumed: tuple[float]) -> None:
    result = ClassFrequencies.of(TRAINING, *strengths)
    assert result.assumed == pytest.approx(assumed)
    assert (result.training_strength, result.export_strength) == strengths
    assert result.training == pytest.approx(TRAINING)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": (0.5, 0.5, 0.5)}, "training class frequencies must be positive numbers that sum to 1"),
        ({"assumed": (1.0, 0.0, 0.0)}, "assumed class frequencies must be positive numbers that sum to 1"),
        ({"assumed": (0.5, "0.5")}, "assumed class frequencies must be positive numbers"),
        ({"assumed": (0.5, 0.5)}, "3 training class frequencies and 2 assumed"),
        ({"training_strength": -1}, "training_strength of class frequencies must be a number of 0 or more"),
        ({"export_strength": math.nan}, "export_strength of class frequencies must be a number of 0 or more"),
    ],
)
def test_class_frequencies_out_of_range_raise(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MienError, match=message):
        ClassFrequencies(
            **{"training": TRAINING, "assumed": TRAINING, "training_strength": 0, "export_strength": 0} | change
        )


@pytest.mark.parametrize(
    ("prior", "shares", "name"),
    [
        ("training", TRAINING, "training"),
        (" Balanced", (1 / 3, 1 / 3, 1 / 3), "balanced"),
        ("a=0.2,b=0.2,c=0.6", (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ("c=60, a=20, B=20", (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ({"c": 3, "a": 1, "b": 1}, (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ("b=0.1", (0.9 * 6 / 7, 0.1, 0.9 * 1 / 7), "a=0.7714,b=0.1,c=0.1286"),
    ],
)
def test_parse_prior_accepts_every_form(prior: Any, shares: tuple[float, ...], name: str) -> None:
    result = parse_prior(prior, ABC, TRAINING)
    assert tuple(result.fractions) == ABC.names
    assert tuple(result.fractions.values()) == pytest.approx(shares)
    assert result.name == name
    assert parse_prior(result.option, ABC, TRAINING).name == name


def test_parse_prior_accepts_other_spellings() -> None:
    result = parse_prior("joy=0.5,Sadness=0.25", FER7, [1 / 7] * 7)
    assert (result.fractions["happy"], result.fractions["sad"]) == (0.5, 0.25)
    assert result.fractions["neutral"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("even", "a prior must be training, balanced or CLASS=FRACTION,..., got 'even'"),
        ("", "a prior must be training"),
        ("a=1,", "a prior must be training"),
        ({}, "a prior must be training"),
        (3, "a prior must be training"),
        ({1: 2}, "a prior must be training"),
        ("d=0.1", "in the prior, 'd' is not a class of custom; its classes are a, b, c"),
        ("a=0", "in the prior, the fraction of a must be a number above 0, got 0.0"),
        ("a=-1,b=1,c=1", "the fraction of a must be a number above 0, got -1.0"),
        ("a=nan,b=1,c=1", "the fraction of a must be a number above 0, got nan"),
        ("a=inf,b=1,c=1", "the fraction of a must be a number above 0, got inf"),
        ("a=some", "the fraction of a must be a number above 0, got 'some'"),
        ({"a": True}, "the fraction of a must be a number above 0, got True"),
        ("a=0.1,A=0.2", "the prior names the class a twice"),
        (
            "a=0.5,b=0.5",
            "sum to 1 and leave nothing for c; give fractions that sum to less than 1, or name all classes",
        ),
        ("a=20", "sum to 20 and leave nothing for b, c"),
    ],
)
def test_parse_prior_invalid_raises(prior: Any, message: str) -> None:
    with pytest.raises(MienError) as error:
        parse_prior(prior, ABC, TRAINING)
    assert message in str(error.value)
