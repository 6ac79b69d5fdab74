"""Folders of labels without splits: a fifth is held out, and other files are ignored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.__main__ import main
from mien.data import Dataset, load
from mien.data.audit import audit
from mien.data.folders.face_crops import middle_square
from mien.errors import DataError
from mien.imaging.load import read_image
from mien.labels import FER7


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 24), dtype=np.uint8)


@pytest.fixture
def flat(put, tmp_path: Path) -> Path:
    """23 images that are bored, ten that are keen, one that is odd."""
    for label, first, count in (("bored", 0, 23), ("keen", 100, 10), ("odd", 200, 1)):
        for k in range(first, first + count):
            put(f"{label}/{k}.png", noise(k))
    return tmp_path / "faces"


def counts(data: Dataset) -> dict[str, dict[str, int]]:
    return audit(data).counts


def faces(data: Dataset, split: str) -> set[bytes]:
    return {face.tobytes() for face in data[split].pixels_NHW}


def test_flat_folder_holds_out_a_fifth_of_each_label(flat: Path) -> None:
    data = load(flat)
    assert (data.name, data.labels.names, list(data.splits)) == ("folder", ("bored", "keen", "odd"), ["train", "val"])
    assert counts(data) == {"train": {"bored": 18, "keen": 8, "odd": 1}, "val": {"bored": 5, "keen": 2, "odd": 0}}
    rows_N = np.concatenate([data["train"].rows_N, data["val"].rows_N])
    assert sorted(rows_N) == list(range(34))
    assert data.note is not None
    assert (np.diff(data["val"].rows_N) > 0).all()  # in the order of the paths, as in any folder


def test_flat_folder_with_every_suffix_and_spelling(put, tmp_path: Path) -> None:
    for k, name in enumerate(["Happiness/a.png", "Happiness/b.JPG", "anger/c.jpeg", "anger/d.PNG"]):
        put(name, noise(k))
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert [sorted(data[s].labels_N.tolist()) for s in ("train", "val")] == [[0, 3], [0, 3]]


def test_holdout_ignores_file_names(flat: Path, tmp_path: Path) -> None:
    for k, file in enumerate(sorted(flat.rglob("*.png"), reverse=True)):
        # Kaggle's names say which split an image is of, but only where the folder has splits.
        new = tmp_path / "renamed" / f"my {file.parent.name}" / f"{('PublicTest', 'Training')[k % 2]}_{k}.png"
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, new)
    assert faces(load(tmp_path / "renamed"), "val") == faces(load(flat), "val")


def test_duplicates_in_other_encoding_stay_together(flat: Path) -> None:
    held = faces(load(flat), "val")
    for file in sorted(flat.glob("*/*.png")):
        shutil.copyfile(file, file.with_name(f"copy of {file.name}"))
        Image.open(file).convert("RGB").save(file.with_name(f"color {file.name}"))
    data = load(flat)
    assert audit(data).across == {"val in train": 0}
    assert sum(map(sum, (c.values() for c in counts(data).values()))) == 3 * 34
    assert len(data["val"]) == 3 * len(held)


def test_copied_image_changes_no_split(flat: Path) -> None:
    before = faces(load(flat), "val")
    for k in range(100, 110):
        shutil.copyfile(flat / f"keen/{k}.png", flat / f"keen/copy of {k}.png")
    assert faces(load(flat), "val") == before


def test_duplicates_with_two_labels_are_training(flat: Path) -> None:
    for k in range(100, 105):
        shutil.copyfile(flat / f"keen/{k}.png", flat / f"bored/{k}.png")
    data = load(flat)
    found = audit(data)
    assert found.across == {"val in train": 0}
    assert found.contradicted["val"] == ()
    assert len(found.contradicted["train"]) == 5
    assert found.counts["val"] == {"bored": 6, "keen": 2, "odd": 0}  # a fifth of 28 and of 10


def test_holdout_order_is_sha256_of_bytes(flat: Path) -> None:
    """A pin: another order would turn images that were trained on into images to validate on."""
    wanted = set()
    for label, count in (("bored", 5), ("keen", 2)):
        files = sorted((f.read_bytes() for f in flat.glob(f"{label}/*.png")), key=lambda b: hashlib.sha256(b).digest())
        wanted |= {middle_square(read_image(data)).tobytes() for data in files[:count]}
    assert faces(load(flat), "val") == wanted


@pytest.mark.parametrize("split", ["train", "val", "validation", "test"])
def test_splits_beside_labels_are_an_error(flat: Path, put, split: str) -> None:
    put(f"{split}/keen/a.png")
    with pytest.raises(DataError) as caught:
        load(flat)
    assert str(caught.value) == (
        f"{flat}: has both the split {split} and folders with images that are not splits (bored, keen, odd); "
        "rename them to train, val or test, or move them out of faces; "
        "expected either faces/train/<label>/*.png or faces/<label>/*.png, not both"
    )


def test_folder_with_train_and_test_holds_out_of_train(put, tmp_path: Path) -> None:
    for k in range(10):
        put(f"train/keen/{k}.png", noise(k))
        put(f"train/bored/{k}.png", noise(10 + k))
        put(f"test/keen/{k}.png", noise(30 + k))
    (tmp_path / "faces/notes").mkdir()
    (tmp_path / "faces/notes/readme.txt").write_text("no images here, so no label")
    put(".thumbnails/1.png")
    data = load(tmp_path / "faces")
    assert {s: len(data[s]) for s in data.splits} == {"train": 16, "val": 4, "test": 10}
    assert data.note is not None
    assert data.reading.unread == "1 .txt"


def test_other_files_are_ignored(flat: Path, put) -> None:
    before = load(flat)
    for name in ("keen/.DS_Store", "keen/Thumbs.db", "keen/notes.txt", "keen/._1.png", "notes.txt", ".DS_Store"):
        (flat / name).write_bytes(b"not an image")
    for name in ("empty", "texts", ".hidden"):
        (flat / name).mkdir()
    (flat / "texts/a.txt").write_text("not an image")
    put(".hidden/a.png")
    put("cover.png")  # stands under no label
    after = load(flat)
    assert after.digest == before.digest
    assert after.labels == before.labels
    assert counts(after) == counts(before)


@pytest.mark.parametrize("made", ["keen/a.txt", "keen/.DS_Store", "keen/deep/a.png", ".keen/a.png", "a.png"])
def test_flat_folder_without_images_is_an_error(put, tmp_path: Path, nothing_left, made: str) -> None:
    file = tmp_path / "faces" / made
    file.parent.mkdir(parents=True)
    file.write_bytes(b"anything")
    with pytest.raises(
        DataError, match=r"faces: has (neither images as|1 image, but not in class folders|images of one label)"
    ):
        load(tmp_path / "faces")
    nothing_left(tmp_path / "faces")


def test_flat_folder_with_one_label_is_an_error(put, tmp_path: Path) -> None:
    put("keen/a.png")
    with pytest.raises(DataError, match="faces: has images of one label only, 'keen'"):
        load(tmp_path / "faces")


def test_flat_folder_of_one_image_per_label(put, tmp_path: Path) -> None:
    put("keen/a.png", 1)
    put("bored/a.png", 2)
    assert {s: len(split) for s, split in load(tmp_path / "faces").splits.items()} == {"train": 2}


def test_unreadable_folder_is_an_error(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be a label; only lost+found, which is at the root of a disk, is not read."""
    look = os.scandir

    def scandir(path: Path):
        if Path(path).name in ("closed", "lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)  # these tests may run as a user to whom nothing is closed
    (flat / "lost+found").mkdir()
    assert sum(map(len, load(flat).splits.values())) == 34
    (flat / "closed").mkdir()
    with pytest.raises(DataError, match=r"faces/closed: cannot be read: permission denied"):
        load(flat)


def test_data_command_shows_flat_folder(flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mien", "data", "faces", "--out", "shown", "--json", "figures.json"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    result = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "all 27 7" in result
    assert "val is a fifth of each label's images" in result
    assert json.loads((tmp_path / "figures.json").read_text())["counts"]["val"] == {"bored": 5, "keen": 2, "odd": 0}
    assert sorted(f.name for f in (tmp_path / "shown").iterdir()) == ["classes.png", "faces.png"]
