"""Corruptions are reproducible, grow with strength and leave their input unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from mien.data import sketch
from mien.evaluation.corruptions import CORRUPTIONS, Corruption, move, reduce_resolution

FACES = sketch(train=70, val=24, test=7)["val"].pixels_NHW


@pytest.mark.parametrize("each", CORRUPTIONS.values(), ids=lambda c: c.name)
def test_every_corruption(each: Corruption) -> None:
    before = FACES.copy()
    altered = dict(each.all_severities(FACES))
    np.testing.assert_array_equal(FACES, before)
    assert list(altered) == list(each.severities)
    for strength, faces_NHW in altered.items():
        assert (faces_NHW.dtype, faces_NHW.shape) == (np.uint8, FACES.shape)
        np.testing.assert_array_equal(faces_NHW, each(FACES, strength))
    off = [np.abs(faces_NHW.astype(float) - FACES).mean() for faces_NHW in altered.values()]
    assert off == sorted(off)
    assert 0.1 < off[0] < off[-1] / 1.5


def test_there_are_twelve_corruptions_of_five_severities() -> None:
    assert len(CORRUPTIONS) == 12
    assert all(len(c.severities) == 5 and len(set(c.severities)) == 5 for c in CORRUPTIONS.values())


def test_noise_has_the_given_standard_deviation() -> None:
    grey = np.full((20, 48, 48), 128, np.uint8)
    assert CORRUPTIONS["noise"](grey, 16).std() == pytest.approx(16, rel=0.02)


def test_brightness_rises_for_half_of_the_faces() -> None:
    grey = np.full((10, 48, 48), 128, np.uint8)
    means = CORRUPTIONS["brightness"](grey, 40).mean((1, 2))
    assert sorted(means.tolist()) == [88] * 5 + [168] * 5


def test_contrast_keeps_the_mean() -> None:
    face = np.zeros((1, 48, 48), np.uint8) + np.array([100, 200], np.uint8).repeat(24)
    assert np.unique(CORRUPTIONS["contrast"](face, 0.5)).tolist() == [125, 175]


def test_covers_lie_on_mouth_and_eyes() -> None:
    """A white face on which the cover shows: of the mean grey, over the mouth below and the eyes above."""
    face = np.full((1, 48, 48), 200, np.uint8)
    face[:, 24:] = 100
    for name, rows in (("mouth occlusion", range(32, 42)), ("eye occlusion", range(12, 22))):
        hit = np.flatnonzero((CORRUPTIONS[name](face, 0.2)[0] == 150).any(1))
        assert abs(hit[0] - rows[0]) <= 1
        assert abs(hit[-1] - rows[-1]) <= 1


def test_random_square_lies_inside_the_face() -> None:
    face = np.full((48, 48), 200, np.uint8)
    face[24:] = 100
    places = set()
    for seen in CORRUPTIONS["random square"](np.tile(face, (20, 1, 1)), 0.25) == 150:
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert seen.sum() == 12 * 12
        assert (rows[-1] - rows[0], columns[-1] - columns[0]) == (11, 11)
        places.add((rows[0], columns[0]))
    assert len(places) > 10


def test_move_and_reduce_resolution_in_pixels() -> None:
    ramp = np.tile(np.arange(48, dtype=np.uint8) * 5, (2, 48, 1))
    np.testing.assert_array_equal(move(ramp, right=2 / 48)[:, :, 2:], ramp[:, :, :-2])
    np.testing.assert_array_equal(move(ramp, down=0.1), ramp)
    np.testing.assert_array_equal(move(ramp), ramp)
    shifted = CORRUPTIONS["shift of the box"](ramp, 0.1)
    assert not np.array_equal(shifted[0], shifted[1])  # a direction each
    assert len(np.unique(reduce_resolution(ramp, 2)[0, 0])) < 48
