"""Explanations: maps are compared with the model, and the drawing by its pixels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
import models
from mien.errors import ImageError, MienError
from mien.imaging.load import read_image
from mien.labels import FERPLUS_COLUMNS, LabelSet
from mien.prior import apply_prior
from mien.recognition import Recognizer, sample
from mien.recognition.explain import GAP, HEAD, SIDE, draw, explain


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.load("nano")


def test_activation_maps_add_up_to_the_logits(recognizer: Recognizer) -> None:
    """Their means over the face differ between classes as the log-probabilities do, but for the bias and a factor."""
    of_class = {name: explain(recognizer, sample(), label=name)[0] for name in recognizer.labels.names}
    assert {one.face.label for one in of_class.values()} == {"happy"}
    means = {name: float(np.mean(one.activation_HW)) for name, one in of_class.items() if one.activation_HW is not None}
    assert max(means, key=means.__getitem__) == "happy"
    assert sum(means.values()) == pytest.approx(0, abs=1e-3 * max(means.values()))


def test_occlusion_of_a_smile_is_largest_at_the_mouth(recognizer: Recognizer) -> None:
    (explanation,) = explain(recognizer, sample())
    assert (explanation.label, explanation.occlusion_HW.shape, explanation.face_HW.shape) == (
        "happy",
        (48, 48),
        (48, 48),
    )
    row, column = np.unravel_index(int(explanation.occlusion_HW.argmax()), explanation.occlusion_HW.shape)
    assert 28 <= row < 46
    assert 10 <= column < 38
    assert explanation.occlusion_HW.max() > 3 * explanation.occlusion_HW[:16].max()  # the forehead


def test_draw_has_a_row_per_face_and_both_colors(recognizer: Recognizer) -> None:
    portrait = read_image(sample())[:400, :400]
    found = explain(recognizer, np.hstack([portrait, portrait]), order="bgr")
    drawn = draw(found)
    assert drawn.shape == (2 * (HEAD + SIDE + GAP), 3 * (SIDE + GAP) + GAP, 3)
    first = drawn[HEAD : HEAD + SIDE, GAP : GAP + SIDE]
    assert (first.min(2) == first.max(2)).all()  # the input of the model: grey
    maps = drawn[HEAD : HEAD + SIDE, GAP + SIDE + GAP :].astype(int)
    assert ((maps[:, :, 2] - maps[:, :, 0]) > 40).any()  # orange
    assert ((maps[:, :, 0] - maps[:, :, 2]) > 40).any()  # blue
    assert draw(()).shape[0] == HEAD


def test_draw_without_class_weights_has_no_activation_panel(recognizer: Recognizer) -> None:
    (explanation,) = explain(recognizer, sample())
    occluded = replace(explanation, activation_HW=None)
    drawn, whole = draw((occluded,)), draw((explanation,))
    assert drawn.shape[1] == 2 * (SIDE + GAP) + GAP
    assert (drawn[:, -SIDE - GAP :] == whole[:, -SIDE - GAP :]).all()
    assert draw((occluded, explanation)).shape == (2 * whole.shape[0], *whole.shape[1:])


@pytest.mark.parametrize("label", ["happiness", "Happy", "joy"])
def test_explain_any_spelling_is_the_models_class(recognizer: Recognizer, label: str) -> None:
    (asked,), (plain,) = (explain(recognizer, sample(), label=name) for name in (label, "happy"))
    assert (asked.label, asked.face.label) == ("happy", "happy")
    assert np.array_equal(asked.occlusion_HW, plain.occlusion_HW)


@pytest.mark.parametrize("label", ["happiness", "happy"])
def test_explain_model_with_other_spelling_uses_its_own(tmp_path: Path, label: str) -> None:
    old = mien.load(models.write_model(tmp_path / "model", LabelSet("ferplus8", FERPLUS_COLUMNS[:8])), detector="whole")
    (explanation,) = explain(old, sample(), label=label)
    assert explanation.label == "happiness"


def test_explain_with_a_prior_adjusts_the_probabilities(recognizer: Recognizer) -> None:
    balanced = mien.load("nano", prior="balanced")
    (plain,), (found,) = (explain(each, sample(), label="disgust") for each in (recognizer, balanced))
    assert recognizer.model.card.class_frequencies is not None
    p_NK = np.array([plain.face.probabilities], np.float32)
    wanted_NK = apply_prior(p_NK, recognizer.model.card.class_frequencies.assumed, [1 / 7] * 7)
    assert np.array_equal(np.array([found.face.probabilities], np.float32), wanted_NK)
    assert np.array_equal(found.activation_HW, plain.activation_HW)  # type: ignore[arg-type]
    assert np.abs(found.occlusion_HW - plain.occlusion_HW).max() > 0.01


def test_explain_with_bad_arguments_raises(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(MienError, match="the model nano has no class 'bored'; it has angry"):
        explain(recognizer, sample(), label="bored")
    with pytest.raises(ImageError, match="there is no such file"):
        explain(recognizer, tmp_path / "gone.jpg")
    assert explain(recognizer, np.zeros((90, 90), np.uint8)) == ()


def test_command_with_a_prior_applies_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "explain", "--sample", "--model", "nano", "--prior", "happy=0.00001"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("face 1: ")
    assert not done.stdout.startswith("face 1: happy ")


def test_command_writes_the_drawing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "explain", "--sample", "--model", "nano"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("face 1: happy ")
    (written,) = tmp_path.iterdir()
    assert written.name == "sample-explained.png"
    assert cv2.imread(str(written)).shape[0] == HEAD + SIDE + GAP
    written.write_bytes(b"of someone else")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, written.read_bytes()) == (2, b"of someone else")
    assert again.stderr == (
        "mien: sample-explained.png exists; to replace it, or to write another file, use --out FILE.png\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([str(sample()), "--out", "a.pdf"], "mien: the output must be a .png file, got a.pdf\n"),
        (["wall.png", "--out", "./wall.png"], "mien: wall.png is the input image"),
        (["wall.png", "--max-pixels", "9"], "mien: wall.png: has 60 x 60 pixels"),
        (["wall.png", "--max-bytes", "9"], "mien: wall.png: has 0.0 MB, above the limit"),
        ([], "mien: pass one image, or --sample\n"),
        (["wall.png", "--sample"], "mien: pass one image, or --sample\n"),
        (["wall.png"], "mien: no face found in wall.png"),
    ],
)
def test_command_with_a_mistake_exits_with_2(words: list[str], message: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((60, 60, 3), 128, np.uint8))
    command = [sys.executable, "-m", "mien", "explain", "--model", "nano", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert [file.name for file in tmp_path.iterdir()] == ["wall.png"]
