"""Model cards and crop rules: round trips and invalid values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import models
from mien.errors import MienError
from mien.imaging.load import CropRule
from mien.labels import FER7, FERPLUS8, LabelSet
from mien.model import read_card, shipped_models
from mien.model_card import DEDUPLICATED, FORMAT, NOT_FOR, Calibration, Card, Score
from mien.prior import ClassFrequencies

VAL = Score("val", "official", "labels", "none", 35, 0.6, 0.4, 0.7, 0.5, 1.1, 0.04, True)
TEST = replace(VAL, split="test", selected_on=False)
FREQUENCIES = ClassFrequencies.of((0.14, 0.015, 0.145, 0.25, 0.17, 0.11, 0.17), 0.5, 0.25)
CARD = models.card_for(
    b"",
    scores=(replace(VAL, balanced_ece=0.1), replace(VAL, protocol="deduplicated"), replace(VAL, tta="flip")),
    test=(TEST,),
    class_frequencies=FREQUENCIES,
    calibration=Calibration(1.5, "val", 35, 0.1, 0.05, 0.2, 0.15),
)


def test_card_round_trip_is_identical() -> None:
    text = CARD.to_json()
    assert Card.from_json(text, "card.json") == CARD
    assert Card.from_json(text, "card.json").to_json() == text
    told = json.loads(text)
    assert told["format"] == FORMAT
    assert told["class_frequencies"]["assumed"] == list(FREQUENCIES.assumed)
    assert told["labels"] == {"set": "fer7", "names": list(FER7.names)}
    assert told["test"][0]["split"] == "test"
    assert told["licence"] == "MIT"
    assert any("AI Act" in line for line in told["not_for"])


def old_card(form: str) -> str:
    """CARD as an earlier version wrote it."""
    fields = json.loads(CARD.to_json()) | {"format": form}
    for score in (*fields["scores"], *fields["test"]):
        score["nll"] = score.pop("log_loss")
        score["protocol"] = {DEDUPLICATED: "clean"}.get(score["protocol"], score["protocol"])
        if form == "mien card 1":
            del score["balanced_ece"]
    if form == "mien card 1":
        del fields["class_frequencies"]
        del fields["calibration"]["balanced_ece_before"], fields["calibration"]["balanced_ece_after"]
    return json.dumps(fields)


def test_card_of_format_1_is_read_without_class_frequencies() -> None:
    card = Card.from_json(old_card("mien card 1"), "card.json")
    assert card.class_frequencies is None
    assert card.calibration == replace(CARD.calibration, balanced_ece_before=None, balanced_ece_after=None)
    assert card.scores[0] == VAL
    assert card.scores[1].protocol == DEDUPLICATED
    assert Card.from_json(card.to_json(), "card.json") == card
    assert json.loads(card.to_json())["format"] == FORMAT


def test_card_of_format_2_equals_the_current_one() -> None:
    card = Card.from_json(old_card("mien card 2"), "card.json")
    assert card == CARD
    assert "clean" not in card.to_json()


@pytest.mark.parametrize("labels", [FERPLUS8, LabelSet("custom", ("bored", "keen"))], ids=["ferplus8", "own"])
def test_card_round_trip_keeps_the_labels(labels: LabelSet) -> None:
    card = models.card_for(b"", labels)
    assert Card.from_json(card.to_json(), "c").labels == labels


def test_new_card_has_no_test_scores_and_not_for() -> None:
    card = models.card_for(b"")
    assert card.test == ()
    assert card.not_for == NOT_FOR


def test_shipped_cards_state_their_class_frequencies() -> None:
    for name in shipped_models():
        frequencies = read_card(name).class_frequencies
        assert frequencies is not None
        assert frequencies.training_strength == 0
        powers = [share ** (1 - frequencies.export_strength) for share in frequencies.training]
        assert frequencies.assumed == pytest.approx([power / sum(powers) for power in powers])
        assert (frequencies.export_strength > 0) == (name == "photo")
        assert min(frequencies.training) < 0.02 < 0.25 < max(frequencies.training)


def test_with_scores_replaces_scores_with_the_same_key() -> None:
    first, better = CARD.scores[0], replace(VAL, accuracy=0.65)
    new = CARD.with_scores((better,))
    assert better in new.scores
    assert first not in new.scores
    assert len(new.scores) == 3
    assert new.test == (TEST,)
    filled = models.card_for(b"").with_scores((TEST,), test=True)
    assert filled.test == (TEST,)
    assert filled.scores == ()
    assert filled.with_scores((replace(TEST, n=36),), test=True).test[0].n == 36


def test_card_with_misplaced_test_scores_raises() -> None:
    for misplaced in ({"scores": (TEST,)}, {"test": (VAL,)}):
        with pytest.raises(MienError, match="scores of test splits in its field test"):
            models.card_for(b"", **misplaced)


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(CARD.to_json()), **fields})


def replaced(**fields: Any) -> dict[str, Any]:
    """Return the class frequencies in the JSON of a card, with other `fields`."""
    return {**json.loads(CARD.to_json())["class_frequencies"], **fields}


def without(name: str) -> str:
    return json.dumps({k: v for k, v in json.loads(CARD.to_json()).items() if k != name})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a model card: not JSON"),
        ("[1]", "is not a model card: its format is None, expected 'mien card 3'"),
        (changed(format="mien card 4"), "its format is 'mien card 4'"),
        (without("parity"), "lacks parity"),
        (without("class_frequencies"), "lacks class_frequencies"),
        (changed(format="mien card 1"), "has an unknown class_frequencies"),
        (changed(class_frequencies={"training": [1]}), ""),
        (changed(class_frequencies=replaced(assumed=[0.5, 0.5])), "7 training class frequencies and 2 assumed"),
        (changed(class_frequencies=replaced(assumed=[0.5, 0.5], training=[0.5, 0.5])), "has 2 class frequencies"),
        (changed(extra=1), "has an unknown extra"),
        (changed(name="a/b"), "a model's name may have letters, digits"),
        (changed(name="../up"), "a model's name may have letters, digits"),
        (changed(sha256="abc"), "64 hex digits"),
        (changed(side=0), "a card's side must be a whole number above 0, got 0"),
        (changed(parameters=True), "a card's parameters must be a whole number above 0"),
        (changed(flops=1.5), "a card's flops must be a whole number above 0"),
        (changed(storage="int4"), "storage must be one of float32, float16, int8"),
        (changed(parity="small"), "a card's parity must be a number of 0 or more"),
        (changed(parity=float("nan")), "a card's parity must be a number of 0 or more"),
        (changed(labels={"set": "fer7", "names": ["a", "a"]}), "repeated class name"),
        (changed(labels=["a", "b"]), ""),
        (changed(crop={"margin": 0}), "a crop rule must have the fields margin"),
        (changed(scores=[5]), ""),
        (changed(scores=[json.loads(CARD.to_json())["scores"][0]] * 2), "two scores with the same key"),
        (changed(calibration={"temperature": 1}), ""),
        (changed(recipe="none"), ""),
        (changed(not_for="anything"), "not_for a list of texts"),
        (changed(licence=None), "licence must be text"),
    ],
)
def test_card_from_invalid_json_names_file_and_field(text: str, message: str) -> None:
    with pytest.raises(MienError) as error:
        Card.from_json(text, "some/card.json")
    assert str(error.value).startswith("some/card.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("protocol", "tidy"), ("against", "me"), ("tta", "ten"), ("n", 0), ("accuracy", -0.1), ("ece", float("inf")),
     ("log_loss", None), ("low", True), ("balanced_ece", -0.1)],
)  # fmt: skip
def test_score_out_of_range_raises(field: str, value: object) -> None:
    with pytest.raises(MienError, match=f"a score's {field} must be"):
        replace(VAL, **{field: value})


@pytest.mark.parametrize("field", ["temperature", "n", "ece_before", "ece_after", "balanced_ece_after"])
def test_calibration_out_of_range_raises(field: str) -> None:
    with pytest.raises(MienError, match=field):
        replace(Calibration(1.0, "val", 35, 0.1, 0.1), **{field: -1})
    with pytest.raises(MienError, match="temperature must be above 0"):
        Calibration(0, "val", 35, 0.1, 0.1)


def test_crop_rule_round_trip() -> None:
    rule = CropRule(margin=0.2, shift_y=-0.1, upright=True, provisional=False)
    assert CropRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    assert CropRule().provisional


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"margin": "wide"}, "margin must be a number"),
        ({"margin": float("nan")}, "margin must be a number"),
        ({"margin": True}, "margin must be a number"),
        ({"margin": -0.5}, "margin must be above -0.5 and at most 2"),
        ({"shift_x": 2.1}, "shift_x must be above -0.5 and at most 2"),
        ({"upright": 1}, "upright must be true or false"),
        ({"provisional": "no"}, "provisional must be true or false"),
    ],
)
def test_crop_rule_out_of_range_raises(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MienError, match=message):
        CropRule(**fields)


@pytest.mark.parametrize("record", [{}, {**CropRule().to_dict(), "zoom": 1}, None, [1]])
def test_crop_rule_with_other_fields_raises(record: Any) -> None:
    with pytest.raises(MienError, match="a crop rule must have the fields margin, shift_x, shift_y, upright"):
        CropRule.from_dict(record)
