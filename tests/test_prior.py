"""Class frequencies and the change of a model's probabilities to others, against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mien.errors import MienError
from mien.labels import FER7, LabelSet
from mien.prior import ClassFrequencies, adjusted, parse_prior

ABC = LabelSet("custom", ("a", "b", "c"))
TRAINING = (0.6, 0.3, 0.1)


def test_adjusted_is_bayes_rule_by_hand() -> None:
    p_NK = np.array([[0.6, 0.3, 0.1], [0.5, 0.5, 0.0]], np.float32)
    got_NK = adjusted(p_NK, (0.5, 0.25, 0.25), (0.2, 0.2, 0.6))
    # 0.6 * 0.4, 0.3 * 0.8, 0.1 * 2.4: three equal numbers; and 0.2 to 0.4
    np.testing.assert_allclose(got_NK, [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 0]], atol=1e-7)
    assert got_NK.dtype == np.float32
    assert adjusted(p_NK[:0], (0.5, 0.25, 0.25), (0.2, 0.2, 0.6)).shape == (0, 3)


def test_adjusted_there_and_back_is_the_same() -> None:
    p_NK = np.random.default_rng(0).dirichlet(np.ones(3), 20).astype(np.float32)
    there_NK = adjusted(p_NK, TRAINING, (1 / 3, 1 / 3, 1 / 3))
    assert np.abs(there_NK - p_NK).max() > 0.1
    np.testing.assert_allclose(adjusted(there_NK, (1 / 3, 1 / 3, 1 / 3), TRAINING), p_NK, atol=1e-6)


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
def test_assumed_frequencies_are_a_power_of_training(strengths: tuple[float, float], assumed: tuple[float]) -> None:
    found = ClassFrequencies.of(TRAINING, *strengths)
    assert found.assumed == pytest.approx(assumed)
    assert (found.training_strength, found.export_strength) == strengths
    assert found.training == pytest.approx(TRAINING)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"training": (0.5, 0.5, 0.5)}, "training class frequencies are positive numbers that sum to 1"),
        ({"assumed": (1.0, 0.0, 0.0)}, "assumed class frequencies are positive numbers that sum to 1"),
        ({"assumed": (0.5, "0.5")}, "assumed class frequencies are positive numbers"),
        ({"assumed": (0.5, 0.5)}, "3 training class frequencies and 2 assumed"),
        ({"training_strength": -1}, "training_strength of class frequencies is a number from 0 on"),
        ({"export_strength": math.nan}, "export_strength of class frequencies is a number from 0 on"),
    ],
)
def test_class_frequencies_out_of_range_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MienError, match=says):
        ClassFrequencies(
            **{"training": TRAINING, "assumed": TRAINING, "training_strength": 0, "export_strength": 0} | change
        )


@pytest.mark.parametrize(
    ("asked", "shares", "name"),
    [
        ("training", TRAINING, "training"),
        (" Balanced", (1 / 3, 1 / 3, 1 / 3), "balanced"),
        ("a=0.2,b=0.2,c=0.6", (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ("c=60, a=20, B=20", (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ({"c": 3, "a": 1, "b": 1}, (0.2, 0.2, 0.6), "a=0.2,b=0.2,c=0.6"),
        ("b=0.1", (0.9 * 6 / 7, 0.1, 0.9 * 1 / 7), "a=0.7714,b=0.1,c=0.1286"),
    ],
)
def test_prior_of_every_form(asked: Any, shares: tuple[float, ...], name: str) -> None:
    found = parse_prior(asked, ABC, TRAINING)
    assert tuple(found.shares) == ABC.names
    assert tuple(found.shares.values()) == pytest.approx(shares)
    assert found.name == name
    assert parse_prior(found.option, ABC, TRAINING).name == name


def test_prior_of_usual_spellings_is_of_their_classes() -> None:
    found = parse_prior("joy=0.5,Sadness=0.25", FER7, [1 / 7] * 7)
    assert (found.shares["happy"], found.shares["sad"]) == (0.5, 0.25)
    assert found.shares["neutral"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("even", "a prior is training, balanced or CLASS=SHARE,..., got 'even'"),
        ("", "a prior is training"),
        ("a=1,", "a prior is training"),
        ({}, "a prior is training"),
        (3, "a prior is training"),
        ({1: 2}, "a prior is training"),
        ("d=0.1", "in the prior, 'd' is no class of custom; its classes are a, b, c"),
        ("a=0", "in the prior, the share of a is a number above 0, got 0.0"),
        ("a=-1,b=1,c=1", "the share of a is a number above 0, got -1.0"),
        ("a=nan,b=1,c=1", "the share of a is a number above 0, got nan"),
        ("a=inf,b=1,c=1", "the share of a is a number above 0, got inf"),
        ("a=some", "the share of a is a number above 0, got 'some'"),
        ({"a": True}, "the share of a is a number above 0, got True"),
        ("a=0.1,A=0.2", "the prior names the class a twice"),
        ("a=0.5,b=0.5", "sum to 1 and leave nothing for c; give shares that sum to less than 1, or name all classes"),
        ("a=20", "sum to 20 and leave nothing for b, c"),
    ],
)
def test_prior_of_what_is_none_is_refused(asked: Any, says: str) -> None:
    with pytest.raises(MienError) as error:
        parse_prior(asked, ABC, TRAINING)
    assert says in str(error.value)
