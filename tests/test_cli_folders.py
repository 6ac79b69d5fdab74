"""Image folders on the command line: `mien data`, `mien crop` and `mien evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.recognition import sample

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos, one of which has no face, and a text file, one folder too deep."""
    portrait = cv2.imread(str(sample()))[64:448, 64:448]
    for k, name in enumerate(("Train/0_Happy", "Train/4_Sad", "Test/0_Happy", "Test/4_Sad")):
        file = tmp_path / f"photos/archive/{name}/{k}.png"
        file.parent.mkdir(parents=True)
        assert cv2.imwrite(str(file), portrait if k < 3 else np.full((200, 200), 90, np.uint8))
    (tmp_path / "photos/readme.txt").write_text("x")
    return tmp_path / "photos"


def test_data_command_reports_what_was_left_out_last(mien: Command, photos: Path, tmp_path: Path) -> None:
    code, out, _ = mien("data", photos, "--out", tmp_path / "shown", "--json", tmp_path / "audit.json")
    assert code == 0
    assert out.splitlines()[-4:] == [
        "note: Read from the folder 'archive'.",
        "note: Faces were detected and cropped in 4 of 4 images.",
        "warning: Left out 1 image without a detected face: archive/Test/4_Sad/3.png.",
        "not read: 1 .txt",
    ]
    assert json.loads((tmp_path / "audit.json").read_text())["reading"]["unread"] == "1 .txt"


def test_data_command_fails_on_unknown_layout(mien: Command, photos: Path) -> None:
    code, _, err = mien("data", photos, "--layout", "mine")
    assert code == 2
    assert err.startswith("mien: --layout must be one of auto, folders, raf-db, affectnet")


def test_crop_command_writes_crops(mien: Command, photos: Path, tmp_path: Path) -> None:
    code, out, err = mien("crop", photos, tmp_path / "crops")
    assert code == 0
    assert out == f"wrote 3 face crops to {tmp_path / 'crops'}\n"
    assert "warning: Left out 1 image without a detected face: archive/Test/4_Sad/3.png.\n" in err
    faces = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in (tmp_path / "crops").rglob("*.png")]
    assert {face.shape for face in faces} == {(48, 48)}


def test_evaluate_command_says_which_classes_are_left_out(mien: Command, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("file,label,split\n0.png,happy,test\n1.png,contempt,test\n2.png,sad,test\n")
    words = ("evaluate", "nano", "--data", photos, "--label-file", file, "--split", "test")
    code, out, err = mien(*words, "--json", tmp_path / "metrics.json", "--html", tmp_path / "page.html")
    assert code == 0, err
    note = json.loads((tmp_path / "metrics.json").read_text())["note"]
    assert note.startswith(
        "evaluated on the 2 classes that both have, happy and sad; left out: contempt, which the model"
    )
    assert "Evaluated on the 2 classes that both have" in " ".join(out.split())
    assert "valuated on the 2 classes that both have" in (tmp_path / "page.html").read_text()
    assert "warning: Left out 1 image without a label in labels.csv." in err
