"""Faces of photos are cropped as in recognition; face crops are not detected again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.data import load
from mien.data.folders.face_crops import CROP_SIDE, FaceCropper
from mien.data.folders.image_finder import ImageFinder
from mien.data.folders.image_tree import scan
from mien.data.folders.write_crops import write_crops
from mien.errors import DataError
from mien.recognition import sample
from mien.recognition.pipeline import Pipeline


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return cv2.resize(cv2.imread(str(sample())), (256, 256), interpolation=cv2.INTER_AREA)


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def photos(portrait: np.ndarray, tmp_path: Path) -> Path:
    """Six photos, among them one without a face, one with two faces and one that is damaged."""
    scene = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    scene = cv2.resize(scene, (480, 360), interpolation=cv2.INTER_CUBIC)
    for k, label in enumerate(("happy", "happy", "sad", "sad")):
        photo = scene.copy()
        photo[50 : 50 + 256, 20 + 40 * k : 276 + 40 * k] = portrait
        write(tmp_path / f"photos/train/{label}/{k}.png", photo)
    write(tmp_path / "photos/val/sad/none.png", np.full((300, 300, 3), 120, np.uint8))
    write(tmp_path / "photos/val/happy/two.png", np.concatenate([portrait, portrait[:, ::-1]], 1))
    (tmp_path / "photos/val/happy/damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "photos"


def test_photo_is_cropped_as_in_recognition(photos: Path) -> None:
    file = photos / "train/happy/1.png"
    recognizer = mien.load("nano")
    pipeline: Pipeline = recognizer.pipeline
    image_HW3 = cv2.imread(str(file))
    expected_NHW = pipeline.crop_faces(image_HW3, pipeline.detect(image_HW3))
    assert (FaceCropper().read(file).face_HW == expected_NHW[0]).all()


def test_load_names_photos_without_and_with_several_faces(photos: Path) -> None:
    with pytest.warns(UserWarning, match="Left out|Used"):
        data = load(photos)
    assert data.reading.losses == (
        "Left out 1 image that could not be read: val/happy/damaged.png (damaged or truncated PNG image; download or "
        "copy it again).",
        "Left out 1 image without a detected face: val/sad/none.png.",
        "Used the largest face of 1 image with several: val/happy/two.png.",
    )
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 4, "val": 1}
    assert "Faces were detected and cropped in 6 of 7 images." in data.reading.notes


def test_crops_on_disk_are_the_same_data(photos: Path, tmp_path: Path) -> None:
    write_crops(photos, tmp_path / "crops")
    files = sorted(file.relative_to(tmp_path / "crops").as_posix() for file in (tmp_path / "crops").rglob("*.*"))
    assert files == [
        "train/happy/0.png", "train/happy/1.png", "train/sad/2.png", "train/sad/3.png", "val/happy/two.png",
    ]  # fmt: skip
    with pytest.warns(UserWarning, match="Left out|Used"):
        data = load(photos)
    again = load(tmp_path / "crops")
    assert all((again[split].pixels_NHW == part.pixels_NHW).all() for split, part in data.splits.items())


def test_crops_of_the_same_stem_are_found_by_a_csv(tmp_path: Path) -> None:
    names = ("a.jpg", "a.png", "a.png.jpg", "b.jpg")
    for k, name in enumerate(names):
        write(tmp_path / f"photos/x/{name}", np.full((48, 48), 50 * k, np.uint8))
    write_crops(tmp_path / "photos", tmp_path / "crops", crop="never")
    grey = {file.name: cv2.imread(str(file))[0, 0, 0] for file in (tmp_path / "crops/x").iterdir()}
    assert grey == {"a.jpg.png": 0, "a.png.png": 50, "a.png.jpg.png": 100, "b.png": 150}
    find = ImageFinder(scan(tmp_path / "crops"), [f"x/{name}" for name in names])
    found = [find(f"x/{name}") for name in names]
    assert [file and grey[file.name] for file in found] == [0, 50, 100, 150]


@pytest.mark.parametrize(("photos", "out"), [("faces/train", "faces"), ("faces/train", "old"), ("faces", "faces.txt")])
def test_write_crops_keeps_other_files(tmp_path: Path, photos: str, out: str) -> None:
    for name in ("faces/train/a.png", "faces/b.png", "old/a.png"):
        write(tmp_path / name, np.full((60, 60), 90, np.uint8))
    (tmp_path / "faces.txt").write_text("x")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file()}
    with pytest.raises(DataError, match=r"(is not empty|is a file); name a new or empty folder for the crops"):
        write_crops(tmp_path / photos, tmp_path / out, crop="never")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("photos", "out", "error"),
    [("photos", "photos/crops", "is inside"), ("nowhere", "crops", "is not a folder"), ("empty", "crops", "no images")],
)
def test_write_crops_of_no_photos_is_an_error(
    portrait: np.ndarray, tmp_path: Path, photos: str, out: str, error: str
) -> None:
    write(tmp_path / "photos/a.png", portrait)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=error):
        write_crops(tmp_path / photos, tmp_path / out)


@pytest.mark.parametrize(
    ("mode", "side", "detected"),
    [("auto", CROP_SIDE, False), ("auto", CROP_SIDE + 1, True), ("always", 48, True), ("never", 256, False)],
)
def test_crop_mode_decides_by_size(portrait: np.ndarray, tmp_path: Path, mode: str, side: int, detected: bool) -> None:
    file = write(tmp_path / "a.png", cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA))
    assert (FaceCropper(mode).read(file).detections is not None) == detected


def test_digest_depends_on_cropping(portrait: np.ndarray, tmp_path: Path) -> None:
    for k, label in enumerate(("happy", "sad")):
        write(tmp_path / f"photos/{label}/{k}.png", portrait)
    digests = {load(tmp_path / "photos", crop=mode).digest for mode in ("auto", "never")}
    assert len(digests) == 2


def test_folder_without_detected_faces_is_an_error(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        write(tmp_path / f"photos/{label}/a.png", np.full((200, 200), 90, np.uint8))
    with pytest.raises(DataError, match=r"no face was found in 2 of 2 images, .* use --crop never"):
        load(tmp_path / "photos")
    assert len(load(tmp_path / "photos", crop="never")["train"]) == 2
