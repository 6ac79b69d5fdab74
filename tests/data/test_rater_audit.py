"""One careless rater is found, by the other raters or by a model alone."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.__main__ import main
from mien.data import load, sketch
from mien.data.audit import audit
from mien.data.feature_classifier import predict_out_of_fold
from mien.data.rater_audit import agreement, audit_raters
from mien.data.reading import Ratings

FACES, RATERS, CARELESS = 240, 4, 2


@pytest.fixture(scope="module")
def split():
    return sketch(train=FACES, val=0, test=0)["train"]


def rate(labels_N: np.ndarray, raters_per_face: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of face, rater and label of ratings by raters who err in a tenth, one of them always by chance."""
    rng = np.random.default_rng(3)
    faces_M = np.repeat(np.arange(len(labels_N)), raters_per_face)
    raters_M = np.concatenate([rng.permutation(RATERS)[:raters_per_face] for _ in labels_N])
    random_M = rng.integers(0, 7, len(faces_M))
    is_random_M = (raters_M == CARELESS) | (rng.random(len(faces_M)) < 0.1)
    return faces_M, raters_M, np.where(is_random_M, random_M, labels_N[faces_M])


@pytest.mark.parametrize("raters_per_face", [1, 3])
def test_careless_rater_is_found(split, raters_per_face: int) -> None:
    ratings = Ratings(tuple("abcd"), split.pixels_NHW, *rate(split.labels_N, raters_per_face))
    audits = audit_raters(ratings, 7)
    assert [audit.rater for audit in audits if audit.careless] == ["c"]
    assert all((audit.others is None) == (raters_per_face == 1) for audit in audits)
    assert min(audit.model.low for audit in audits if not audit.careless) > 0


def test_careless_one_of_two_raters_is_found(split) -> None:
    faces_M = np.tile(np.arange(FACES), 2)
    labels_M = np.concatenate([np.random.default_rng(0).permutation(split.labels_N), split.labels_N])
    ratings = Ratings(("eve", "ann"), split.pixels_NHW, faces_M, np.arange(2).repeat(FACES), labels_M)
    assert [audit.rater for audit in audit_raters(ratings, 7) if audit.careless] == ["eve"]


def test_two_raters_who_agree_are_not_careless(split) -> None:
    faces_M, labels_M = np.tile(np.arange(FACES), 2), np.tile(split.labels_N, 2)
    ratings = Ratings(("eve", "ann"), split.pixels_NHW, faces_M, np.arange(2).repeat(FACES), labels_M)
    assert not any(audit.careless for audit in audit_raters(ratings, 7))


def test_rater_without_a_face_has_no_agreement(split) -> None:
    labels_M = split.labels_N
    ratings = Ratings(("ann", "eve"), split.pixels_NHW, np.arange(FACES), np.zeros(FACES, np.int64), labels_M)
    ann, eve = audit_raters(ratings, 7)
    assert (eve.labels, eve.others, eve.model, eve.careless) == (0, None, None, False)
    assert ann.model is not None


def test_labels_that_never_win_are_audited(split, tmp_path: Path) -> None:
    """One rater of four always says contempt, which no image has by majority."""
    (tmp_path / "faces").mkdir()
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    rows = ["file,label,rater"]
    for k in range(60):
        cv2.imwrite(str(tmp_path / f"faces/{k}.png"), split.pixels_NHW[k])
        rows += [f"{k}.png,{names[split.labels_N[k]]},{rater}" for rater in ("ann", "bob", "cat")]
        rows.append(f"{k}.png,{('contempt', 'Contemptuous', 'bored')[k % 2 if k else 2]},eve")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = load(tmp_path / "faces", labels=tmp_path / "labels.csv")
    assert data.labels.names == names
    eve = audit(data).raters[3]
    assert (eve.rater, eve.labels, eve.careless) == ("eve", 60, True)


def test_rater_of_few_labels_is_not_judged(split) -> None:
    faces_M, raters_M, labels_M = rate(split.labels_N, 1)
    few = np.flatnonzero(raters_M == CARELESS)[10:]
    keep_M = ~np.isin(np.arange(len(faces_M)), few)
    ratings = Ratings(tuple("abcd"), split.pixels_NHW, faces_M[keep_M], raters_M[keep_M], labels_M[keep_M])
    assert not any(audit.careless for audit in audit_raters(ratings, 7))


def test_raters_at_random_are_not_singled_out(split) -> None:
    faces_M, raters_M, labels_M = rate(split.labels_N, 1)
    labels_M = np.random.default_rng(0).permutation(labels_M)
    ratings = Ratings(tuple("abcd"), split.pixels_NHW, faces_M, raters_M, labels_M)
    assert not any(audit.careless for audit in audit_raters(ratings, 7))


def test_agreement_is_kappa_of_cohen() -> None:
    """The example of Cohen 1960 in other words: 45 of 50 equal, both sides use the classes half and half."""
    labels_M = np.repeat([0, 1], 25)
    others_M = labels_M.copy()
    others_M[[0, 1, 25, 26, 27]] ^= 1
    result = agreement(labels_M, np.eye(2)[others_M])
    chance = 0.5 * (others_M == 0).mean() + 0.5 * (others_M == 1).mean()
    assert result.share == pytest.approx(0.9)
    assert result.kappa == pytest.approx((0.9 - chance) / (1 - chance))
    assert result.low < result.kappa < result.high <= 1


def test_predict_out_of_fold_does_not_see_own_label(split) -> None:
    """Labels at random cannot be predicted, unless a face's own label is used."""
    labels_N = np.random.default_rng(0).integers(0, 7, FACES)
    predicted_N = predict_out_of_fold(split.pixels_NHW, np.arange(FACES), labels_N, 7)
    assert (predicted_N == labels_N).mean() < 0.25


def test_data_command_shows_careless_rater(split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    (tmp_path / "faces").mkdir()
    for k, face in enumerate(split.pixels_NHW):
        cv2.imwrite(str(tmp_path / f"faces/{k}.png"), face)
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user.id", "image", "emotion"])
        for face, rater, label in zip(*rate(split.labels_N, 1), strict=True):
            writer.writerow([f"user {rater}", f"{face}.png", names[label]])
    monkeypatch.chdir(tmp_path)
    command = "mien data faces --labels labels.csv --out shown --json audit.json"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert "agrees with nobody above chance: user 2;" in " ".join(capsys.readouterr().out.split())
    raters = json.loads((tmp_path / "audit.json").read_text())["raters"]
    assert [rater["rater"] for rater in raters if rater["careless"]] == ["user 2"]
