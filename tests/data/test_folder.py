"""Folders of pictures: any size, any usual spelling, and Kaggle's names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.data import load
from mien.errors import DataError
from mien.labels import FER7

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a picture of one grey (or of the given pixels) at a path below the folder."""

    def write(name: str, pixels: int | np.ndarray = 90) -> Path:
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((48, 48), pixels, np.uint8) if isinstance(pixels, int) else pixels
        Image.fromarray(picture).save(path)
        return path

    return write


def test_a_folder_of_three_splits(put: Put, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (4, 48, 48), dtype=np.uint8)
    put("train/happy/b.png", faces[0])
    put("train/happy/a.png", faces[1])
    put("train/angry/c.PNG", faces[2])
    put("validation/sad/d.png", faces[3])
    put("test/angry/e.jpg", 200)
    (tmp_path / "faces/train/happy/notes.txt").write_text("not a picture")
    (tmp_path / "faces/train/happy/._a.png").write_bytes(b"what macOS leaves behind")
    data = load(tmp_path / "faces")
    assert (data.name, data.labels, data.known_as) == ("folder", FER7, None)
    assert (data["train"].pixels_NHW == faces[[2, 1, 0]]).all()  # sorted by label folder, then by name
    assert data["train"].labels_N.tolist() == [0, 3, 3]
    assert (data["val"].pixels_NHW == faces[3:]).all()
    assert data["val"].labels_N.tolist() == [4]
    assert abs(data["test"].pixels_NHW.astype(int) - 200).max() <= 1
    rows = np.concatenate([data[s].rows_N for s in ("train", "val", "test")])
    assert sorted(rows) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("spelling", "index"),
    [("anger", 0), ("Angry", 0), ("disgusted", 1), ("fearful", 2), ("happiness", 3), ("Sadness", 4), ("surprised", 5)],
)
def test_usual_spellings(put: Put, tmp_path: Path, spelling: str, index: int) -> None:
    put(f"train/{spelling}/a.png")
    put("train/neutral/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert sorted(data["train"].labels_N.tolist()) == [index, 6]


def test_each_split_may_have_its_own_spelling(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png")
    put("train/sad/a.png")
    put("test/happiness/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert data["test"].labels_N.tolist() == [3]


def test_other_labels_are_those_of_all_splits(put: Put, tmp_path: Path) -> None:
    put("train/bored/a.png")
    put("train/awake/a.png")
    put("val/happy/a.png")
    data = load(tmp_path / "faces")
    assert data.labels.names == ("awake", "bored", "happy")
    assert data["train"].labels_N.tolist() == [0, 1]
    assert data["val"].labels_N.tolist() == [2]


def test_labels_that_differ_in_case_only(put: Put, tmp_path: Path) -> None:
    put("train/a/1.png", 10)
    put("train/A/1.png", 20)
    data = load(tmp_path / "faces")
    assert dict(zip(data["train"].labels_N.tolist(), data["train"].pixels_NHW[:, 0, 0].tolist(), strict=True)) == {
        data.labels.names.index("a"): 10,
        data.labels.names.index("A"): 20,
    }


def test_two_spellings_of_one_label_beside_each_other_are_two_labels(put: Put, tmp_path: Path) -> None:
    put("train/angry/a.png")
    put("train/anger/a.png")
    assert load(tmp_path / "faces").labels.names == ("anger", "angry")


def test_kaggles_names_restore_the_splits(put: Put, tmp_path: Path) -> None:
    put("train/happy/Training_10118481.jpg", 10)
    put("train/sad/Training_2.jpg", 20)
    put("test/happy/PublicTest_19658881.jpg", 30)
    put("test/happy/PrivateTest_95094.jpg", 40)
    put("test/sad/PublicTest_3.jpg", 50)
    data = load(tmp_path / "faces")
    grey = {s: sorted(data[s].pixels_NHW[:, 24, 24].tolist()) for s in data.splits}
    assert grey == {"train": [10, 20], "val": [30, 50], "test": [40]}
    assert data["val"].labels_N.tolist() == [3, 4]


def test_any_size_becomes_the_middle_square(put: Put, tmp_path: Path) -> None:
    wide = np.zeros((96, 200), np.uint8)
    wide[:, 52:148] = np.kron(np.arange(48, dtype=np.uint8)[:, None] * 5, np.ones((2, 96), np.uint8))
    put("train/happy/wide.png", wide)
    colour = np.zeros((300, 100, 3), np.uint8)
    colour[..., 1] = 100
    put("train/sad/colour.png", colour)
    put("train/sad/tiny.png", np.full((7, 5), 33, np.uint8))
    data = load(tmp_path / "faces")["train"]
    assert (data.pixels_NHW[0] == np.arange(48)[:, None] * 5).all()  # each 2x2 averaged, the sides cut off
    assert abs(data.pixels_NHW[1].astype(int) - 59).max() <= 1  # green weighs 0.587
    assert (data.pixels_NHW[2] == 33).all()


def test_a_photo_is_turned_as_its_exif_says(put: Put, tmp_path: Path) -> None:
    put("train/sad/a.png")
    upright = np.zeros((48, 48), np.uint8)
    upright[:24] = 255
    path = tmp_path / "faces/train/happy/a.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    face = load(tmp_path / "faces")["train"].pixels_NHW[0]
    assert face[:20].min() > 200
    assert face[28:].max() < 50


def test_the_digest_is_of_names_and_bytes(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png", 1)
    put("train/sad/b.png", 2)
    before = load(tmp_path / "faces").digest
    shutil.copytree(tmp_path / "faces", tmp_path / "copy")
    assert load(tmp_path / "copy").digest == before
    (tmp_path / "copy/train/sad/b.png").rename(tmp_path / "copy/train/sad/c.png")
    assert load(tmp_path / "copy").digest != before
    put("train/sad/b.png", 3)
    assert load(tmp_path / "faces").digest != before


@pytest.mark.parametrize("made", [["train"], ["train/happy"], ["train/happy", "test/sad"]])
def test_no_pictures(tmp_path: Path, nothing_left, made: list[str]) -> None:
    root = tmp_path / "faces"
    for name in made:
        (root / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=r"faces: has no pictures; expected faces/train/<label>/\*.png"):
        load(root)
    nothing_left(root)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has neither pictures as .* nor one of the files fer2013.csv, icml"):
        load(tmp_path)


def test_one_label_is_too_few(put: Put, tmp_path: Path) -> None:
    put("train/bored/a.png")
    with pytest.raises(DataError, match="faces: has pictures of one label only"):
        load(tmp_path / "faces")


def test_pictures_that_do_not_decode(put: Put, tmp_path: Path, nothing_left, capfd) -> None:
    good = put("train/happy/a.png", np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).read_bytes()
    for i in range(7):
        put(f"train/sad/{i}.png").write_bytes([b"", b"no picture", good[:40]][i % 3])
    root = tmp_path / "faces"
    with pytest.raises(DataError) as caught:
        load(root)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{root}: 7 pictures cannot be read:"
    assert lines[1] == "  train/sad/0.png: 0 bytes that do not decode, expected a PNG or JPEG picture"
    assert lines[2] == "  train/sad/1.png: 10 bytes that do not decode, expected a PNG or JPEG picture"
    assert lines[6:] == ["  ... and 2 more"]
    nothing_left(root)


def test_a_name_that_leads_nowhere(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png")
    (tmp_path / "faces/train/sad").mkdir()
    (tmp_path / "faces/train/sad/gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"train/sad/gone.png: No such file"):
        load(tmp_path / "faces")


def test_what_opencv_reads_is_what_pillow_wrote(put: Put) -> None:
    """The fixture's truth: a lossless grey picture survives the way through both libraries."""
    face = np.random.default_rng(5).integers(0, 256, (48, 48), dtype=np.uint8)
    assert (cv2.imread(str(put("train/happy/a.png", face)), cv2.IMREAD_GRAYSCALE) == face).all()
