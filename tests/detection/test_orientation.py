"""The orientation of images: which are rotated, and where boxes are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.detection import orientation
from mien.detection.boxes import Box, Detection
from mien.detection.detectors import build_detector
from mien.detection.orientation import ROTATIONS, detect_upright, likely_rotation, rotate, rotate_back
from mien.detection.scales import MultiScaleDetector
from mien.errors import ModelError
from mien.imaging.load import read_image
from mien.recognition import sample

PORTRAIT = read_image(sample())
YUNET = MultiScaleDetector(build_detector("yunet"))


@pytest.mark.parametrize("turned", ROTATIONS)
@pytest.mark.parametrize("side", [160, 512])
def test_upright_portrait_turned_is_rotated_back(turned: int, side: int) -> None:
    image = rotate(cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA), turned)
    upright = detect_upright(image, YUNET)
    assert upright.rotation == (360 - turned) % 360
    (face,) = upright.detections
    assert face.box.left / side == pytest.approx(178 / 512, abs=0.03)
    assert face.box.top / side == pytest.approx(63 / 512, abs=0.03)


def test_upright_two_turned_faces_are_rotated() -> None:
    image = rotate(np.hstack([PORTRAIT, PORTRAIT[:, ::-1]]), 180)
    upright = detect_upright(image, YUNET)
    assert (upright.rotation, len(upright.detections)) == (180, 2)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_upright_no_face_not_rotated(level: int) -> None:
    image = np.full((60, 80, 3), level, np.uint8)
    upright = detect_upright(image, YUNET)
    assert (upright.rotation, upright.detections) == (0, ())
    assert upright.image_HW3 is image


def test_upright_rotated_only_if_detector_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orientation, "likely_rotation", lambda image_HW3, places: 180)
    assert detect_upright(PORTRAIT, YUNET).rotation == 0  # faces have lower scores upside down


def test_likely_rotation_without_places_is_zero() -> None:
    assert likely_rotation(PORTRAIT, ()) == 0


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_rotate_back_is_inverse_of_rotate(rotation: int) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[10:20, 30:70] = 255
    turned = rotate(image, rotation)
    rows, columns = (np.flatnonzero(turned[..., 0].any(axis)) for axis in (1, 0))
    box = Box(columns[0], rows[0], len(columns), len(rows))
    corner = (float(box.left), float(box.top))
    back = rotate_back(Detection(box, 0.9, (corner,)), rotation, 60, 80)
    assert back.box == Box(30, 10, 40, 10)
    assert back.landmarks[0] in ((30, 10), (30, 20), (70, 10), (70, 20))


def test_orientation_model_damaged_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    orientation._session.cache_clear()
    monkeypatch.setattr(orientation, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"orientation\.onnx is damaged"):
        detect_upright(PORTRAIT, YUNET)
    monkeypatch.undo()
    assert detect_upright(PORTRAIT, YUNET).rotation == 0
