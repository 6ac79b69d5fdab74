"""Labels of images in a csv, by one or more raters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset, load
from mien.errors import DataError


@pytest.fixture
def folder(put, tmp_path: Path) -> Path:
    for k in range(10):
        put(f"images/{k:02d}.png", 10 * k)
    return tmp_path / "faces"


def labels_by_grey(data: Dataset) -> dict[int, str]:
    parts = [(part.pixels_NHW[:, 0, 0], part.labels_N) for part in data.splits.values()]
    return {int(g): data.labels.names[k] for greys, labels in parts for g, k in zip(greys, labels, strict=True)}


def table(tmp_path: Path, header: str, row: str, separator: str = ",", encoding: str = "utf-8") -> Path:
    """A csv whose images 0 to 4 are happy and 5 to 9 are sad; `row` has {file} and {label}."""
    lines = [row.format(file=f"{k:02d}.png", stem=f"{k:02d}", label="happy" if k < 5 else "SADNESS") for k in range(10)]
    text = "\n".join([header, *lines] if header else lines).replace(",", separator)
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding)
    return file


@pytest.mark.parametrize(
    ("header", "row", "separator", "encoding"),
    [
        ("file,label", "{file},{label}", ",", "utf-8"),
        ("File Name,Emotion", "{file},{label}", ",", "utf-8-sig"),
        ("user.id,image,emotion", "ann,{file},{label}", ",", "utf-8"),
        ("image,expression", "images/{file},{label}", ";", "utf-8"),
        ("pth,label,relFCs", "images/{file},{label},0.8", "\t", "utf-16"),
        (",path,class", "7,C:\\data\\images\\{file},{label}", ",", "utf-8"),
        ("img,target", "{stem},{label}", ",", "utf-8"),
        ("", "{file},{label}", ",", "utf-8"),
        ("", "{file},{label},ann", ",", "utf-8"),
    ],
)
def test_columns_of_any_usual_name_are_read(
    folder: Path, tmp_path: Path, header: str, row: str, separator: str, encoding: str
) -> None:
    data = load(folder, labels=table(tmp_path, header, row, separator, encoding))
    assert labels_by_grey(data) == {10 * k: "happy" if k < 5 else "sad" for k in range(10)}


def test_split_column_is_used(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = [f"{k:02d}.png,{('happy', 'sad')[k % 2]},{('Training', 'PublicTest')[k > 6]}" for k in range(10)]
    file.write_text("\n".join(["image,label,usage", *rows]))
    assert {s: len(part) for s, part in load(folder, labels=file).splits.items()} == {"train": 7, "val": 3}


def test_split_column_wins_over_kaggle_names(put, tmp_path: Path) -> None:
    rows = []
    for split, name in (("train", "Training"), ("val", "Training"), ("test", "PublicTest"), ("test", "PrivateTest")):
        for label in ("happy", "sad"):
            put(f"{name}_{len(rows)}.png", 10 * len(rows))
            rows.append(f"{name}_{len(rows)}.png,{label},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    data = load(tmp_path / "faces", labels=tmp_path / "labels.csv")
    assert {s: len(part) for s, part in data.splits.items()} == {"train": 2, "val": 2, "test": 4}


def write_rows(tmp_path: Path, names: list[str]) -> Path:
    """A csv of files that are happy, sad, happy, sad, ..."""
    rows = [f"{name},{('happy', 'sad')[k % 2]}" for k, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    return tmp_path / "labels.csv"


def test_image_of_a_missing_folder_is_not_replaced(put, tmp_path: Path) -> None:
    for k in (0, 1):
        put(f"p1/{k}.png", 10 * k)
    file = write_rows(tmp_path, ["p2/1.png", "p2/0.png", "p1/0.png", "p1/1.png"])
    with pytest.warns(UserWarning, match="Left out 2 rows of labels.csv"):
        assert labels_by_grey(load(tmp_path / "faces", labels=file)) == {0: "happy", 10: "sad"}
    with pytest.raises(DataError, match=r"none of its 2 files is in .*, the first is 'p2/1.png'"):
        load(tmp_path / "faces", labels=write_rows(tmp_path, ["p2/1.png", "p2/0.png"]))


def test_paths_above_one_split_keep_its_own_rows(put, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for k in range(2):
            put(f"{split}/{k}.png", 10 * k)
    names = ["test/1.png", "test/0.png", "train/0.png", "train/1.png"]
    with pytest.warns(UserWarning, match="Left out 2 rows of labels.csv"):
        data = load(tmp_path / "faces/train", labels=write_rows(tmp_path, names))
    assert labels_by_grey(data) == {0: "happy", 10: "sad"}
    with pytest.raises(DataError, match=r"none of its 2 files is in .*/faces/train, the first is 'test/1.png'"):
        load(tmp_path / "faces/train", labels=write_rows(tmp_path, names[:2]))


def test_two_names_of_one_image_are_an_error(put, tmp_path: Path) -> None:
    put("0.png")
    put("1.png")
    with pytest.raises(DataError, match=r"'0.png' and '0.jpg' both mean .*/0.png; write the full name"):
        load(tmp_path / "faces", labels=write_rows(tmp_path, ["0.jpg", "0.png", "1.png"]))


def test_prefixes_that_fit_equally_are_not_guessed(put, tmp_path: Path) -> None:
    put("0.png")
    put("x/0.png")
    with pytest.raises(DataError, match=r"labels.csv: .*faces: paths like .* both fit its images"):
        load(tmp_path / "faces", labels=write_rows(tmp_path, ["old/x/0.png"]))


def test_names_that_differ_in_case_are_two_images(put, tmp_path: Path) -> None:
    put("A.png", 10)
    put("a.png", 20)
    if len(list((tmp_path / "faces").iterdir())) < 2:
        pytest.skip("the file system ignores case")
    data = load(tmp_path / "faces", labels=write_rows(tmp_path, ["A.png", "a.png"]))
    assert labels_by_grey(data) == {10: "happy", 20: "sad"}


@pytest.mark.parametrize("name", ["S{p:03d}_001_{k:08d}", "A{c}.HA{k}.{k}", "{k}"])
def test_persons_of_a_label_file_are_in_one_split(put, tmp_path: Path, name: str) -> None:
    column = ["", ",subject"][name == "{k}"]
    rows = [f"file,label{column}"]
    for k in range(30):
        file = name.format(p=k % 6, c="ABCDEF"[k % 6], k=k) + ".png"
        put(file, k)
        rows.append(f"{file},{('happy', 'sad')[k // 6 % 2]}{f',p{k % 6}' if column else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = load(tmp_path / "faces", labels=tmp_path / "labels.csv")
    persons = {s: {int(grey) % 6 for grey in part.pixels_NHW[:, 0, 0]} for s, part in data.splits.items()}
    assert not persons["train"] & persons["val"]
    assert len(persons["val"]) == 2


def test_missing_and_unlabelled_images_are_counted(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("file,label\n00.png,happy\n01.png,sad\n99.png,sad\n")
    with pytest.warns(UserWarning, match="Left out"):
        losses = load(folder, labels=file).reading.losses
    assert losses[0].startswith("Left out 1 row of labels.csv without an image in")
    assert losses[0].endswith(": 99.png.")
    assert losses[1] == "Left out 8 images without a label in labels.csv."


def test_majority_of_raters_is_the_label(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = [f"{k:02d}.png,{label},{rater}" for k in range(10) for rater, label in
            (("ann", "happy" if k < 5 else "sad"), ("bob", "joy" if k < 5 else "sad"), ("eve", "fear"))]  # fmt: skip
    rows.append("00.png,fear,dan")  # two votes each
    file.write_text("\n".join(["file,label,rater", *rows]))
    with pytest.warns(UserWarning, match="Left out 1 image without a majority of the raters: images/00.png"):
        data = load(folder, labels=file)
    assert labels_by_grey(data) == {10 * k: "happy" if k < 5 else "sad" for k in range(1, 10)}
    assert data.ratings is not None
    assert data.ratings.raters == ("ann", "bob", "dan", "eve")
    assert np.bincount(data.ratings.raters_M).tolist() == [10, 10, 1, 10]
    assert len(data.ratings.faces_NHW) == 10


def test_numbers_need_a_layout(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["image,label", *(f"{k:02d}.png,{1 + k % 7}" for k in range(10))]))
    with pytest.raises(DataError, match=r"has the labels 1, 2, .*--layout raf-db \(1 = surprise"):
        load(folder, labels=file)
    assert labels_by_grey(load(folder, labels=file, layout="raf-db"))[0] == "surprise"
    with pytest.raises(DataError, match=r"06\.png: label '7', expected 0 = angry"):
        load(folder, labels=file, layout="fer2013")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("file,colour\n00.png,red\n", "has no column label; its columns are file, colour"),
        ("a,b\n1,2\n", "has no column file and label"),
        ("file,label\n00.png,\n", r"row 0 \(line 2\): no label"),
        ("file,label\nx.png,happy\n", "none of its 1 files is in .*, the first is 'x.png'; give the folder"),
        ("file,label,split\n00.png,happy,fold1\n", "split 'fold1', expected train, val or test"),
        ("file,label,split\n00.png,happy,train\n00.png,happy,test\n", "'00.png' is in test, and in train in a row bef"),
        ("file,label,split\n00.png,happy,train\n01.png,sad,\n", "some rows have no split, the first is 01.png"),
        ("", "expected a csv with the columns file and label"),
    ],
)
def test_table_without_labels_is_an_error(folder: Path, tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=error):
        load(folder, labels=file)


def test_label_file_that_does_not_exist_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
        load(folder, labels=tmp_path / "nowhere.csv")


def test_digest_depends_on_labels(folder: Path, tmp_path: Path) -> None:
    file = table(tmp_path, "file,label", "{file},{label}")
    first = load(folder, labels=file).digest
    file.write_text(file.read_text().replace("SADNESS", "fear"))
    assert load(folder, labels=file).digest != first
