"""Spellings of classes and splits."""

from __future__ import annotations

import pytest

from mien.data.folders.class_names import expression_for, misspelled, number_for, split_for_folder, unify_names


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("TRAIN", "train"), ("Training", "train"), ("train_set", "train"), ("trainset", "train"),
     ("train (1)", "train"), ("images-train", "train"), ("val", "val"), ("Valid", "val"), ("validation", "val"),
     ("dev", "val"), ("eval", "val"), ("PublicTest", "val"), ("test", "test"), ("Testing", "test"),
     ("test_images", "test"), ("PrivateTest", "test"), ("trainval", None), ("trian", None), ("happy", None),
     ("contest", None), ("", None), ("2", None)],
)  # fmt: skip
def test_split_for_folder_knows_usual_names(name: str, split: str | None) -> None:
    assert split_for_folder(name) == split


@pytest.mark.parametrize(
    ("name", "expression"),
    [("0_angry", "angry"), ("3 - Happy", "happy"), ("04.sad", "sad"), ("(5) suprise", "surprise"), ("fear_2", "fear"),
     ("Neutrality", "neutral"), ("SUPRISE", "surprise"), (" Anger ", "angry"), ("Contempt", "contempt"),
     ("bored", None), ("3", None), ("level_1", None), ("happy_sad", None)],
)  # fmt: skip
def test_expression_for_ignores_numbers_and_case(name: str, expression: str | None) -> None:
    assert expression_for(name) == expression


@pytest.mark.parametrize(("name", "number"), [("0", 0), ("07", 7), ("class003", 3), ("3_happy", None), ("b2", None)])
def test_number_for_needs_a_number_alone(name: str, number: int | None) -> None:
    assert number_for(name) == number


def test_unify_names_uses_first_spelling_of_train() -> None:
    unified = unify_names({"train": ["Bored", "1_happy"], "val": ["bored ", "joy"], "test": ["BORED", "asleep"]})
    assert unified == {
        "Bored": "Bored", "1_happy": "happy", "bored ": "Bored", "joy": "happy", "BORED": "Bored", "asleep": "asleep",
    }  # fmt: skip


def test_misspelled_needs_other_expressions() -> None:
    assert misspelled(["happy", "neutrol", "sadd", "tired"]) == {"neutrol": "neutral", "sadd": "sad"}
    assert misspelled(["neutrol", "tired"]) == {}
    assert misspelled(["sad", "sadd"]) == {}  # a class of its own: sad is there
