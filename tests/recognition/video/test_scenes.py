"""Scene changes: cuts at any brightness and contrast; not fades, flashes, noise or movement."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

import videos
from mien.recognition.video.scenes import SceneDetector


def wall(seed: int, low: float, high: float) -> videos.Pixels:
    tiles = np.random.default_rng(seed).uniform(low, high, (9, 16, 3)).astype(np.float32)
    return np.clip(cv2.resize(tiles, (320, 180), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def noisy(frame: videos.Pixels, seed: int, sigma: float) -> videos.Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def changes(frames: list[videos.Pixels]) -> list[str | None]:
    detector = SceneDetector()
    return [detector.update(frame) for frame in frames]


@pytest.mark.parametrize(("low", "high"), [(0, 20), (0, 40), (100, 120), (225, 250), (0, 255)])
def test_scene_cut_is_found_at_any_contrast(low: float, high: float) -> None:
    for seed in range(10):
        a, b = wall(2 * seed, low, high), wall(2 * seed + 1, low, high)
        assert changes([a, noisy(a, 0, 2), noisy(b, 1, 2), b]) == [None, None, "new", None], seed


BRIGHT, DARK, BLACK = wall(1, 10, 220), wall(1, 0, 25), np.zeros((180, 320, 3), np.uint8)


@pytest.mark.parametrize(
    "frame",
    [
        lambda i: noisy(BLACK, i, 5),
        lambda i: noisy(DARK, i, 5),
        lambda i: np.clip(BRIGHT + 60.0 * (i == 2), 0, 255).astype(np.uint8),
        lambda i: np.clip(DARK * (1.0 + 4 * (i == 2)), 0, 255).astype(np.uint8),
        lambda i: (BRIGHT * (1 - i / 25)).astype(np.uint8),
        lambda i: cv2.addWeighted(BRIGHT, 1 - i / 25, wall(2, 10, 220), i / 25, 0),
        lambda i: np.roll(BRIGHT, 6 * i, axis=1),
        lambda i: videos.frame(320, 180, (0.4 + 0.03 * i, 0.5, 0.6, 0.3)),
    ],
    ids=["noise in black", "noise in dark", "flash", "flash in dark", "fade to black", "dissolve", "pan", "near face"],
)
def test_scene_without_cut(frame: Callable[[int], videos.Pixels]) -> None:
    assert changes([np.asarray(frame(i), np.uint8) for i in range(25)]) == [None] * 25


@pytest.mark.parametrize("level", [0, 255])
def test_scene_blank_frame_goes_back(level: int) -> None:
    blank = np.full_like(BRIGHT, level)
    assert changes([BRIGHT, blank, BRIGHT, wall(2, 10, 220)]) == [None, "new", "back", "new"]
