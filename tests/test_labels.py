"""Label sets: order, spellings, and what a folder's names become."""

from __future__ import annotations

import pytest

from mien.errors import MienError
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LABEL_SETS, SPELLINGS, LabelSet, label_set_for, projection


def test_order_is_fer2013s() -> None:
    assert FER7.names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert len(FER7) == 7


@pytest.mark.parametrize(("spelling", "index"), [("happiness", 3), ("Anger", 0), (" surprised ", 5), ("neutral", 6)])
def test_usual_spellings_are_understood(spelling: str, index: int) -> None:
    assert FER7.index(spelling) == index


def test_every_spelling_leads_to_one_of_the_seven() -> None:
    assert set(SPELLINGS.values()) <= set(FER7.names)
    assert not set(SPELLINGS) & set(FER7.names)


def test_ferplus_is_the_first_eight_columns() -> None:
    assert FERPLUS8.names == FERPLUS_COLUMNS[:8]
    assert FERPLUS8.names == ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    assert LABEL_SETS == {"fer7": FER7, "ferplus8": FERPLUS8}


def test_projection_between_the_sets() -> None:
    onto_seven = projection(FERPLUS8, FER7)
    assert onto_seven.shape == (8, 7)
    assert onto_seven[:7].argmax(1).tolist() == [6, 3, 5, 4, 0, 1, 2]
    assert onto_seven.sum(1).tolist() == [1, 1, 1, 1, 1, 1, 1, 0]  # contempt has no counterpart
    assert (projection(FER7, FERPLUS8) == onto_seven.T).all()


def test_projection_takes_the_very_name_before_a_spelling() -> None:
    twice = LabelSet("twice", ("happy", "happiness", "wink"))
    assert projection(twice, twice).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert projection(LabelSet("joys", ("joy", "wink")), twice).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_unknown_name_lists_the_classes() -> None:
    with pytest.raises(MienError, match="'bored' is no class of fer7; its classes are angry, disgust"):
        FER7.index("bored")


def test_folder_names_in_any_usual_spelling_are_the_seven() -> None:
    assert label_set_for(["Anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]) is FER7
    assert label_set_for(["happy", "sad"]) is FER7


def test_other_folder_names_are_their_own_set() -> None:
    assert label_set_for(["wink", "bored", "happy"]).names == ("bored", "happy", "wink")
    assert label_set_for(["happy", "happiness"]).names == ("happiness", "happy")  # two folders, so two classes


@pytest.mark.parametrize("names", [(), ("one",), ("a", "a"), ("a", "")])
def test_impossible_sets_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(MienError, match="label set 'x'"):
        LabelSet("x", names)
