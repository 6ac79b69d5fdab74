"""Detection in several sizes: faces that fill the image, small faces, tiles, and the merge."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from mien.detection.boxes import Box, Detection, iou
from mien.detection.detectors import SMALLEST, build_detector
from mien.detection.scales import LARGEST, MultiScaleDetector, _tiles, merge
from mien.errors import MienError
from mien.imaging.load import read_image
from mien.recognition import sample

PORTRAIT = read_image(sample())
FACE_HEIGHT = 113  # pixels in the portrait
YUNET = build_detector("yunet", longest_side=320)  # a small base copy keeps the tests fast
SEVERAL = MultiScaleDetector(YUNET)


def face_with(margin: int, side: int) -> np.ndarray:
    """Return the face with some pixels of the portrait around it, at a height of `side`."""
    face = PORTRAIT[63 - margin : 176 + margin, 178 - margin : 268 + margin]
    return cv2.resize(face, (round(side * face.shape[1] / face.shape[0]), side), interpolation=cv2.INTER_CUBIC)


def crowd(width: int, height: int, face: int, step: int) -> tuple[np.ndarray, int]:
    """Return an image with faces of `face` pixels every `step` pixels, and their number."""
    scale = face / FACE_HEIGHT
    small = cv2.resize(PORTRAIT[10:240, 120:330], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image, count = np.full((height, width, 3), 120, np.uint8), 0
    for top in range(5, height - small.shape[0], step):
        for left in range(5, width - small.shape[1], step):
            image[top : top + small.shape[0], left : left + small.shape[1]] = small
            count += 1
    return image, count


@pytest.mark.parametrize(("margin", "side"), [(-5, 1280), (0, 900), (15, 1200), (30, 2000)])
def test_scales_face_fills_image_found_once(margin: int, side: int) -> None:
    detector = MultiScaleDetector(build_detector("yunet"))
    (face,) = detector(face_with(margin, side))
    assert face.box.height == pytest.approx(side * FACE_HEIGHT / (FACE_HEIGHT + 2 * margin), rel=0.1)


def test_scales_small_faces_found_in_tiles() -> None:
    image, count = crowd(1500, 1000, face=40, step=125)
    assert count == 96
    assert len(YUNET(image)) < count / 10  # 8 pixels in the base copy
    found = SEVERAL(image)
    assert count - 2 <= len(found) <= count
    centers = {(round(d.box.left / 125), round(d.box.top / 125)) for d in found}
    assert len(centers) == len(found)  # each once, although tiles overlap


def test_scales_tall_image_faces_found() -> None:
    image = np.full((6000, 270, 3), 250, np.uint8)
    for top in range(50, 5700, 375):
        image[top : top + 250, 10:260] = cv2.resize(PORTRAIT, (250, 250), interpolation=cv2.INTER_AREA)
    assert YUNET(image) == ()
    assert len(SEVERAL(image)) == len(range(50, 5700, 375))


def test_scales_usual_photo_same_boxes() -> None:
    assert MultiScaleDetector(build_detector("yunet"))(PORTRAIT) == build_detector("yunet")(PORTRAIT)


def test_searched_states_scales_and_smallest_face() -> None:
    assert SEVERAL.searched(300, 300).scales == (300,)
    assert SEVERAL.searched(480, 640).scales == (320,)  # a face of 320 pixels is not too large for the detector
    detector = MultiScaleDetector(build_detector("yunet"))
    assert detector.searched(960, 1280).scales == (128, 1280)
    assert detector.searched(960, 1280).smallest_face == SMALLEST
    fine = detector.searched(4000, 6000)
    assert len(fine.scales) == 3
    assert fine.smallest_face < build_detector("yunet").searched(4000, 6000).smallest_face / 2  # type: ignore[attr-defined]


def test_min_face_sets_the_fine_copy() -> None:
    image, count = crowd(800, 500, face=24, step=100)
    assert len(SEVERAL(image)) < count / 2
    precise = MultiScaleDetector(YUNET, min_face=22)
    assert precise.searched(500, 800).smallest_face == 22
    assert len(precise(image)) >= 0.95 * count
    assert MultiScaleDetector(YUNET, min_face=400).searched(4000, 6000).scales == (320,)


@pytest.mark.parametrize("min_face", [0, -1, 2.5, True, "9"])
def test_min_face_wrong_value_raises(min_face: object) -> None:
    with pytest.raises(MienError, match="min_face must be a whole number"):
        MultiScaleDetector(YUNET, min_face=min_face)  # type: ignore[arg-type]


def test_scales_copies_keep_min_face() -> None:
    detector = MultiScaleDetector(YUNET, min_face=22)
    for copied in (detector.with_threads(1), detector.with_threshold(0.9), detector.with_longest_side(640)):
        assert copied.min_face == 22
    assert detector.with_threshold(0.99)(PORTRAIT) == ()


def test_scales_tiles_need_less_memory_than_image() -> None:
    image = np.full((1800, 2400, 3), 90, np.uint8)
    detector = MultiScaleDetector(YUNET.with_longest_side(640), min_face=SMALLEST)  # in the image as it is
    detector(image)
    tracemalloc.start()
    detector(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < image.nbytes


@pytest.mark.parametrize(("length", "side", "shared"), [(1000, 300, 64), (300, 300, 64), (301, 300, 64), (50, 300, 64)])
def test_tiles_cover_each_place_once(length: int, side: int, shared: int) -> None:
    tiles = _tiles(length, side, shared)
    assert (tiles[0].begin, tiles[-1].end) == (0, length)
    for place in range(length):
        (owner,) = (tile for tile in tiles if tile.first <= place < tile.last)
        assert owner.begin <= max(place - shared // 2, 0)  # with half of the shared pixels around it
        assert owner.end >= min(place + shared // 2, length)
    assert all(tile.end - tile.begin <= side for tile in tiles)


def detection(left: float, top: float, side: float, score: float = 0.9) -> Detection:
    return Detection(Box(left, top, side, side), score)


def test_merge_drops_part_of_face_too_large_for_copy() -> None:
    face, part = detection(0, 0, 1000), detection(300, 300, 450, 0.99)
    person_before_poster = detection(300, 300, 60)
    assert merge([(1.0, (part, person_before_poster)), (8.0, (face,))], 0.65) == (face, person_before_poster)


def test_merge_prefers_copy_in_which_face_fits() -> None:
    base, close = detection(0, 0, LARGEST + 100, 0.95), detection(10, 10, LARGEST + 90, 0.7)
    assert merge([(1.0, (base,)), (8.0, (close,))], 0.65) == (close,)
    coarse, fine = detection(0, 0, 60, 0.9), detection(2, 2, 60, 0.7)  # 12 and 30 pixels in their copies
    assert merge([(5.0, (coarse,)), (2.0, (fine,))], 0.65) == (fine,)
    usual, same = detection(0, 0, 200, 0.7), detection(4, 4, 200, 0.95)
    assert iou(usual.box, same.box) > 0.5
    assert merge([(1.0, (usual,)), (8.0, (same,))], 0.65) == (usual,)


def test_merge_candidate_does_not_remove_face() -> None:
    candidate, face = detection(0, 0, 200, 0.5), detection(4, 4, 200, 0.7)
    assert face in merge([(1.0, (candidate,)), (8.0, (face,))], 0.65)
