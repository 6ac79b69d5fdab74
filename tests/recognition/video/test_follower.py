"""Following faces: windows around expected boxes, full detection when needed, scene changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

import videos
from mien.detection.boxes import Box, Detection, iou
from mien.detection.detectors import build_detector
from mien.recognition.video.follower import FULL_INTERVAL, WINDOW_PIXELS, Follower

STEP = 0.04


def yunet_follower() -> Follower:
    return Follower(build_detector("yunet", longest_side=640), build_detector("yunet", longest_side=WINDOW_PIXELS))


def moving(i: int) -> videos.Pixels:
    return videos.frame(960, 540, (0.3 + 0.004 * i, 0.5, 0.35 + 0.001 * i, 1.0))


def test_follower_window_equals_full_detection() -> None:
    follower, whole = yunet_follower(), build_detector("yunet", longest_side=640)
    for i in range(25):
        ((person, found),) = follower.update(moving(i), i * STEP)
        (wanted,) = whole(moving(i))
        assert person == 1
        assert iou(found.box, wanted.box) > 0.85, i
        away = np.abs(np.array(found.landmarks) - np.array(wanted.landmarks)).max()
        assert away < 0.09 * wanted.box.height, i
    assert follower.frame_count == 25
    assert follower.full_detections <= 2 + 25 * STEP / FULL_INTERVAL


@pytest.mark.parametrize("shape", [(540, 960), (96, 128), (1080, 608)])
@pytest.mark.parametrize("size", [0.5, 1.2])
def test_follower_faces_of_all_sizes(shape: tuple[int, int], size: float) -> None:
    """Faces whose window is not shrunk, and faces whose window is the whole frame."""
    height, width = shape
    part = size * min(height, width) / width
    frame = videos.frame(width, height, (0.45, 0.55, part, 1.0))
    follower = yunet_follower()
    follower.update(frame, 0.0)
    ((_, found),) = follower.update(frame, STEP)
    assert follower.full_detections == 1
    (wanted,) = build_detector("yunet", longest_side=640)(frame)
    assert iou(found.box, wanted.box) > 0.8


def test_follower_missing_face_is_searched_at_once() -> None:
    follower = yunet_follower()
    there, nobody = videos.frame(640, 360, (0.5, 0.5, 0.4, 1.0)), videos.frame(640, 360)
    who = [[person for person, _ in follower.update(f, i * STEP)] for i, f in enumerate([there, nobody, there, there])]
    assert who == [[1], [], [1], [1]]
    assert follower.people == {1}


def test_follower_new_person_is_found_in_time() -> None:
    follower, seen = yunet_follower(), 0.0
    for i in range(20):
        who = [(0.25, 0.5, 0.3, 1.0)] + ([(0.75, 0.5, 0.3, 1.0)] if i >= 8 else [])
        found = follower.update(videos.frame(960, 540, *who), i * STEP)
        if len(found) == 2 and not seen:
            seen = i * STEP
    assert 8 * STEP <= seen <= 8 * STEP + FULL_INTERVAL + STEP
    assert [person for person, _ in found] == [1, 2]


def test_follower_scene_change_gives_new_number() -> None:
    follower = yunet_follower()
    one = videos.frame(640, 360, (0.5, 0.5, 0.5, 1.0))
    other = cv2.flip(255 - videos.frame(640, 360), 0)
    other[60:360, 170:470] = cv2.resize(videos.portrait(), (300, 300))[:, ::-1] // 2
    who = [[p for p, _ in follower.update(f, i * STEP)] for i, f in enumerate([one, one, np.asarray(other, np.uint8)])]
    assert who == [[1], [1], [2]]


def wall(seed: int, low: int, high: int) -> videos.Pixels:
    """Return a patterned background of 640x360 pixels."""
    tiles = np.random.default_rng(seed).integers(low, high, (9, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(tiles, (640, 360), interpolation=cv2.INTER_CUBIC), np.uint8)


def with_face(background: videos.Pixels, left: int, top: int, side: int, gain: float, mirror: bool) -> videos.Pixels:
    """Return a background with the portrait, mirrored or not."""
    frame, face = background.copy(), cv2.resize(videos.portrait(), (side, side), interpolation=cv2.INTER_AREA)
    frame[top : top + side, left : left + side] = face[:, ::-1] * gain if mirror else face * gain
    return frame


def persons(frames: list[videos.Pixels], step: float = STEP) -> list[list[int]]:
    follower = yunet_follower()
    return [[person for person, _ in follower.update(frame, i * step)] for i, frame in enumerate(frames)]


@pytest.mark.parametrize(("low", "high", "gain"), [(2, 24, 0.5), (90, 115, 0.8), (20, 230, 1.0)])
def test_follower_cut_gives_new_number(low: int, high: int, gain: float) -> None:
    """In a dark scene, in one of low contrast, and in a bright one."""
    a = with_face(wall(1, low, high), 160, 70, 120, gain, mirror=False)
    b = with_face(wall(2, low, high), 120, 40, 200, gain, mirror=True)
    assert persons([a, a, a, b, b]) == [[1], [1], [1], [2], [2]]


def test_follower_jump_within_scene_gives_new_number() -> None:
    """Only the face changes its place, size and appearance, as in a frame within the frame."""
    a = with_face(wall(1, 20, 230), 160, 70, 120, 1.0, mirror=False)
    b = with_face(wall(1, 20, 230), 140, 60, 190, 1.0, mirror=True)
    assert persons([a, a, a, b, b]) == [[1], [1], [1], [2], [2]]


def test_follower_fast_face_keeps_number() -> None:
    frames = [with_face(wall(1, 20, 230), 60 + 25 * i, 70 + 4 * i, 140 + 6 * i, 1.0, mirror=False) for i in range(7)]
    assert persons(frames) == [[1]] * 7


@pytest.mark.parametrize("level", [0, 255])
def test_follower_white_or_black_frame_keeps_number(level: int) -> None:
    a = with_face(wall(1, 20, 230), 160, 70, 180, 1.0, mirror=False)
    blank = np.full_like(a, level)
    assert persons([a, a, blank, a, a]) == [[1], [1], [], [1], [1]]


def test_follower_fade_keeps_number() -> None:
    """The background fades to another one behind the person."""
    a, b = (with_face(wall(seed, 10, 200), 160, 70, 180, 1.0, mirror=False) for seed in (1, 2))
    shares = np.linspace(0, 1, 13)
    frames = [np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8) for share in shares]
    assert persons(frames) == [[1]] * 13


def test_follower_flash_is_not_a_scene_change() -> None:
    follower, noise = yunet_follower(), np.random.default_rng(0)
    wall = cv2.resize(noise.integers(0, 256, (9, 16, 3), np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC)
    for i in range(10):
        frame = np.asarray(wall, np.uint8).copy()
        side = 160 + 4 * i
        frame[100 : 100 + side, 100 + 20 * i : 100 + 20 * i + side] = cv2.resize(videos.portrait(), (side, side))
        if i == 5:
            frame = np.clip(frame.astype(int) + 70, 0, 255).astype(np.uint8)
        assert [person for person, _ in follower.update(frame, i * STEP)] == [1], i


def test_follower_two_windows_one_face() -> None:
    """When two windows show the same face, the whole frame is searched again."""
    face = Detection(Box(100, 100, 50, 50), 0.9)
    near_calls = []

    def whole(image_HW3: videos.Pixels) -> tuple[Detection, ...]:
        beside = replace(face, box=Box(130, 100, 50, 50))
        return (face, beside) if not near_calls else (face,)

    def near(window_HW3: videos.Pixels) -> tuple[Detection, ...]:
        near_calls.append(window_HW3.shape)
        width = window_HW3.shape[1]
        return (Detection(Box(width / 2 - 25, width / 2 - 25, 50, 50), 0.9),) if len(near_calls) == 1 else (
            Detection(Box(width / 2 - 50, width / 2 - 25, 50, 50), 0.9),
        )  # fmt: skip

    follower, frame = Follower(whole, near), np.zeros((300, 300, 3), np.uint8)
    assert len(follower.update(frame, 0.0)) == 2
    assert [person for person, _ in follower.update(frame, STEP)] == [1]
    assert len(near_calls) == 2
    assert follower.full_detections == 2


def test_follower_without_window_detector() -> None:
    follower = Follower(build_detector("whole"), None)
    for i in range(5):
        ((person, found),) = follower.update(np.zeros((40, 60, 3), np.uint8), i * STEP)
        assert (person, found.box) == (1, Box(10, 0, 40, 40))
    assert follower.full_detections == 5
