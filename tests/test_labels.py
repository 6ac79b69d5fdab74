"""Label sets: order, spellings, projections, and the labels of folders."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import MienError
from mien.labels import (
    FER7,
    FERPLUS8,
    FERPLUS_COLUMNS,
    LABEL_SETS,
    SPELLINGS,
    LabelSet,
    counterpart,
    label_set_for,
    projection,
    same_classes,
)

OLD = LabelSet("ferplus8", ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"))


def test_fer7_has_the_order_of_fer2013() -> None:
    assert FER7.names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert len(FER7) == 7


@pytest.mark.parametrize(("spelling", "index"), [("happiness", 3), ("Anger", 0), (" surprised ", 5), ("neutral", 6)])
def test_index_accepts_other_spellings(spelling: str, index: int) -> None:
    assert FER7.index(spelling) == index


@pytest.mark.parametrize("labels", [FER7, FERPLUS8, OLD], ids=["fer7", "ferplus8", "old"])
@pytest.mark.parametrize("spelling", ["happy", "happiness", "Joy", "sad", "sadness", "angry", " ANGER ", "scared"])
def test_index_any_spelling_is_the_same_class(labels: LabelSet, spelling: str) -> None:
    expression = spelling.strip().lower()
    expression = {"happiness": "happy", "joy": "happy", "sadness": "sad", "anger": "angry", "scared": "fear"}.get(
        expression, expression
    )
    assert FER7.names[projection(labels, FER7)[labels.index(spelling)].argmax()] == expression


@pytest.mark.parametrize("labels", [FERPLUS8, OLD], ids=["ferplus8", "old"])
def test_index_of_contemptuous_is_contempt(labels: LabelSet) -> None:
    assert labels.index("contemptuous") == 7


def test_spellings_map_to_the_eight_classes() -> None:
    assert set(SPELLINGS.values()) <= set(FERPLUS8.names)
    assert not set(SPELLINGS) & set(FERPLUS8.names)


def test_ferplus8_has_file_order_and_fer7_names() -> None:
    assert (*OLD.names, "unknown", "NF") == FERPLUS_COLUMNS
    assert FERPLUS8.names == ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
    assert set(FERPLUS8.names) == {*FER7.names, "contempt"}
    assert LABEL_SETS == {"fer7": FER7, "ferplus8": FERPLUS8}


@pytest.mark.parametrize(
    ("names", "others", "same"),
    [
        (OLD.names, FERPLUS8.names, True),
        (("Happy", "sad"), ("happiness", "SADNESS"), True),
        (("wink", "happy"), ("wink", "joy"), True),
        (("happy", "happiness"), ("happy", "happiness"), True),
        (("happy", "happiness"), ("happiness", "happy"), False),  # two classes of one set, in another order
        (("Keen", "keen"), ("keen", "Keen"), False),
        (FERPLUS8.names, FER7.names, False),
        (("happy", "sad"), ("sad", "happy"), False),
        (("happy", "sad"), ("happy", "sad", "fear"), False),
        (("happy", "wink"), ("happy", "blink"), False),
    ],
)
def test_same_classes_compares_meaning_and_order(names: tuple[str, ...], others: tuple[str, ...], same: bool) -> None:
    assert same_classes(names, others) is same
    assert same_classes(others, names) is same


def test_counterpart_prefers_the_name_then_its_case() -> None:
    assert counterpart("happy", ("joy", "Happy", "happy")) == 2
    assert counterpart("happy", ("joy", "Happy")) == 1
    assert counterpart("happy", ("wink", "joy")) == 1
    assert counterpart("happy", ("wink", "blink")) is None


@pytest.mark.parametrize("other", [FERPLUS8, OLD], ids=["ferplus8", "old"])
def test_projection_of_old_names_is_the_same(other: LabelSet) -> None:
    assert (projection(OLD, other) == np.eye(8)).all()
    assert (projection(other, OLD) == np.eye(8)).all()
    assert (projection(other, FER7) == projection(FERPLUS8, FER7)).all()
    assert (projection(FER7, other) == projection(FER7, FERPLUS8)).all()


def test_projection_between_ferplus8_and_fer7() -> None:
    onto_seven = projection(FERPLUS8, FER7)
    assert onto_seven.shape == (8, 7)
    assert onto_seven[:7].argmax(1).tolist() == [6, 3, 5, 4, 0, 1, 2]
    assert onto_seven.sum(1).tolist() == [1, 1, 1, 1, 1, 1, 1, 0]  # contempt has no counterpart
    assert (projection(FER7, FERPLUS8) == onto_seven.T).all()


def test_projection_prefers_the_exact_name() -> None:
    twice = LabelSet("twice", ("happy", "happiness", "wink"))
    assert projection(twice, twice).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert projection(LabelSet("joys", ("joy", "wink")), twice).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_index_unknown_name_lists_the_classes() -> None:
    with pytest.raises(MienError, match="'bored' is not a class of fer7; its classes are angry, disgust"):
        FER7.index("bored")


def test_label_set_for_known_names_is_fer7() -> None:
    assert label_set_for(["Anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]) is FER7
    assert label_set_for(["happy", "sad"]) is FER7


def test_label_set_for_other_names_is_custom() -> None:
    assert label_set_for(["wink", "bored", "happy"]).names == ("bored", "happy", "wink")
    assert label_set_for(["happy", "happiness"]).names == ("happiness", "happy")  # two folders, so two classes


@pytest.mark.parametrize("names", [(), ("one",), ("a", "a"), ("a", "")])
def test_label_set_invalid_raises(names: tuple[str, ...]) -> None:
    with pytest.raises(MienError, match="label set 'x'"):
        LabelSet("x", names)
