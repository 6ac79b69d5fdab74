"""One model on one split by every protocol, and the scores on its card."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import mien
import models
from mien.cli.models import models_table
from mien.data import Dataset, Split, relabel_by_majority, sketch
from mien.data.audit import without_duplicates
from mien.data.dataset import PUBLISHED
from mien.data.fer2013 import KNOWN
from mien.errors import DataError, MienError, MissingSplit, ModelError
from mien.evaluation import evaluate
from mien.evaluation.predictor import Predictor
from mien.evaluation.protocols import evaluate_model, evaluate_split
from mien.evaluation.report.terminal import protocols_table
from mien.evaluation.report.text import TRUTH_COLUMN
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.calibration import cross_fitted_ece, log_probabilities
from mien.evaluation.training_data import selected_on_split
from mien.evaluation.update_card import check_card_accepts_scores, write_scores_to_card
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet
from mien.model_card import Calibration, Card, Score

# FER+ columns of FER2013's classes.
COLUMN = {0: 4, 1: 5, 2: 6, 3: 1, 4: 3, 5: 2, 6: 0}


def with_votes(data: Dataset) -> Dataset:
    """Every face's label has seven of ten votes but for: row 0 of each split, contempt; 1, no majority; 2, surprise."""

    def voted(split: Split) -> Split:
        votes_NV = np.zeros((len(split), 10), np.uint8)
        votes_NV[np.arange(len(split)), [COLUMN[k] for k in split.labels_N]] = 7
        votes_NV[:3] = 0
        votes_NV[0, 7] = 10
        votes_NV[1, :3] = 3
        votes_NV[2, 2] = 9
        return replace(split, votes_NV=votes_NV)

    return replace(data, splits={name: voted(split) for name, split in data.splits.items()})


@pytest.fixture(scope="module")
def data() -> Dataset:
    """FER2013's form; val faces 5, 6 and 7 and test face 9 are training faces."""
    made = sketch(train=70, val=35, test=35)
    val_NHW, test_NHW = made["val"].pixels_NHW.copy(), made["test"].pixels_NHW.copy()
    val_NHW[5:8], test_NHW[9] = made["train"].pixels_NHW[:3], made["train"].pixels_NHW[4]
    splits = {
        "train": made["train"],
        "val": replace(made["val"], pixels_NHW=val_NHW),
        "test": replace(made["test"], pixels_NHW=test_NHW),
    }
    return replace(made, name="fer2013", known_as="fer2013.csv", splits=splits)


@pytest.fixture
def model(tmp_path: Path) -> mien.model.Model:
    return mien.model.load(models.write_model(tmp_path / "model"))


def kinds(model_evaluation: object) -> list[tuple[str, str, int]]:
    return [(e.protocol, e.against, e.n) for e in model_evaluation.evaluations]  # type: ignore[attr-defined]


def test_all_faces_and_those_without_duplicates(model: mien.model.Model, data: Dataset) -> None:
    probs_NK, evaluation = evaluate_model(model, data, "val")
    assert evaluation is not None
    assert kinds(evaluation) == [("official", "labels", 35), ("deduplicated", "labels", 32)]
    val, keep_N = data["val"], np.ones(35, bool)
    keep_N[5:8] = False
    np.testing.assert_array_equal(probs_NK, model.probabilities(val.pixels_NHW))
    official, deduplicated = evaluation.evaluations
    assert official.accuracy == (probs_NK.argmax(1) == val.labels_N).mean()
    assert deduplicated.accuracy == (probs_NK.argmax(1) == val.labels_N)[keep_N].mean()
    assert (official.model, official.data, official.tta) == ("toy", "fer2013", "none")
    assert kinds(evaluate_model(model, data, "train")[1]) == [("official", "labels", 70)]
    untrained = replace(data, splits={"val": val})
    assert kinds(evaluate_model(model, untrained, "val")[1]) == [("official", "labels", 35)]


def test_majority_vote_follows_the_labels(model: mien.model.Model, data: Dataset) -> None:
    voted = with_votes(data)
    probs_NK, evaluation = evaluate_model(model, voted, "val")
    assert evaluation is not None
    # Contempt and the face without a majority drop out; the third face is surprise to the raters.
    assert kinds(evaluation) == [
        ("official", "labels", 35), ("deduplicated", "labels", 32),
        ("official", "raters' majority", 33), ("deduplicated", "raters' majority", 30),
    ]  # fmt: skip
    truth_N = data["val"].labels_N.copy()
    truth_N[2] = FER7.index("surprise")
    right_N = (probs_NK.argmax(1) == truth_N)[2:]
    assert evaluation.evaluations[2].accuracy == right_N.mean()
    assert evaluation.evaluations[3].accuracy == np.delete(right_N, [3, 4, 5]).mean()
    result = json.loads(json.dumps(evaluation.to_dict()))
    assert result["n"] == 35
    assert result["deduplicated"]["n"] == 32
    assert result["raters"]["n"] == 33
    assert result["raters"]["deduplicated"]["n"] == 30
    assert result["accuracy"] == evaluation.official.accuracy
    assert [s.key for s in evaluation.scores()] == [
        (e.split, e.protocol, e.against, e.tta) for e in evaluation.evaluations
    ]


def test_model_trained_on_votes_is_evaluated_by_them_first(tmp_path: Path, data: Dataset) -> None:
    learned = {"name": "fer2013", "digest": data.digest, "faces": {}, "truth": "raters' majority"}
    model, voted = mien.model.load(models.write_model(tmp_path / "model", data=learned)), with_votes(data)
    probs_NK, evaluation = evaluate_model(model, voted, "val")
    assert evaluation is not None
    assert kinds(evaluation) == [
        ("official", "raters' majority", 33), ("deduplicated", "raters' majority", 30),
        ("official", "labels", 35), ("deduplicated", "labels", 32),
    ]  # fmt: skip
    right_N = probs_NK.argmax(1) == data["val"].labels_N
    assert evaluation.evaluations[2].accuracy == right_N.mean()
    result = evaluation.to_dict()
    assert (result["n"], result["own_labels"]["n"], result["own_labels"]["deduplicated"]["n"]) == (33, 35, 32)
    assert "raters" not in result
    # Where nobody has voted there are the labels.
    again_NK, alone = evaluate_model(model, data, "val")
    assert alone is not None
    assert kinds(alone) == [("official", "labels", 35), ("deduplicated", "labels", 32)]
    assert alone.official.accuracy == right_N.mean()
    np.testing.assert_array_equal(again_NK, probs_NK)
    # Of what was asked for a part of the faces alone, nothing is said by the labels of all.
    truth = relabel_by_majority(voted, FER7)
    some_N = np.isin(voted["val"].rows_N, truth["val"].rows_N)
    part = evaluate_split(probs_NK[some_N], truth["val"].rows_N, voted, truth, "val")
    assert kinds(part) == kinds(evaluation)[:2]


def test_strict_leaves_out_near_duplicates(model: mien.model.Model, data: Dataset) -> None:
    """Val face 20 is training face 9, brighter: byte for byte another, and yet no face that a model has never met."""
    pixels_NHW = data["val"].pixels_NHW.copy()
    pixels_NHW[20] = data["train"].pixels_NHW[9] * 0.6 + 50
    leaky = with_votes(replace(data, splits={**data.splits, "val": replace(data["val"], pixels_NHW=pixels_NHW)}))
    strict_N = without_duplicates(leaky, "val", near=True)
    assert not strict_N[[5, 6, 7, 20]].any()
    probs_NK, evaluation = evaluate_model(model, leaky, "val", strict=True)
    assert evaluation is not None
    assert [e.protocol for e in evaluation.evaluations] == ["official", "deduplicated", "strict"] * 2
    strict = evaluation.evaluations[2]
    assert strict.n == strict_N.sum()
    assert strict.accuracy == (probs_NK.argmax(1) == leaky["val"].labels_N)[strict_N].mean()
    result = json.loads(json.dumps(evaluation.to_dict()))
    assert result["strict"]["n"] == strict.n
    assert result["raters"]["strict"]["protocol"] == "strict"
    assert evaluation.scores()[2].protocol == "strict"
    without = evaluate_model(model, leaky, "val")[1]
    assert without is not None
    assert [e.protocol for e in without.evaluations] == ["official", "deduplicated"] * 2
    said = io.StringIO()
    Console(file=said, width=80).print(protocols_table(evaluation))
    assert "strict: also without faces that have a near-duplicate in training" in said.getvalue()
    assert max(map(len, said.getvalue().splitlines())) <= 80


def test_evaluate_model_of_old_names_gives_the_same_metrics(tmp_path: Path, data: Dataset) -> None:
    voted, evaluation = with_votes(data), []
    for names in (FERPLUS8.names, FERPLUS_COLUMNS[:8]):
        model = mien.model.load(models.write_model(tmp_path / names[1], LabelSet("ferplus8", names)))
        probs_NK, model_evaluation = evaluate_model(model, voted, "val", name="model")
        assert model_evaluation is not None
        evaluation.append(
            (probs_NK.tolist(), model_evaluation.to_dict(), selected_on_split(Predictor.of(model), voted, "val"))
        )
    assert evaluation[0] == evaluation[1]
    assert [c["name"] for c in evaluation[1][1]["classes"]] == list(FERPLUS8.names)


def test_eight_classes_use_the_majority_vote_alone(tmp_path: Path, data: Dataset) -> None:
    eight = mien.model.load(models.write_model(tmp_path / "model", FERPLUS8))
    with pytest.raises(DataError, match=r"eight classes .* has no votes; .* --votes, or .* mien "):
        evaluate_model(eight, data, "val")
    probs_NK, evaluation = evaluate_model(eight, with_votes(data), "val")
    assert probs_NK.shape == (35, 8)
    assert evaluation is not None
    assert kinds(evaluation) == [("official", "raters' majority", 34), ("deduplicated", "raters' majority", 31)]
    truth = relabel_by_majority(with_votes(data))["val"]
    assert truth.labels_N[0] == FERPLUS8.index("contempt")
    assert evaluation.official.accuracy == (np.delete(probs_NK, 1, 0).argmax(1) == truth.labels_N).mean()
    assert set(evaluation.to_dict()) >= {"deduplicated", "accuracy"}
    assert "raters" not in evaluation.to_dict()


def test_probabilities_of_the_faces_of_truth_suffice(model: mien.model.Model, data: Dataset) -> None:
    voted = with_votes(data)
    truth = relabel_by_majority(voted, FER7)
    faces = truth["val"]
    probs_NK = model.probabilities(faces.pixels_NHW)
    few = evaluate_split(probs_NK, faces.rows_N, voted, truth, "val")
    assert kinds(few) == [("official", "raters' majority", 33), ("deduplicated", "raters' majority", 30)]
    mixed = np.random.RandomState(0).permutation(len(faces))
    again = evaluate_split(probs_NK[mixed], faces.rows_N[mixed], voted, truth, "val")
    assert [e.accuracy for e in again.evaluations] == [e.accuracy for e in few.evaluations]
    with pytest.raises(MienError, match="probabilities are missing for some faces"):
        evaluate_split(probs_NK[1:], faces.rows_N[1:], voted, truth, "val")
    with pytest.raises(MienError, match="probabilities are missing for some faces"):
        evaluate_split(probs_NK[:-1], faces.rows_N[:-1], voted, truth, "val")


def test_flip_averages_and_is_recorded(model: mien.model.Model, data: Dataset) -> None:
    probs_NK, evaluation = evaluate_model(model, data, "val", tta="flip", name="mine")
    np.testing.assert_array_equal(probs_NK, model.probabilities(data["val"].pixels_NHW, tta="flip"))
    assert evaluation is not None
    assert {e.tta for e in evaluation.evaluations} == {"flip"}
    assert {e.model for e in evaluation.evaluations} == {"mine"}


def test_other_labels_and_no_labels(model: mien.model.Model, data: Dataset) -> None:
    with pytest.raises(MissingSplit, match="no split 'test'"):
        evaluate_model(model, replace(data, splits={"val": data["val"]}), "test")
    own = replace(data, labels=LabelSet("custom", tuple("abcdefg")))
    with pytest.raises(DataError, match=r"has the classes angry, .*, but .* has a, b, c, d, e, f, g"):
        evaluate_model(model, own, "val")
    blank = replace(data["test"], labels_N=np.full(35, -1))
    probs_NK, evaluation = evaluate_model(model, replace(data, splits={"test": blank}), "test")
    assert probs_NK.shape == (35, 7)
    assert evaluation is None


def chose(
    split: str,
    on: Dataset,
    trained_on: dict[str, Any],
    select: str = "val_loss",
    fitted: str = "",
    labels: LabelSet = FER7,
) -> str:
    calibration = Calibration(1.0, fitted, 35, 0.1, 0.1) if fitted else None
    model = Predictor(labels.names, lambda faces_NHW: faces_NHW, trained_on, select=select, calibration=calibration)
    return " ".join(selected_on_split(model, on, split))


def test_selected_on_split(data: Dataset) -> None:
    known, other = list(KNOWN)[:2]
    own = {"name": "fer2013", "digest": data.digest, "faces": {"val": 1}}
    assert chose("val", data, own, "val_accuracy", "val") == "epoch temperature"
    assert chose("val", data, own, "last", "val") == "temperature"
    assert chose("val", data, own) == "epoch"
    assert chose("test", data, own, fitted="val") == ""
    assert chose("test", data, own, "last", "test") == "temperature"
    assert chose("val", data, {"name": "folder", "digest": "other", "faces": {"val": 35}}, fitted="val") == ""
    copy = {"name": "fer2013", "digest": "other", "faces": {"val": 35}}
    assert chose("val", data, copy) == "epoch"
    assert chose("val", data, {**copy, "faces": {"val": 36}}) == ""
    # What was trained on a published copy knows all of them, and those saved anew, of whatever faces votes left it.
    voted = {"name": "ferplus", "digest": other, "faces": {"val": 30}}
    assert chose("val", replace(data, digest=known), voted) == "epoch"
    mine = replace(data, known_as=None)
    assert chose("val", mine, voted) == ""
    row = np.zeros(PUBLISHED["val"], np.int64)
    faces = Split("val", np.zeros((len(row), 48, 48), np.uint8), row, np.arange(len(row)))
    assert chose("val", replace(mine, splits={"val": faces}), voted) == "epoch"


def test_selected_on_split_of_a_copy_with_votes(data: Dataset) -> None:
    """Its record counts the faces that the votes left it."""
    voted = with_votes(data)
    for labels in (FER7, FERPLUS8):
        left = relabel_by_majority(voted, labels)["val"]
        learned = {"name": "ferplus", "digest": "saved anew", "faces": {"val": len(left)}}
        assert len(left) < len(voted["val"])
        assert chose("val", voted, learned, fitted="val", labels=labels) == "epoch temperature"
        assert chose("val", voted, {**learned, "faces": {"val": len(left) + 1}}, labels=labels) == ""
        # Without votes nobody knows how many they left, so that fewer may be the same.
        assert chose("val", data, learned, labels=labels) == "epoch"
        assert chose("val", data, {**learned, "faces": {"val": 36}}, labels=labels) == ""


def test_metrics_of_the_selecting_split_are_marked(tmp_path: Path, data: Dataset) -> None:
    about = {"name": "fer2013", "digest": data.digest, "faces": {}}
    model = mien.model.load(models.write_model(tmp_path / "model", data=about))
    for split, marked in (("val", ("epoch", "temperature")), ("test", ())):
        evaluation = evaluate_model(model, data, split)[1]
        assert evaluation is not None
        assert {e.selected_on for e in evaluation.evaluations} == {marked}
        shown = rendered(protocols_table(evaluation))
        assert ("official*" in shown) is bool(marked)
        assert ("* used for selection: this split also selected the epoch and fitted" in shown) is bool(marked)
        assert "deduplicated: without faces that have a byte-identical duplicate in training" in " ".join(shown.split())


def test_ece_is_cross_fitted_on_the_calibration_split(tmp_path: Path, data: Dataset) -> None:
    """And there alone: not for part of the faces, for other labels or for averaged probabilities."""
    about, voted = {"name": "fer2013", "digest": data.digest, "faces": {}}, with_votes(data)
    for fitted_on, kind in ((35, ("official", "labels")), (33, ("official", "raters' majority"))):
        calibrated = Calibration(1.5, "val", fitted_on, 0.1, 0.05)
        model = mien.model.load(models.write_model(tmp_path / str(fitted_on), data=about, calibration=calibrated))
        for split in ("val", "test"):
            p_NK, evaluation = evaluate_model(model, voted, split)
            assert evaluation is not None
            for e in evaluation.evaluations:
                truth = voted if e.against == "labels" else relabel_by_majority(voted, FER7)
                faces = truth[split]
                keep_N = np.isin(faces.rows_N, voted[split].rows_N[without_duplicates(voted, split)])
                keep_N |= e.protocol == "official"
                probs_NK = p_NK[np.isin(voted[split].rows_N, faces.rows_N[keep_N])]
                crossed = split == "val" and (e.protocol, e.against) == kind
                of = cross_fitted_ece(log_probabilities(probs_NK), faces.labels_N[keep_N]) if crossed else None
                assert e.ece == (of or metrics.ece(probs_NK, faces.labels_N[keep_N])), (e.protocol, e.against)
        flipped_NK, flipped = evaluate_model(model, voted, "val", tta="flip")
        assert flipped is not None
        assert flipped.official.ece == metrics.ece(flipped_NK, data["val"].labels_N)


def rendered(table: object) -> str:
    screen = Console(file=io.StringIO(), width=80)
    screen.print(table)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_protocols_table_has_a_row_per_protocol(model: mien.model.Model, data: Dataset) -> None:
    evaluation = evaluate_model(model, with_votes(data), "val", tta="flip")[1]
    assert evaluation is not None
    shown = rendered(protocols_table(evaluation))
    rows = [line for line in shown.splitlines() if "official" in line or ("deduplicated" in line and ":" not in line)]
    assert len(rows) == 4
    for row, e in zip(rows, evaluation.evaluations, strict=True):
        assert TRUTH_COLUMN[e.against] in row
        assert f" {e.n} " in row
        assert f"{100 * e.accuracy:.1f}" in row
        assert f"{e.log_loss:.3f}" in row
        assert f"{100 * e.ece:.1f}" in row
    assert "val, averaged with the mirror image" in shown


# The test figures of a card


def test_write_scores_to_card_of_a_test_split(tmp_path: Path, data: Dataset) -> None:
    folder = models.write_model(tmp_path / "model", data={"name": "fer2013", "digest": data.digest})
    before = Card.from_json((folder / "card.json").read_text(), "card")
    evaluation = evaluate_model(mien.model.load(folder), data, "test")[1]
    assert evaluation is not None
    check_card_accepts_scores(folder, data, "test")
    write_scores_to_card(folder, evaluation)
    card = mien.model.load(folder).card
    assert card.test == evaluation.scores()
    assert replace(card, test=()) == before
    flipped = evaluate_model(mien.model.load(folder), data, "test", tta="flip")[1]
    assert flipped is not None
    write_scores_to_card(folder, flipped)
    write_scores_to_card(folder, flipped)
    assert mien.model.load(folder).card.test == evaluation.scores() + flipped.scores()
    assert sorted(f.name for f in folder.iterdir()) == ["card.json", "model.onnx"]


def test_check_card_of_other_splits_or_data_raises(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.write_model(tmp_path / "assets" / "model", data={"name": "fer2013", "digest": data.digest})
    for split in ("val", "train"):
        with pytest.raises(ModelError, match=f"takes metrics of a test split, not of '{split}'"):
            check_card_accepts_scores(folder, data, split)
    with pytest.raises(ModelError, match=r"was trained on fer2013 \(digest .*so its card takes no metrics"):
        check_card_accepts_scores(folder, replace(data, name="sketch", digest="of sketch"), "test")
    with pytest.raises(ModelError, match="so its card takes no metrics"):
        check_card_accepts_scores(folder, replace(data, digest="of another file"), "test")
    of_votes = models.write_model(tmp_path / "votes", data={"name": "ferplus", "digest": data.digest})
    check_card_accepts_scores(of_votes, data, "test")
    monkeypatch.setattr("mien.evaluation.update_card.SHIPPED", tmp_path / "assets")
    with pytest.raises(ModelError, match="it is shipped with mien"):
        check_card_accepts_scores(folder, data, "test")
    with pytest.raises(ModelError, match="model not found"):
        check_card_accepts_scores(tmp_path / "no", data, "test")


def test_models_table() -> None:
    score = Score("val", "official", "labels", "none", 3589, 0.6004, 0.58, 0.62, 0.5, 1.1, 0.04, True)
    others = (replace(score, protocol="deduplicated", accuracy=0.1), replace(score, tta="flip", accuracy=0.2))
    cards = {"toy": models.card_for(b"", scores=(score, *others), flops=123_000_000), "new": models.card_for(b"")}
    shown = " ".join(
        rendered(
            models_table(
                cards,
                {"toy": 2_400_000, "new": 1},
            )
        ).split()
    )
    for wanted in ("toy", "7", "0.123", "2.4", "60.0* (58.0 to 62.0)", "MIT", "* used for selection", "–"):
        assert wanted in shown, shown
    assert "10.0" not in shown
    assert "no models are shipped yet" in rendered(models_table({}, {}))


def test_evaluate_alone_has_the_defaults() -> None:
    e = evaluate(np.full((2, 7), 1 / 7), np.zeros(2, np.int64), FER7, split="val")
    assert (e.tta, e.protocol, e.against, e.selected_on) == ("none", "official", "labels", ())
