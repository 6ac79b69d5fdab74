"""Folders of images: any size, any usual spelling, and Kaggle's names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.data import load
from mien.errors import DataError
from mien.labels import FER7

Put = Callable[..., Path]


def test_load_folder_of_three_splits(put: Put, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (4, 48, 48), dtype=np.uint8)
    put("train/happy/b.png", faces[0])
    put("train/happy/a.png", faces[1])
    put("train/angry/c.PNG", faces[2])
    put("validation/sad/d.png", faces[3])
    put("test/angry/e.jpg", 200)
    (tmp_path / "faces/train/happy/notes.txt").write_text("not an image")
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
def test_usual_spellings_are_fer7(put: Put, tmp_path: Path, spelling: str, index: int) -> None:
    put(f"train/{spelling}/a.png")
    put("train/neutral/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert sorted(data["train"].labels_N.tolist()) == [index, 6]


def test_splits_with_different_spellings_are_fer7(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png")
    put("train/sad/a.png")
    put("test/happiness/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert data["test"].labels_N.tolist() == [3]


def test_other_labels_come_from_train(put: Put, tmp_path: Path) -> None:
    put("train/bored/a.png")
    put("train/awake/a.png")
    put("train/happy/a.png")
    put("val/happy/a.png")
    data = load(tmp_path / "faces")
    assert data.labels.names == ("awake", "bored", "happy")
    assert data["train"].labels_N.tolist() == [0, 1, 2]
    assert data["val"].labels_N.tolist() == [2]


def test_label_missing_in_train_is_an_error(put: Put, tmp_path: Path) -> None:
    for name in ("train/bored", "train/awake", "val/bored", "val/tired", "test/happy"):
        put(f"{name}/a.png")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "faces")
    assert str(caught.value).endswith(
        "faces: train has no images labelled 'happy', 'tired', so no model can learn these labels; "
        "expected in val and test only labels of train, which are 'awake', 'bored'"
    )


def test_train_without_some_fer7_classes(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png")
    put("train/sad/a.png")
    put("val/fear/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert data["val"].labels_N.tolist() == [2]


def test_load_folder_of_test_images_only(put: Put, tmp_path: Path) -> None:
    put("test/bored/a.png")
    put("test/awake/a.png")
    data = load(tmp_path / "faces")
    assert list(data.splits) == ["test"]
    assert data.labels.names == ("awake", "bored")


@pytest.mark.parametrize(
    ("there", "here"),
    [("Bored", "bored"), ("bored", "BORED "), (" bored", "bored"), ("Stra\u00dfe", "STRASSE"),
     ("e\u0301mu", "\u00e9mu"), ("\u00c9mu", "e\u0301mu ")],
)  # fmt: skip
def test_case_and_unicode_variants_are_one_label(put: Put, tmp_path: Path, there: str, here: str) -> None:
    put(f"train/{there}/a.png")
    put("train/awake/a.png")
    put(f"validation/{here}/a.png")
    put(f"test/{here}/a.png")
    data = load(tmp_path / "faces")
    label = there.strip()  # as train spells it
    assert sorted(data.labels.names) == sorted(["awake", label])
    assert data["val"].labels_N.tolist() == data["test"].labels_N.tolist() == [data.labels.names.index(label)]


def test_fer7_names_in_any_case(put: Put, tmp_path: Path) -> None:
    put("train/Happy/a.png")
    put("train/sad/a.png")
    put("val/ HAPPY/a.png")
    data = load(tmp_path / "faces")
    assert data.labels == FER7
    assert data["val"].labels_N.tolist() == [3]


@pytest.mark.parametrize("split", ["train/", "test/", ""])
@pytest.mark.parametrize(("one", "two"), [("A", "a"), ("Happy", "happy"), (" a", "a"), ("e\u0301", "\u00e9")])
def test_variants_of_label_in_one_split_are_merged(put: Put, tmp_path: Path, split: str, one: str, two: str) -> None:
    put(f"{split}{one}/1.png", 10)
    put(f"{split}{two}/2.png", 20)
    put(f"{split}b/1.png", 20)
    data = load(tmp_path / "faces")
    labels = np.concatenate([part.labels_N for part in data.splits.values()])
    assert len(labels) == 3
    assert len(set(labels.tolist())) == 2
    assert data.reading.notes[0] == f"'{min(one, two)}', '{max(one, two)}' are read as one class."


def test_synonyms_in_one_split_are_merged(put: Put, tmp_path: Path) -> None:
    put("train/angry/a.png", 10)
    put("train/anger/a.png", 20)
    put("train/Happiness/a.png", 30)
    data = load(tmp_path / "faces")
    assert data.labels is FER7
    assert data["train"].labels_N.tolist().count(0) == 1  # one of the two is held out
    assert "'anger', 'angry' are read as one class." in data.reading.notes


def test_kaggle_file_names_define_splits(put: Put, tmp_path: Path) -> None:
    put("train/happy/Training_10118481.jpg", 10)
    put("train/sad/Training_2.jpg", 20)
    put("test/happy/PublicTest_19658881.jpg", 30)
    put("test/happy/PrivateTest_95094.jpg", 40)
    put("test/sad/PublicTest_3.jpg", 50)
    data = load(tmp_path / "faces")
    grey = {s: sorted(data[s].pixels_NHW[:, 24, 24].tolist()) for s in data.splits}
    assert grey == {"train": [10, 20], "val": [30, 50], "test": [40]}
    assert data["val"].labels_N.tolist() == [3, 4]
    note = "2 images of test are read as val, because they are called PublicTest_... as in FER2013."
    assert note in data.reading.notes


@pytest.mark.parametrize(
    "names",
    [
        {"train": ["Training_1"], "val": ["Training_2"], "test": ["Training_3"]},
        {"train": ["PublicTest_1"], "val": ["Training_2"], "test": ["PrivateTest_3"]},
        {"train": ["Training_1", "PublicTest_2"], "test": ["PublicTest_3", "PrivateTest_4"], "val": ["PublicTest_5"]},
        {"train": ["Training_1", "my_1"], "val": ["my_2"], "test": ["PublicTest_3", "my_3"]},
    ],
)
def test_kaggle_file_names_keep_own_splits(put: Put, tmp_path: Path, names: dict[str, list[str]]) -> None:
    for k, (split, files) in enumerate(names.items()):
        for label in ("happy", "sad"):
            for j, file in enumerate(files):
                put(f"{split}/{label}/{file}.jpg", 10 * k + j)
    splits = load(tmp_path / "faces").splits
    assert {split: len(part) for split, part in splits.items()} == {s: 2 * len(files) for s, files in names.items()}


def test_images_are_cropped_to_middle_square(put: Put, tmp_path: Path) -> None:
    wide = np.zeros((96, 200), np.uint8)
    wide[:, 52:148] = np.kron(np.arange(48, dtype=np.uint8)[:, None] * 5, np.ones((2, 96), np.uint8))
    put("train/happy/wide.png", wide)
    color = np.zeros((300, 100, 3), np.uint8)
    color[..., 1] = 100
    put("train/sad/colour.png", color)
    put("train/sad/tiny.png", np.full((7, 5), 33, np.uint8))
    put("val/sad/a.png")
    data = load(tmp_path / "faces", crop="never")["train"]
    assert (data.pixels_NHW[0] == np.arange(48)[:, None] * 5).all()  # each 2x2 averaged, the sides cut off
    assert abs(data.pixels_NHW[1].astype(int) - 59).max() <= 1  # green weighs 0.587
    assert (data.pixels_NHW[2] == 33).all()


def _modes() -> dict[str, tuple[Image.Image, str]]:
    """An image of each kind that is displayed as grey 100 all over on white, and its file's ending."""
    size = (60, 50)
    rgb = Image.new("RGB", size, (100, 100, 100))
    palette = Image.new("P", size, 3)
    palette.putpalette([0, 0, 0] * 3 + [100, 100, 100] + [255, 0, 0] * 252)
    return {
        "grey": (Image.new("L", size, 100), "png"),
        "grey with alpha": (Image.new("LA", size, (90, 239)), "png"),
        "grey of 16 bits": (Image.fromarray(np.full(size[::-1], 100 * 256 + 7, np.uint16)), "png"),
        "color": (rgb, "png"),
        "color with alpha": (Image.new("RGBA", size, (0, 0, 0, 155)), "png"),
        "palette": (palette, "png"),
        "grey JPEG": (Image.new("L", size, 100), "jpg"),
        "color JPEG": (rgb, "jpeg"),
        "ink JPEG": (rgb.convert("CMYK"), "JPG"),
    }


@pytest.mark.parametrize("mode", sorted(_modes()))
def test_images_of_every_mode_become_grey(put: Put, tmp_path: Path, mode: str) -> None:
    put("train/sad/a.png")
    image, ending = _modes()[mode]
    (tmp_path / "faces/train/happy").mkdir()
    image.save(tmp_path / f"faces/train/happy/a.{ending}", "PNG" if ending == "png" else "JPEG")
    pixels_NHW = load(tmp_path / "faces")["train"].pixels_NHW
    assert pixels_NHW.dtype == np.uint8
    assert abs(pixels_NHW[0].astype(int) - 100).max() <= 1


def test_color_image_of_16_bits_becomes_grey(put: Put, tmp_path: Path) -> None:
    put("train/sad/a.png")
    (tmp_path / "faces/train/happy").mkdir()
    deep = np.full((50, 60, 3), 100 * 256 + 7, np.uint16)
    assert cv2.imwrite(str(tmp_path / "faces/train/happy/a.png"), deep)
    assert abs(load(tmp_path / "faces")["train"].pixels_NHW[0].astype(int) - 100).max() <= 1


@pytest.mark.parametrize(("wide", "high"), [(1, 1), (48, 48), (640, 480), (17, 300), (300, 17), (49, 48), (1, 2000)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_images_of_every_size_become_48x48(put: Put, tmp_path: Path, wide: int, high: int, ending: str) -> None:
    put(f"train/happy/a.{ending}", np.full((high, wide), 210, np.uint8))
    put("train/sad/a.png")
    pixels_NHW = load(tmp_path / "faces", crop="never")["train"].pixels_NHW
    assert pixels_NHW.shape == (2, 48, 48)
    assert abs(pixels_NHW[0].astype(int) - 210).max() <= 1


def test_exif_orientation_is_applied(put: Put, tmp_path: Path) -> None:
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


def test_digest_depends_on_names_and_bytes(put: Put, tmp_path: Path) -> None:
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
def test_folder_without_images_is_an_error(tmp_path: Path, nothing_left, made: list[str]) -> None:
    root = tmp_path / "faces"
    for name in made:
        (root / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=r"faces: has neither images as train/<label>/\*.png"):
        load(root)
    nothing_left(root)


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has neither images as .* nor one of the files fer2013.csv, icml"):
        load(tmp_path)


def test_single_label_is_an_error(put: Put, tmp_path: Path) -> None:
    put("train/bored/a.png")
    with pytest.raises(DataError, match="faces: has images of one label only"):
        load(tmp_path / "faces")


def test_undecodable_images_are_listed(put: Put, tmp_path: Path, nothing_left, capfd) -> None:
    good = put("train/happy/a.png", np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).read_bytes()
    for i in range(7):
        put(f"train/sad/{i}.png").write_bytes([b"", b"no image", good[:40]][i % 3])
    root = tmp_path / "faces"
    with pytest.raises(DataError) as caught:
        load(root, on_error="fail")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{root}: 7 images cannot be read:"
    assert lines[1].startswith("  train/sad/0.png: the file is empty")
    assert lines[2].startswith("  train/sad/1.png: not an image file")
    assert lines[6:] == ["  ... and 2 more"]
    nothing_left(root)


def test_undecodable_images_are_left_out_with_warning(put: Put, tmp_path: Path) -> None:
    for k in range(10):
        put(f"train/happy/{k}.png", k)
        put(f"train/sad/{k}.png", 100 + k)
    (tmp_path / "faces/train/sad/3.png").write_bytes(b"<html>")
    with pytest.warns(UserWarning, match=r"Left out 1 image that could not be read: train/sad/3.png \(HTML"):
        data = load(tmp_path / "faces")
    assert sum(map(len, data.splits.values())) == 19
    assert 103 not in np.concatenate([part.pixels_NHW[:, 0, 0] for part in data.splits.values()])


def test_folder_of_broken_images_only_is_an_error(put: Put, tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        put(f"{label}/a.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match="2 images cannot be read"):
        load(tmp_path / "faces")


@pytest.mark.parametrize("option", [{"on_error": "ignore"}, {"crop": "sometimes"}, {"layout": "mine"}])
def test_unknown_option_is_an_error(put: Put, tmp_path: Path, option: dict[str, str]) -> None:
    put("happy/a.png")
    put("sad/a.png")
    with pytest.raises(DataError, match=rf"--{next(iter(option)).replace('_', '-')} must be .*, got"):
        load(tmp_path / "faces", **option)


@pytest.mark.parametrize("option", [{"on_error": "fail"}, {"crop": "never"}, {"layout": "ck+48"}])
def test_option_for_folders_with_csv_is_an_error(tiny_csv: Path, option: dict[str, str]) -> None:
    with pytest.raises(DataError, match="applies to folders of images only; leave it out"):
        load(tiny_csv, **option)


def test_dangling_symlink_is_an_error(put: Put, tmp_path: Path) -> None:
    put("train/happy/a.png")
    (tmp_path / "faces/train/sad").mkdir()
    (tmp_path / "faces/train/sad/gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"train/sad/gone.png: there is no such file"):
        load(tmp_path / "faces", on_error="fail")


def test_opencv_reads_what_pillow_wrote(put: Put) -> None:
    """The fixture's truth: a lossless grey image survives the way through both libraries."""
    face = np.random.default_rng(5).integers(0, 256, (48, 48), dtype=np.uint8)
    assert (cv2.imread(str(put("train/happy/a.png", face)), cv2.IMREAD_GRAYSCALE) == face).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_colors_hidden_by_alpha_read_as_in_recognition(put: Put, tmp_path: Path, mode: str) -> None:
    """The hidden color is black; what is seen is white."""
    put("train/sad/a.png")
    image = Image.new("RGBA", (48, 48), (0, 0, 0, 0))
    image.paste((90, 90, 90, 255), (0, 0, 24, 48))
    options = {"transparency": 0} if mode == "P" else {}
    if mode == "P":
        image = Image.new("P", (48, 48), 0)
        image.putpalette([0, 0, 0, 90, 90, 90])
        image.paste(1, (0, 0, 24, 48))
    (tmp_path / "faces/train/happy").mkdir()
    file = tmp_path / "faces/train/happy/a.png"
    (image if mode == "P" else image.convert(mode)).save(file, **options)
    face_HW = load(tmp_path / "faces")["train"].pixels_NHW[0]
    assert (face_HW[:, :24] == 90).all()
    assert (face_HW[:, 24:] == 255).all()
    np.testing.assert_array_equal(face_HW, mien.load("nano", detector="whole").detect_and_crop(file).faces_NHW[0])
