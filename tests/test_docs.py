"""Documents: trees match the disk, commands and snippets run, tables match their JSON."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

import videos
from mien.data import Dataset, sketch, write_csv
from mien.data.dataset import USAGE
from mien.labels import FERPLUS8, FERPLUS_COLUMNS, projection
from mien.model import read_card, shipped_models
from mien.model_card import NOT_FOR
from mien.recognition import sample

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMING_FROM = (ROOT / "docs" / "coming-from.md").read_text()
# Appended to README's training commands, which are meant for full training.
SHORT = ["--set", "epochs=1", "--set", "warmup=0", "--set", "precision=float32"]
SMALL = ["--set", "model=mien_nano"]  # not with initial weights, which belong to one architecture


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a reader: a small fer2013.csv, images, and the output of earlier commands."""
    folder = tmp_path_factory.mktemp("reader")
    data = sketch(train=70, val=35, test=35)
    write_csv(folder / "fer2013.csv", data)
    write_votes(folder / "fer2013new.csv", data)
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/portrait.jpg"):
        shutil.copy(sample(), folder / name)
    videos.write(
        folder / "clip.mp4",
        lambda i: videos.frame(320, 240, (0.4 + i / 100, 0.5, 0.5, 1.0)),
        videos.times(15),
    )
    for i, face_HW in enumerate(data["train"].pixels_NHW):
        file = folder / "faces" / ("cross", "delighted", "puzzled")[i % 3] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), cv2.resize(face_HW, (40 + i, 50 + i)))
    (pipeline,) = [block for block in blocks("python") if "import albumentations" in block]
    subprocess.run([sys.executable, "-c", pipeline], cwd=folder, check=True)  # a command reads the file that it writes
    return folder


def write_votes(file: Path, data: Dataset) -> None:
    """Write ten votes for the label of each face, in the format of FER+."""
    lines = ["Usage,Image name," + ",".join(FERPLUS_COLUMNS)]
    names = {split: usage for usage, split in USAGE.items()}
    of_label = projection(FERPLUS8, data.labels).argmax(0)
    for name, split in data.splits.items():
        for label in split.labels_N:
            votes = ["10" if column == of_label[label] else "0" for column in range(len(FERPLUS_COLUMNS))]
            lines.append(f"{names[name]},," + ",".join(votes))
    file.write_text("\n".join(lines) + "\n")


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return [c for c in (line.split(" #")[0].strip() for line in lines) if c]


def test_readme_starts_with_make_demo_and_make_test() -> None:
    assert [c for c in commands() if c.startswith("make")][:2] == ["make demo", "make test"]


@pytest.mark.docs
@pytest.mark.parametrize("number", range(len([c for c in commands() if c.startswith("mien")])))
def test_readme_commands_run(number: int, workshop: Path) -> None:
    """They run in order, as later ones use the output of earlier ones."""
    command = [c for c in commands() if c.startswith("mien")][number]
    words = shlex.split(command)[1:]
    if words[0] in ("train", "compare", "tune"):
        words += SHORT if "--init" in words else SHORT + SMALL
        words += ["--trials", "2"] if words[0] == "tune" else []
    done = subprocess.run([sys.executable, "-m", "mien", *words], cwd=workshop, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.docs
@pytest.mark.parametrize("snippet", blocks("python") + blocks("python", COMING_FROM))
def test_snippets_run(snippet: str, workshop: Path) -> None:
    code = f"import os; os.environ['COLUMNS'] = '100'\n{snippet}"
    done = subprocess.run([sys.executable, "-c", code], cwd=workshop, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_design_tree_matches_disk() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "experiments" / "design_tree.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_design_rows_match_import_contract() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    rows = re.search(r"```\n(cli\n.*?)```", text, re.DOTALL)
    assert rows is not None
    result = [re.split(r" {2,}", line)[0].split(" | ") for line in rows[1].splitlines()]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    packages = contract[1:]  # the first is __main__, which only calls the cli
    assert [" | ".join(f"mien.{package}" for package in row) for row in result] == packages


def test_conventions_name_existing_tests() -> None:
    lines = (ROOT / "docs" / "conventions.md").read_text()
    items = re.findall(r"^- .*?(?=^- |^#|\Z)", lines, re.DOTALL | re.MULTILINE)
    assert items
    for item in items:
        named = re.findall(r"`(tests/[\w/.]+)`", item)
        assert named, item
        assert all((ROOT / name).exists() for name in named), item


@pytest.mark.records
@pytest.mark.parametrize("script", ["tables.py", "model_card.py"])
def test_tables_match_committed_records(script: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "experiments" / script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_images_in_documents_exist() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text()):
            assert cv2.imread(str(page.parent / name)) is not None, f"{page.name}: {name}"


def test_video_frame_matches_its_script() -> None:
    """Outside of panels and boxes the frame is the scene of the script."""
    script = ROOT / "experiments" / "sample_film.py"
    assert "`python experiments/sample_film.py docs`" in README
    spec = importlib.util.spec_from_file_location("sample_film", script)
    assert spec is not None
    assert spec.loader is not None
    film = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(film)
    shown, bare = cv2.imread(str(ROOT / "docs" / "video.jpg")), film.scene(film.FRAME_TIME)
    off_HW = np.abs(shown.astype(int) - bare).max(2)
    assert 0.03 < (off_HW > 40).mean() < 0.1  # a frame earlier or later it is more
    assert np.median(off_HW) <= 8


def test_model_card_states_limits_and_law() -> None:
    card = (ROOT / "docs" / "model-card.md").read_text()
    for words in (
        "An expression is not a feeling",
        "Fairness is unmeasured",
        "since 2 February 2025",
        "since 2 August 2026",
        "from 2 December 2027",
        "secondary sources only; the authoritative text is in the Official Journal",
        "high-risk",
        "must be **informed**",
    ):
        assert words in card
    for article in ("5(1)(f)", "50(3)", "Annex III, point 1(c)", "except for medical or safety reasons", "2(12)"):
        assert article in card
    assert "docs/model-card.md" in README[: README.index("## ")]


@pytest.mark.records
def test_model_card_on_cross_fitting_matches_reports() -> None:
    """In a model's first row only the calibration error is cross-fitted; log loss and Brier score differ by < 0.001."""
    files = sorted((ROOT / "experiments" / "results" / "evaluation_report").glob("*.json"))
    assert files
    assert "the calibration error is cross-fitted" in (ROOT / "docs" / "model-card.md").read_text()
    for file in files:
        result = json.loads(file.read_text())
        after = result["calibration"]["after"]
        assert result["calibration"]["fitted"].startswith("cross-fitted")
        assert result["ece"] == pytest.approx(after["ece"])
        for figure in ("log_loss", "brier"):
            assert result[figure] < after[figure], file.name  # optimistic, as the temperature was fitted on all faces
            assert after[figure] - result[figure] < 0.001, file.name


@pytest.mark.records
def test_cards_have_current_not_for_text() -> None:
    for name in shipped_models():
        assert read_card(name).not_for == NOT_FOR


@pytest.mark.records
def test_peers_selected_on_validation_are_named() -> None:
    result = json.loads((ROOT / "experiments" / "results" / "peers.json").read_text())
    chosen = [f"`{one['model']}`" for one in result["rounds"][0]["packages"] if one["selected_on"]]
    assert len(chosen) == 3
    assert f"of {', '.join(chosen)}, so their metrics are optimistically biased" in README
