"""experiments/away.py: the figures by hand, a small folder end to end, and the section of the model card."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.data import sketch
from mien.errors import DataError, MienError
from mien.evaluation.statistics.intervals import wilson_interval
from mien.labels import FER7, FERPLUS8
from mien.model import read_card, shipped_models
from mien.recognition import sample

ROOT = Path(__file__).parents[1]
ANGRY, HAPPY, SAD, NEUTRAL = (FER7.index(name) for name in ("angry", "happy", "sad", "neutral"))


@pytest.fixture(scope="module")
def away() -> ModuleType:
    return script("away")


def script(name: str) -> ModuleType:
    """Import experiments/NAME.py, which is not in a package, with the neighbours that it imports."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "experiments" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "experiments"))
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images: the sample portrait twice as happy and once as sad, and a synthetic one without a face to detect.

    The second has a smaller face beside the largest.
    """
    made = tmp_path_factory.mktemp("photos")
    portrait = cv2.imread(str(sample()))
    for name in ("first-smile", "second-smile", "third-smile"):
        cv2.imwrite(str(made / f"{name}.png"), portrait)
    beside = np.full((512, 256, 3), 128, np.uint8)
    beside[:256] = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(made / "second-smile.png"), np.hstack([beside, portrait]))
    blank = np.full((300, 300), 128, np.uint8)
    blank[:48, :48] = sketch(train=7, val=7, test=7)["train"].pixels_NHW[0] // 8 + 112
    cv2.imwrite(str(made / "blank-wall.png"), blank)
    rows = ["first-smile.png,happy", "second-smile.png,happiness", "third-smile.png,sad", "blank-wall.png,neutral"]
    (made / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    return made


@pytest.fixture(scope="module")
def record(away: ModuleType, folder: Path) -> dict[str, Any]:
    measured: dict[str, Any] = away.measure(folder, min_photos=2)
    return measured


def put(**probs: float) -> list[float]:
    """Return a row of FER7's probabilities, 0 where no class is named."""
    return [probs.get(name, 0.0) for name in FER7.names]


def test_figures_match_hand_calculation(away: ModuleType) -> None:
    """Four angry, two happy, one sad, one neutral; the second angry one without a face, two others wrong."""
    labels_N = np.array([ANGRY, ANGRY, ANGRY, ANGRY, HAPPY, HAPPY, SAD, NEUTRAL])
    found_N = np.array([True, False, True, True, True, True, True, True])
    probs_M7 = np.array(
        [
            put(angry=0.9, sad=0.1),
            put(angry=0.9, sad=0.1),
            put(neutral=0.9, angry=0.1),  # wrong
            put(happy=1.0),
            put(happy=1.0),
            put(neutral=0.5, sad=0.3, fear=0.2),  # wrong
            put(neutral=0.5, sad=0.5 - 1e-9),
        ]
    )
    metrics = away.compute_metrics(labels_N, found_N, probs_M7, min_photos=2)
    low, high = wilson_interval(5, 8)
    assert metrics["accuracy"] == {
        "value": 0.625,
        "low": pytest.approx(low, abs=1e-6),
        "high": pytest.approx(high, abs=1e-6),
    }
    assert metrics["balanced_accuracy"] == {
        "large_classes": 0.75,  # angry 2 of 4, happy 2 of 2
        "all_classes": 0.625,  # and sad 0 of 1, neutral 1 of 1
    }
    logs = [0.9, 0.9, 0.1, 1, 1, 0.3, 0.5]
    assert metrics["log_loss"] == pytest.approx(-sum(map(math.log, logs)) / 7, abs=1e-5)
    # Bins at 0.9 (2 of 3 right), at 1 (2 of 2) and at 0.5 (1 of 2): |2/3 - 0.9| * 3/7.
    assert metrics["ece"] == pytest.approx((2.7 - 2) / 7, abs=1e-5)
    # Of the large classes: each angry face weighs 1/3, each happy one 1/2; |(0.1 + 0.1 - 0.9) / 3| over two classes.
    assert metrics["class_balanced_ece"]["large_classes"] == pytest.approx(0.7 / 3 / 2, abs=1e-5)
    # Of all four: the bin at 0.5 holds sad -0.5 and neutral +0.5, each of weight 1, which cancel.
    assert metrics["class_balanced_ece"]["all_classes"] == pytest.approx(0.7 / 3 / 4, abs=1e-5)
    assert metrics["neutral"] == {"predicted": 0.375, "labelled": 0.125}
    rows = dict(zip(FER7.names, metrics["confusion_matrix"]["rows"], strict=True))
    assert metrics["confusion_matrix"]["columns"] == [*FER7.names, "no face"]
    assert rows["angry"] == [2, 0, 0, 0, 0, 0, 1, 1]
    assert rows["sad"] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert sum(map(sum, rows.values())) == 8
    classes = {c["name"]: c for c in metrics["classes"]}
    assert classes["angry"]["recall"]["value"] == 0.5
    assert "recall" not in classes["disgust"]


def test_figures_without_a_large_class_have_no_average(away: ModuleType) -> None:
    metrics = away.compute_metrics(np.array([HAPPY]), np.array([True]), np.array([put(happy=1.0)]))
    assert metrics["balanced_accuracy"] == {"large_classes": None, "all_classes": 1.0}
    assert metrics["class_balanced_ece"]["large_classes"] is None


def test_reduce_to_seven_drops_contempt_and_rescales(away: ModuleType) -> None:
    probs_NK = np.zeros((1, 8))
    for name, p in (("contempt", 0.6), ("happiness", 0.3), ("fear", 0.1)):
        probs_NK[0, FERPLUS8.index(name)] = p
    np.testing.assert_allclose(away.reduce_to_seven(probs_NK, FERPLUS8), [put(happy=0.75, fear=0.25)])


def test_measure_on_a_small_folder_counts_by_hand(record: dict[str, Any]) -> None:
    assert record["n"] == 4
    assert {name: n for name, n in record["photos_per_class"].items() if n} == {"happy": 2, "sad": 1, "neutral": 1}
    assert record["detector"]["detected"]["photos"] == 3
    assert set(record["models"]) == set(shipped_models())
    for name, metrics in record["models"].items():
        assert metrics["sha256"] == read_card(name).sha256
        assert metrics["accuracy"]["value"] == 0.5, name  # every model sees the portrait's smile
        assert metrics["balanced_accuracy"] == {"large_classes": 1.0, "all_classes": pytest.approx(1 / 3, abs=1e-6)}
        assert metrics["neutral"] == {"predicted": 0, "labelled": 0.25}
        assert metrics["confusion_matrix"]["rows"][SAD][HAPPY] == 1
        assert metrics["confusion_matrix"]["rows"][NEUTRAL] == [0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("name", ["photo", "ferplus"])
def test_measure_uses_the_probabilities_of_analyze(name: str, folder: Path, record: dict[str, Any]) -> None:
    recognizer, logs = mien.load(name, max_faces=1), []
    happy, sad = ("happy", "happiness"), ("sad", "sadness")
    for file, spellings in (("first", happy), ("second", happy), ("third", sad)):
        (face,) = recognizer.analyze(folder / f"{file}-smile.png").faces
        probs = dict(zip(face.labels, face.probabilities, strict=True))
        own = next(p for label, p in probs.items() if label in spellings)
        logs.append(math.log(own / (1 - probs.get("contempt", 0.0))))
    assert record["models"][name]["log_loss"] == pytest.approx(-sum(logs) / 3, abs=1e-4)
    assert record["models"][name]["dropped_classes"] == (["contempt"] if name == "ferplus" else [])


def test_faces_for_fer_are_cropped_at_its_own_size(away: ModuleType, folder: Path) -> None:
    files, _ = away.read_labels(folder)
    found_N, faces = away.crop_largest_faces(files, mien.load("nano", max_faces=1), {"fer": away._crop_for_fer})
    assert found_N.tolist() == [True, True, True, False]
    assert faces["fer"].shape == (3, 64, 64)
    np.testing.assert_array_equal(faces["fer"][0], faces["fer"][2])  # the same image


def test_the_record_names_no_image(folder: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record)
    for word in ("smile", "wall", ".png", str(folder), folder.name):
        assert word not in text


def test_the_committed_record_names_no_image() -> None:
    text = (ROOT / "experiments" / "results" / "away.json").read_text()
    assert not [word for word in (".jpg", ".jpeg", ".png", ".csv", "/") if word in text.replace("x/127.5", "")]


def test_folder_with_unknown_label_raises(away: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n0.jpg,bored\n")
    with pytest.raises(MienError, match="'bored' is not a class"):
        away.measure(tmp_path)


def test_folder_without_the_columns_raises(away: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,class\n0.jpg,sad\n")
    with pytest.raises(DataError, match="columns file and label"):
        away.measure(tmp_path)


def test_folder_without_any_face_raises(away: ModuleType, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "blank-wall.png", tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\nblank-wall.png,sad\n")
    with pytest.raises(DataError, match="no face in any"):
        away.measure(tmp_path)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of all that model_card.py reads besides the package."""
    for name in ("experiments/model_card.py", "experiments/results/away.json", "docs/model-card.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "experiments/results/evaluation_report", tmp_path / "experiments/results/evaluation_report")
    return tmp_path


def check(root: Path) -> tuple[int, str]:
    script = root / "experiments" / "model_card.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    return done.returncode, done.stderr


def altered(root: Path, *, model: str, **changes: Any) -> Path:
    file = root / "experiments" / "results" / "away.json"
    record = json.loads(file.read_text())
    record["models"][model].update(changes)
    file.write_text(json.dumps(record))
    return root


def test_model_card_check_passes_for_the_committed_record(copied: Path) -> None:
    assert check(copied) == (0, "")


def test_model_card_check_refuses_another_models_file(copied: Path) -> None:
    code, error = check(altered(copied, model="nano", sha256="0" * 64))
    assert code == 1
    assert "away.json is of other files of nano; run: python experiments/away.py" in error


def test_model_card_check_refuses_other_figures(copied: Path) -> None:
    code, error = check(altered(copied, model="base", log_loss=9.0))
    assert code == 1
    assert "model-card.md does not show the committed results" in error


def test_model_card_with_an_outdated_record_shows_no_figures() -> None:
    record = json.loads((ROOT / "experiments" / "results" / "away.json").read_text())
    del record["models"]["photo"]
    shown = script("model_card").away_section(record)
    assert shown == "Not measured with the current files of photo; run: python experiments/away.py FOLDER\n"
