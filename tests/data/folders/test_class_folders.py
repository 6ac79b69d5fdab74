"""Class folders inside and outside of split folders, one level too deep, and folders that would lose images."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data import load
from mien.data.folders.class_folders import LabelledImage, list_class_folders
from mien.data.folders.image_tree import scan
from mien.errors import DataError
from mien.labels import FER7

CLASSES = ("happy", "sad")


def fill(put, *folders: str, count: int = 2) -> None:
    for number, folder in enumerate(folders):
        for k in range(count):
            put(f"{folder}/{number}{k}.png", 10 * number + k)


def held_out_images(folder: Path) -> list[LabelledImage]:
    images = sorted(list_class_folders(scan(folder)).images, key=lambda image: image.path)
    return [images[row] for row in load(folder)["val"].rows_N]


@pytest.mark.parametrize(
    ("train", "val"),
    [("training", "validation"), ("Training", "PublicTest"), ("TRAIN", "VAL"), ("train", "dev"), ("train", "eval"),
     ("images/train", "images/Validation"), ("archive (3)/data/train", "archive (3)/data/valid"),
     ("train_set", "val_set"), ("train/images", "val/images")],
)  # fmt: skip
def test_splits_of_any_usual_name_are_read(put, tmp_path: Path, train: str, val: str) -> None:
    fill(put, *(f"{split}/{label}" for split in (train, val) for label in CLASSES))
    data = load(tmp_path / "faces")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 4, "val": 4}
    assert data.labels is FER7


def test_folder_too_deep_is_named(put, tmp_path: Path) -> None:
    fill(put, "archive (3)/data/happy", "archive (3)/data/sad")
    assert load(tmp_path / "faces").reading.notes[0] == "Read from the folder 'archive (3)/data'."


def test_two_folders_of_one_split_are_merged_with_note(put, tmp_path: Path) -> None:
    fill(put, *(f"{split}/{label}" for split in ("train", "val", "valid") for label in CLASSES))
    data = load(tmp_path / "faces")
    assert len(data["val"]) == 8
    assert "The folders 'val', 'valid' are read as one split, val." in data.reading.notes


def test_splits_inside_classes_are_read(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/{split}" for split in ("train", "test", "val") for label in CLASSES))
    data = load(tmp_path / "faces")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 4, "val": 4, "test": 4}


def test_splits_inside_classes_may_have_persons(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/{s}/p{k}" for k, s in enumerate(("train", "val", "test")) for label in CLASSES))
    data = load(tmp_path / "faces")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 4, "val": 4, "test": 4}


def test_persons_inside_classes_are_in_one_split(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/S{person:03d}" for label in CLASSES for person in range(6)), count=3)
    data = load(tmp_path / "faces")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 24, "val": 12}
    listing = list_class_folders(scan(tmp_path / "faces"))
    assert {image.person for image in listing.images} == {f"S{person:03d}" for person in range(6)}
    assert "images of a fifth of the persons" in (data.note or "")


@pytest.mark.parametrize("path", ["{label}/{label}", "{label}/{label}_images", "train/{label}/{k}"])
def test_folders_of_archives_are_not_persons(put, tmp_path: Path, path: str) -> None:
    fill(put, *(path.format(label=label, k=k) for k, label in enumerate(FER7.names)), count=5)
    data = load(tmp_path / "faces")
    assert {split: set(part.labels_N.tolist()) for split, part in data.splits.items()} == {
        "train": set(range(7)), "val": set(range(7))
    }  # fmt: skip
    assert "in one class only, so they are not read as persons: " in data.reading.notes[0]


def test_held_out_persons_leave_each_class_in_train(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/S{person:03d}" for label in CLASSES for person in range(5)))
    held = next(i.path.parent.name for i in held_out_images(tmp_path / "faces"))
    fill(put, f"fear/{held}")
    assert held not in {i.path.parent.name for i in held_out_images(tmp_path / "faces")}
    assert set(load(tmp_path / "faces")["train"].labels_N.tolist()) == {2, 3, 4}


def test_persons_that_all_are_needed_are_in_both_splits(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/S{person:03d}" for label in CLASSES for person in range(5)))
    fill(put, *(f"{label}/S{k:03d}" for k, label in enumerate(("fear", "angry", "disgust", "neutral", "surprise"))))
    data = load(tmp_path / "faces")
    assert set(data["train"].labels_N.tolist()) == set(range(7))
    assert "Persons are in both splits" in (data.note or "")


def test_persons_above_classes_are_read(put, tmp_path: Path) -> None:
    fill(put, *(f"S{person:03d}/{label}" for label in CLASSES for person in range(6)))
    data = load(tmp_path / "faces")
    assert data.labels is FER7
    assert sum(map(len, data.splits.values())) == 24
    assert "folders of persons" in data.reading.notes[0]


def test_persons_in_splits_are_read(put, tmp_path: Path) -> None:
    fill(put, *(f"{s}/S{person:03d}/{label}" for s in ("train", "val") for label in CLASSES for person in range(3)))
    data = load(tmp_path / "faces")
    assert data.labels is FER7
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 12, "val": 12}


def test_classes_of_any_name_may_have_numbered_folders(put, tmp_path: Path) -> None:
    fill(put, *(f"{label}/{number}" for label in ("bored", "keen") for number in range(3)))
    assert load(tmp_path / "faces").labels.names == ("bored", "keen")


@pytest.mark.parametrize(
    ("folders", "error"),
    [
        (["train/happy", "train/sad", "extra/happy"], "has both the split train and folders with images .*extra"),
        (["train/happy", "train/sad", "trainval/happy"], "rename them to train, val or test, or move them out"),
        (
            ["trian/happy", "trian/sad", "tset/happy"],
            "'trian', 'tset' are neither splits nor classes, but class folders are",
        ),
        (["fer/train/happy", "fer/train/sad", "ck/train/sad"], "'ck', 'fer' are neither splits .* such as .*/ck"),
        (["fer/a/happy", "fer/a/sad", "ck/b/sad"], "'ck', 'fer' are neither splits"),
        (["train", "test/happy", "test/sad"], "train: has images but no class folders, so their labels are unknown"),
        (
            ["train/happy", "train/sad", "images/train/happy"],
            "so has images; give .*faces/images, or move it out",
        ),
        (["happy", "sad", "old/happy"], "'old' is neither a split .* nor a class, but class folders are inside"),
        (["happy/train", "sad/train", "happy/test", "happy"], "images outside of them in happy; move these .*happy/tr"),
        (["happy/train", "sad/train", "sad/extra"], "images outside of them in sad/extra; move .* out of faces"),
        (["happy/train", "happy/test", "sad"], "images outside of them in sad; move these images into sad/train"),
        (["happy/train/p1", "sad/train/p2", "sad/test/p3", "sad/x"], "images outside of them in sad/x"),
        (["fer/train/bored", "fer/train/keen", "ck/train/bored"], "'ck', 'fer' are neither splits nor classes"),
        (["happy/train/sad", "happy/train/fear", "sad/train/sad"], "'happy'.* neither splits nor classes, but class"),
        (["train/happy/train", "train/sad/test"], "is in the split folder train itself; keep one of the two"),
        (["."], "has 2 images, but not in class folders; expected .* or a csv of files and labels"),
        (["train/1", "train/happy"], "some class folders are called by names and some by numbers: 1, happy"),
    ],
)
def test_folders_that_would_be_lost_are_an_error(put, tmp_path: Path, folders: list[str], error: str) -> None:
    fill(put, *folders)
    with pytest.raises(DataError, match=error):
        load(tmp_path / "faces")


def test_other_files_are_counted_by_ending(put, tmp_path: Path) -> None:
    fill(put, "happy", "sad")
    for name in ("a.txt", "happy/b.TXT", "labels.csv", "happy/c.psd", "LICENSE"):
        (tmp_path / "faces" / name).write_text("x")
    put("cover.png")
    assert load(tmp_path / "faces").reading.unread == "2 .txt, 1 .png, 1 without an ending, 1 .csv, 1 .psd"


def test_empty_class_is_noted(put, tmp_path: Path) -> None:
    fill(put, "happy", "sad")
    (tmp_path / "faces/contempt").mkdir()
    assert load(tmp_path / "faces").reading.notes == ("There are no images in contempt.",)


def test_misspelled_class_is_noted(put, tmp_path: Path) -> None:
    fill(put, "happy", "sad", "neutrol")
    data = load(tmp_path / "faces")
    assert data.labels.names == ("happy", "neutrol", "sad")
    assert data.reading.notes == ("'neutrol' is read as a class of its own; rename it if it is neutral.",)


def test_class_of_test_that_train_lacks_is_noted(put, tmp_path: Path) -> None:
    fill(put, "train/happy", "train/sad", "test/fear", "test/sad")
    notes = load(tmp_path / "faces").reading.notes
    assert notes == ("train has no images labelled 'fear', but test has, so they will all be mistakes.",)


def test_every_format_of_analyze_is_read(put, tmp_path: Path) -> None:
    endings = ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "pgm", "ppm", "gif", "JPG")
    for k, ending in enumerate(endings):
        put(f"train/{CLASSES[k % 2]}/{k}.{ending}", 90)
    put("val/sad/a.png")
    data = load(tmp_path / "faces")
    assert len(data["train"]) == len(endings)
    assert abs(data["train"].pixels_NHW.astype(int) - 90).max() <= 2
