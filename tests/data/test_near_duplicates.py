"""Altered copies are near-duplicates, different images are not; on a portrait and smooth random fields."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurs import fields, jpeg
from mien.data import near_duplicates
from mien.data.near_duplicates import best_correlation

Faces = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Faces:
    """The face of the sample, [48,48], with its surroundings so that it may be cut elsewhere: [64,64]."""
    whole = cv2.imread(str(files("mien") / "assets" / "sample.jpg"), cv2.IMREAD_GRAYSCALE)
    side = min(whole.shape)
    return cv2.resize(whole[:side, :side], (64, 64), interpolation=cv2.INTER_AREA)


def cut(image_HW: Faces, right: int = 0, down: int = 0) -> Faces:
    return image_HW[8 + down : 56 + down, 8 + right : 56 + right]


def pairs_of(*faces: Faces) -> list[tuple[int, int, bool]]:
    found = near_duplicates.near_duplicate_pairs(np.stack(faces))
    return list(zip(found.a_P.tolist(), found.b_P.tolist(), found.mirrored_P.tolist(), strict=True))


def sized(face_HW: Faces, scale: float) -> Faces:
    turn = cv2.getRotationMatrix2D((23.5, 23.5), 0, scale)
    return cv2.warpAffine(face_HW, turn, (48, 48), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("move", [(0, 0), (2, 0), (0, -2), (-2, 2), (1, 2)])
def test_shifted_crop_is_near_duplicate(portrait: Faces, move: tuple[int, int]) -> None:
    assert pairs_of(cut(portrait), cut(portrait, *move)) == [(0, 1, False)]
    found = near_duplicates.near_duplicate_pairs(np.stack([cut(portrait), cut(portrait, *move)]))
    assert found.correlation_P[0] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", [0.95, 0.975, 1.05])
def test_scaled_face_is_near_duplicate(portrait: Faces, scale: float) -> None:
    assert pairs_of(cut(portrait), sized(cut(portrait), scale)) == [(0, 1, False)]


def test_compressed_brightened_or_mirrored_is_near_duplicate(portrait: Faces) -> None:
    face = cut(portrait)
    assert pairs_of(face, jpeg(face, 50)) == [(0, 1, False)]
    assert pairs_of(face, (face * 0.5 + 60).astype(np.uint8)) == [(0, 1, False)]
    assert pairs_of(face, cut(portrait, 2, -1)[:, ::-1]) == [(0, 1, True)]


def test_different_images_are_not_near_duplicates(portrait: Faces) -> None:
    assert pairs_of(*fields(60), cut(portrait)) == []


def test_pairs_across_blocks_are_unique_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = fields(40)
    faces[33], faces[7], faces[39] = faces[2], faces[2], faces[20][:, ::-1]
    whole = pairs_of(*faces)
    assert whole == [(2, 7, False), (2, 33, False), (7, 33, False), (20, 39, True)]
    monkeypatch.setattr(near_duplicates, "ROWS", 6)
    monkeypatch.setattr(near_duplicates, "COLUMNS", 11)
    assert pairs_of(*faces) == whole


def test_flat_images_are_not_near_duplicates() -> None:
    flat = np.full((48, 48), 200, np.uint8)
    grain = flat + np.random.default_rng(0).integers(0, 2, (48, 48), dtype=np.uint8)
    assert pairs_of(flat, flat, flat // 2, grain, grain, *fields(5)) == []
    assert pairs_of(flat) == []


def test_best_correlation_equals_brute_force(portrait: Faces) -> None:
    face, other = cut(portrait), fields(1)[0]
    assert best_correlation(face, face) == pytest.approx(1, abs=1e-5)
    assert best_correlation(face, cut(portrait, 4, 4)) == pytest.approx(1, abs=1e-4)
    assert best_correlation(face, 255 - face) < 0.5
    assert best_correlation(face, other) < 0.8
    middle = face[4:44, 4:44].astype(float) - face[4:44, 4:44].mean()
    wanted = max(
        float((middle * (w - w.mean())).sum() / np.sqrt((middle**2).sum() * ((w - w.mean()) ** 2).sum()))
        for w in (other[y : y + 40, x : x + 40].astype(float) for y in range(9) for x in range(9))
    )
    assert best_correlation(face, other) == pytest.approx(wanted, abs=1e-4)
