"""Face crops: against known coordinates, and on images whose values are positions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from mien.detection.boxes import Box
from mien.imaging.crop import CropRule, crop

NOISE = np.random.RandomState(0).randint(0, 256, (48, 48)).astype(np.uint8)


def slope(angle: float, height: int = 240, width: int = 240) -> np.ndarray:
    """Return a grey image [H,W] that rises by one level per pixel in this direction; its centre is 120."""
    y, x = np.mgrid[:height, :width] + 0.5
    return (
        np.clip(120 + (x - width / 2) * math.cos(angle) + (y - height / 2) * math.sin(angle), 0, 255)
        .round()
        .astype(np.uint8)
    )


def in_color(grey: np.ndarray) -> np.ndarray:
    return np.dstack([grey] * 3)


def test_crop_face_of_output_size_is_unchanged() -> None:
    for image in (NOISE, in_color(NOISE)):
        np.testing.assert_array_equal(crop(image, Box(0, 0, 48, 48), (), CropRule(), 48), NOISE)
    wider = in_color(np.pad(NOISE, 30))
    np.testing.assert_array_equal(crop(wider, Box(30, 30, 48, 48), (), CropRule(), 48), NOISE)


@pytest.mark.parametrize("times", [2, 3, 7])
def test_crop_shrinks_by_averaging(times: int) -> None:
    large = np.random.RandomState(1).randint(0, 256, (48 * times, 48 * times)).astype(np.uint8)
    means = large.reshape(48, times, 48, times).mean((1, 3))
    got = crop(in_color(large), Box(0, 0, 48 * times, 48 * times), (), CropRule(), 48)
    assert np.abs(got - means).max() <= 1


def test_crop_enlarges_like_opencv() -> None:
    small = NOISE[:24, :24]
    wanted = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    got = crop(in_color(small), Box(0, 0, 24, 24), (), CropRule(), 48)
    assert np.abs(got.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("width", [30, 50, 97, 143.5])
def test_crop_pixels_are_at_their_positions(width: float) -> None:
    """On a slope of one level per pixel, values are positions."""
    rule = CropRule(margin=0.1, shift_x=0.05, shift_y=-0.1)
    box = Box(120 - width / 2, 120 - width / 4, width, width / 2)  # wider than tall: the longer side counts
    steps = ((np.arange(48) + 0.5) / 48 - 0.5) * width * 1.2
    across = crop(slope(0), box, (), rule, 48).astype(float)
    down = crop(slope(math.pi / 2), box, (), rule, 48).astype(float)
    np.testing.assert_allclose(across.mean(0), 120 + 0.05 * width + steps, atol=1)
    np.testing.assert_allclose(down.mean(1), 120 - 0.1 * width + steps, atol=1)


@pytest.mark.parametrize("degrees", [-40, 10, 25])
def test_crop_upright_rotates_with_eyes(degrees: float) -> None:
    """A slope along the eyes runs from left to right in the crop, and shifts follow the face, not the image."""
    angle = math.radians(degrees)
    along = np.array([math.cos(angle), math.sin(angle)])
    eyes = [tuple(np.array([120, 110]) - 15 * along), tuple(np.array([120, 110]) + 15 * along)]
    box, steps = Box(90, 90, 60, 60), ((np.arange(48) + 0.5) / 48 - 0.5) * 60
    rule = CropRule(shift_x=0.1, shift_y=0.2, upright=True)
    got = crop(slope(angle), box, eyes, rule, 48).astype(float)
    np.testing.assert_allclose(got.mean(0), 120 + 0.1 * 60 + steps, atol=1)
    assert got.std(0).max() < 1
    down = crop(slope(angle + math.pi / 2), box, eyes, rule, 48).astype(float)
    np.testing.assert_allclose(down.mean(1), 120 + 0.2 * 60 + steps, atol=1)
    straight = crop(slope(angle), box, eyes, CropRule(), 48)
    np.testing.assert_array_equal(crop(slope(angle), box, (), CropRule(upright=True), 48), straight)


def test_crop_outside_image_repeats_edge() -> None:
    image = in_color(np.tile(np.arange(48, dtype=np.uint8) * 4 + 20, (48, 1)))
    got = crop(image, Box(-24, 0, 48, 48), (), CropRule(), 48)
    assert (got[:, :24] == 20).all()
    np.testing.assert_array_equal(got[:, 24:], image[:, :24, 0])
    for box in (Box(500, 500, 30, 30), Box(-400, -90, 20, 30), Box(-1000, -1000, 3000, 3000), Box(3.2, 3.2, 0.3, 0.2)):
        assert crop(image, box, (), CropRule(margin=0.5), 48).shape == (48, 48)


def test_crop_part_of_image_equals_whole() -> None:
    """Only the surroundings of a face are read, which must not change the crop."""
    image = np.random.RandomState(2).randint(0, 256, (300, 400, 3)).astype(np.uint8)
    box, eyes, rule = Box(150.3, 99.7, 70.1, 83.9), [(165, 120), (200, 131)], CropRule(margin=0.2, upright=True)
    part = image[40:250, 90:300]
    moved = crop(part, Box(60.3, 59.7, 70.1, 83.9), [(75, 80), (110, 91)], rule, 48)
    assert np.abs(crop(image, box, eyes, rule, 48).astype(int) - moved).max() <= 1
