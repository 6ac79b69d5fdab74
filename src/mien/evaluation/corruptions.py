"""Image corruptions in five strengths, reproducible.

Faces are grey uint8 [N,H,H] and stay so. What is drawn, a direction for each face, is drawn alike at every strength, so
that a curve shows the strength and not the luck. What comes in from outside a face repeats its rim.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

Faces = NDArray[np.uint8]
Rng = np.random.Generator
EYES, MOUTH = (0.5, 0.36), (0.5, 0.77)  # (x, y) of their middles in FER2013's crops, as shares of the side


@dataclass(frozen=True)
class Corruption:
    """One thing that happens to faces.

    Attributes:
        name: what happens, in words.
        unit: of the strengths.
        strengths: five of them, from mild to strong.
        apply: alters faces by one strength.
    """

    name: str
    unit: str
    strengths: tuple[float, float, float, float, float]
    apply: Callable[[Faces, float, Rng], Faces]

    def __call__(self, faces_NHW: Faces, strength: float) -> Faces:
        """The faces altered; those that came in stay as they are."""
        return self.apply(faces_NHW, strength, np.random.default_rng(zlib.crc32(self.name.encode())))

    def all(self, faces_NHW: Faces) -> Iterator[tuple[float, Faces]]:
        """Each strength and the faces altered by it."""
        for strength in self.strengths:
            yield strength, self(faces_NHW, strength)


CORRUPTIONS: dict[str, Corruption] = {}


def corruption(unit: str, *strengths: float) -> Callable[[Callable[[Faces, float, Rng], Faces]], Corruption]:
    """Put a function into `CORRUPTIONS`, under its name with blanks for underscores."""

    def take(apply: Callable[[Faces, float, Rng], Faces]) -> Corruption:
        name = apply.__name__.replace("_", " ")
        if name in CORRUPTIONS:
            raise MienError(f"two corruptions are called '{name}'")
        first, second, third, fourth, fifth = strengths
        CORRUPTIONS[name] = Corruption(name, unit, (first, second, third, fourth, fifth), apply)
        return CORRUPTIONS[name]

    return take


@corruption("standard deviation, grey levels", 4, 8, 16, 24, 32)
def noise(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Gaussian noise on every pixel."""
    return _levels(faces_NHW + strength * rng.standard_normal(faces_NHW.shape, np.float32))


@corruption("sigma, pixels of 48", 0.5, 1, 1.5, 2, 3)
def blur(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Gaussian blur."""
    return _each(lambda f: cv2.GaussianBlur(f, (0, 0), strength, borderType=cv2.BORDER_REPLICATE), faces_NHW)


@corruption("quality", 60, 30, 20, 10, 5)
def jpeg(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Written as JPEG of this quality, and read again."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(strength)]
    return _each(lambda f: cv2.imdecode(cv2.imencode(".jpg", f, quality)[1], cv2.IMREAD_GRAYSCALE), faces_NHW)


@corruption("grey levels", 20, 40, 60, 80, 100)
def brightness(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Half of the faces so much brighter, half darker."""
    return _levels(faces_NHW + strength * _signs(faces_NHW, rng)[:, None, None])


@corruption("share that is left", 0.7, 0.5, 0.35, 0.2, 0.1)
def contrast(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Drawn towards each face's mean."""
    mean_N11 = faces_NHW.mean((1, 2), keepdims=True)
    return _levels(mean_N11 + strength * (faces_NHW - mean_N11))


@corruption("degrees", 5, 10, 20, 30, 45)
def rotation(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Half of the faces turned to the right, half to the left."""
    middle = (faces_NHW.shape[1] - 1) / 2
    turn_N = strength * _signs(faces_NHW, rng)
    matrices = [np.asarray(cv2.getRotationMatrix2D((middle, middle), turn, 1), np.float64) for turn in turn_N.tolist()]
    return np.stack([_warped(f, matrix) for f, matrix in zip(faces_NHW, matrices, strict=True)])


@corruption("times the size", 1.05, 1.1, 1.2, 1.35, 1.5)
def scale(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Half of the faces so much larger in their square, half so much smaller."""
    return _moved_each(faces_NHW, size_N=strength ** _signs(faces_NHW, rng))


@corruption("share of the side", 0.025, 0.05, 0.1, 0.15, 0.2)
def shift_of_the_box(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """The box off by so much, each face in a direction of its own."""
    angle_N = rng.uniform(0, 2 * np.pi, len(faces_NHW))
    return _moved_each(faces_NHW, right_N=strength * np.cos(angle_N), down_N=strength * np.sin(angle_N))


@corruption("height of the bar, share of the side", 0.08, 0.14, 0.2, 0.28, 0.36)
def mouth_covered(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """A bar of each face's mean grey over the mouth, twice as wide as high at least."""
    return _covered(faces_NHW, MOUTH, max(0.5, 2 * strength), strength)


@corruption("height of the bar, share of the side", 0.08, 0.14, 0.2, 0.28, 0.36)
def eyes_covered(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """A bar of each face's mean grey over both eyes, as wide as the face."""
    return _covered(faces_NHW, EYES, 0.9, strength)


@corruption("side of the square, share of the side", 0.15, 0.25, 0.35, 0.45, 0.55)
def random_square(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """A square of each face's mean grey somewhere wholly inside of it."""
    side = faces_NHW.shape[1]
    hole = round(strength * side)
    place_N2 = (rng.random((len(faces_NHW), 2)) * (side - hole + 1)).astype(int)
    out_NHW, mean_N = faces_NHW.copy(), faces_NHW.mean((1, 2))
    for face_HW, (top, left), mean in zip(out_NHW, place_N2.tolist(), mean_N.tolist(), strict=True):
        face_HW[top : top + hole, left : left + hole] = round(mean)
    return out_NHW


@corruption("pixels a side", 32, 24, 16, 12, 8)
def low_resolution(faces_NHW: Faces, strength: float, rng: Rng) -> Faces:
    """Brought to so many pixels a side and back."""
    return coarse(faces_NHW, int(strength))


def moved(faces_NHW: Faces, size: float = 1.0, right: float = 0.0, down: float = 0.0) -> Faces:
    """Faces made `size` times as large about their middle and moved by shares of the side; the rim is repeated."""
    n = len(faces_NHW)
    return _moved_each(faces_NHW, np.full(n, size), np.full(n, right), np.full(n, down))


def coarse(faces_NHW: Faces, pixels: int) -> Faces:
    """Faces brought to `pixels` a side and back."""
    side = faces_NHW.shape[1]
    small = [cv2.resize(f, (pixels, pixels), interpolation=cv2.INTER_AREA) for f in faces_NHW]
    return np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_CUBIC) for f in small]).astype(np.uint8)


def _moved_each(
    faces_NHW: Faces,
    size_N: NDArray[np.float64] | None = None,
    right_N: NDArray[np.float64] | None = None,
    down_N: NDArray[np.float64] | None = None,
) -> Faces:
    n, side = faces_NHW.shape[:2]
    middle = (side - 1) / 2
    size_N = np.ones(n) if size_N is None else size_N
    right_N, down_N = (np.zeros(n) if by is None else by for by in (right_N, down_N))
    return np.stack(
        [
            _warped(f, np.array([[s, 0, middle * (1 - s) + side * r], [0, s, middle * (1 - s) + side * d]]))
            for f, s, r, d in zip(faces_NHW, size_N, right_N, down_N, strict=True)
        ]
    )


def _warped(face_HW: Faces, matrix: NDArray[np.float64]) -> Faces:
    high, wide = face_HW.shape
    told = cv2.warpAffine(face_HW, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(told, np.uint8)


def _covered(faces_NHW: Faces, middle: tuple[float, float], wide: float, high: float) -> Faces:
    """A rectangle of each face's mean grey about `middle`; all measures are shares of the side."""
    side = faces_NHW.shape[1]
    (x, y), out_NHW = middle, faces_NHW.copy()
    top, bottom = (round(side * min(1, max(0, y + sign * high / 2))) for sign in (-1, 1))
    left, right = (round(side * min(1, max(0, x + sign * wide / 2))) for sign in (-1, 1))
    out_NHW[:, top:bottom, left:right] = np.rint(faces_NHW.mean((1, 2)))[:, None, None]
    return out_NHW


def _each(alter: Callable[[Faces], object], faces_NHW: Faces) -> Faces:
    return np.stack([np.asarray(alter(face_HW), np.uint8) for face_HW in faces_NHW])


def _levels(pixels_NHW: NDArray[np.floating[Any]]) -> Faces:
    levels: Faces = np.clip(np.rint(pixels_NHW), 0, 255).astype(np.uint8)
    return levels


def _signs(faces_NHW: Faces, rng: Rng) -> NDArray[np.float64]:
    """1 or -1 for each face, [N], half and half give or take one."""
    return np.where(rng.permutation(len(faces_NHW)) % 2 == 0, 1.0, -1.0)
