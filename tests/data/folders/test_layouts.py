"""Layouts of published data sets, recognized by their structure, and numbers that are not guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset, load
from mien.errors import DataError
from mien.labels import FER7

RAF = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
AFFECTNET = dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")))


def labels_by_grey(data: Dataset) -> dict[int, str]:
    """The class of each image by its grey value."""
    parts = data.splits.values()
    return {
        int(grey): data.labels.names[label]
        for part in parts
        for grey, label in zip(part.pixels_NHW[:, 0, 0], part.labels_N, strict=True)
    }


def numbered(put, root: str, numbers: range, name: str = "{split}_{k:05d}_aligned.png") -> None:
    for split in ("train", "test"):
        for number in numbers:
            put(f"{root}{split}/{number}/{name.format(split=split, k=number)}", 10 * number)


def test_raf_db_of_kaggle_is_recognized_by_file_names(put, tmp_path: Path) -> None:
    numbered(put, "DATASET/", range(1, 8))
    data = load(tmp_path / "faces")
    assert labels_by_grey(data) == {10 * k: name for k, name in RAF.items()}
    assert data.labels is FER7
    assert "Read as RAF-DB: 1 = surprise, 2 = fear" in data.reading.notes[1]


@pytest.mark.parametrize("root", ["rafdb/", "RAF-DB/", "my raf/"])
def test_raf_db_is_recognized_by_folder_names(put, tmp_path: Path, root: str) -> None:
    numbered(put, root, range(1, 8), "{k}.png")
    assert labels_by_grey(load(tmp_path / "faces"))[10] == "surprise"


def test_raf_db_is_recognized_by_its_list_of_labels(put, tmp_path: Path) -> None:
    numbered(put, "DATASET/", range(1, 8), "{k}.png")
    (tmp_path / "faces/train_labels.csv").write_text("image,label\n")
    assert labels_by_grey(load(tmp_path / "faces"))[10] == "surprise"


@pytest.mark.parametrize(
    ("above", "given", "numbers"),
    [
        ("affectnet", "mine", range(8)),
        (".", "affective-computing", range(8)),
        (".", "affect", range(8)),
        ("raf-db", "mine", range(1, 8)),
        (".", "dataset", range(1, 8)),
    ],
)
def test_names_that_say_little_do_not_name_numbers(put, tmp_path: Path, above: str, given: str, numbers: range) -> None:
    numbered(put, f"{above}/{given}/", numbers, "{k}.png")
    with pytest.raises(DataError, match="numbers mean different classes"):
        load(tmp_path / "faces" / above / given)


def test_numbered_persons_are_not_classes(put, tmp_path: Path) -> None:
    for person in range(1, 8):
        for k, label in enumerate(("happy", "sad")):
            put(f"raf/train/{person}/{label}/{person}.png", 20 * person + k)
    data = load(tmp_path / "faces")
    assert set(labels_by_grey(data).values()) == {"happy", "sad"}
    assert "The class folders are inside 7 folders of persons" in " ".join(data.reading.notes)


def test_raf_db_list_names_labels_and_splits(put, tmp_path: Path) -> None:
    lines = []
    for k, number in enumerate([*RAF, *RAF]):
        split = "train" if k < 7 else "test"
        put(f"basic/Image/aligned/{split}_{k:05d}_aligned.png", 10 * number)
        put(f"basic/Image/original/{split}_{k:05d}.png", 255)
        lines.append(f"{split}_{k:05d}.png {number}")
    put("compound/Image/aligned/train_1_aligned.png", 255)
    for kind in ("basic", "compound"):
        file = tmp_path / f"faces/{kind}/EmoLabel/list_patition_label.txt"
        file.parent.mkdir()
        file.write_text("\n".join(lines))
    data = load(tmp_path / "faces")
    assert labels_by_grey(data) == {10 * k: name for k, name in RAF.items()}
    assert len(data["test"]) == 7


def test_raf_db_among_other_data_sets_is_an_error(put, tmp_path: Path) -> None:
    for name in ("rafdb/Image/aligned/train_1_aligned", "ck/happy/a", "ck/sad/b"):
        put(f"{name}.png")
    (tmp_path / "faces/rafdb/EmoLabel").mkdir()
    (tmp_path / "faces/rafdb/EmoLabel/list_patition_label.txt").write_text("train_1.jpg 3")
    with pytest.raises(DataError, match="'ck' is neither a split"):
        load(tmp_path / "faces")


def test_raf_db_list_with_bad_line_is_an_error(put, tmp_path: Path) -> None:
    put("Image/aligned/train_00001_aligned.png")
    (tmp_path / "faces/EmoLabel").mkdir()
    (tmp_path / "faces/EmoLabel/list_patition_label.txt").write_text("train_00001.jpg 3\ntrain_00002.jpg 9\n")
    with pytest.raises(DataError, match=r"list_patition_label.txt: line 2: .* expected a file name and a label from 1"):
        load(tmp_path / "faces")


def test_affectnet_annotations_are_read(put, tmp_path: Path) -> None:
    for split in ("train_set", "val_set"):
        for number in range(9):  # 8 is none
            put(f"{split}/images/{number}.png", 10 * number)
            file = tmp_path / f"faces/{split}/annotations/{number}_exp.npy"
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.array(str(number)))
    data = load(tmp_path / "faces")
    assert labels_by_grey(data) == {10 * k: name for k, name in AFFECTNET.items()}
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 8, "val": 8}
    assert "2 images labelled none, uncertain or not a face are left out." in data.reading.notes


def test_affectnet_of_numbered_folders_is_recognized(put, tmp_path: Path) -> None:
    numbered(put, "AffectNet/", range(8), "{k}.png")
    assert labels_by_grey(load(tmp_path / "faces")) == {10 * k: name for k, name in AFFECTNET.items()}


def test_ck_plus_persons_are_in_one_split(put, tmp_path: Path) -> None:
    for k in range(30):
        put(f"CK+48/{('anger', 'contempt', 'happy')[k % 3]}/S{k // 3:03d}_00{k % 3}_{k:08d}.png", k)
    data = load(tmp_path / "faces")
    assert data.labels.names == ("anger", "contempt", "happy")
    persons = {s: {int(grey) // 3 for grey in part.pixels_NHW[:, 0, 0]} for s, part in data.splits.items()}
    assert not persons["train"] & persons["val"]
    assert len(persons["val"]) == 2
    assert "Read as CK+48." in data.reading.notes


def test_jaffe_is_read_from_file_names(put, tmp_path: Path) -> None:
    codes = {
        "AN": "angry",
        "DI": "disgust",
        "FE": "fear",
        "HA": "happy",
        "NE": "neutral",
        "SA": "sad",
        "SU": "surprise",
    }
    for k, code in enumerate(codes):
        for person in ("KA", "KL", "KM", "KR", "MK"):
            put(f"jaffe/{person}.{code}1.{k}.tiff", 10 * k)
    (tmp_path / "faces/jaffe/README").write_text("x")
    data = load(tmp_path / "faces")
    assert labels_by_grey(data) == {10 * k: name for k, name in enumerate(codes.values())}
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 28, "val": 7}
    assert data.reading.unread == "1 without an ending"


@pytest.mark.parametrize("numbers", [range(7), range(8), range(1, 8), range(3)])
def test_numbers_alone_are_an_error(put, tmp_path: Path, numbers: range) -> None:
    numbered(put, "giraf/", numbers, "{k}.png")  # not RAF, although its name ends so
    with pytest.raises(DataError, match=r"numbers mean different .* --layout raf-db \(1 = surprise, .*or rename"):
        load(tmp_path / "faces")


def test_layout_says_what_numbers_mean(put, tmp_path: Path) -> None:
    numbered(put, "", range(7), "{k}.png")
    first = {"fer2013": "angry", "affectnet": "neutral"}
    for layout, name in first.items():
        assert labels_by_grey(load(tmp_path / "faces", layout=layout))[0] == name
    assert load(tmp_path / "faces", layout="folders").labels.names == tuple("0123456")
    with pytest.raises(DataError, match="has a class folder 0, but the classes of RAF-DB are 1 = surprise"):
        load(tmp_path / "faces", layout="raf-db")


def test_layout_overrides_recognition(put, tmp_path: Path) -> None:
    numbered(put, "DATASET/", range(1, 8))
    assert labels_by_grey(load(tmp_path / "faces", layout="affectnet"))[10] == "happy"


@pytest.mark.parametrize("layout", ["ck+48", "jaffe"])
def test_wrong_layout_is_an_error(put, tmp_path: Path, layout: str) -> None:
    for label in ("happy", "sad"):
        put(f"{label}/a.png")
    with pytest.raises(DataError, match=r"no (files with )?names like"):
        load(tmp_path / "faces", layout=layout)
