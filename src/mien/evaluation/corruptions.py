"""Image corruptions at five severities, reproducible.

Faces are grayscale, uint8 [N,H,H], before and after. Random choices, such as the direction of a shift for each face,
are the same at all severities, so that a curve shows the effect of the severity alone. Pixels outside a face repeat its
border.
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
EYES, MOUTH = (0.5, 0.36), (0.5, 0.77)  # (x, y) of their centers in FER2013's crops, as fractions of the side


@dataclass(frozen=True)
class Corruption:
    """An image corruption at five severities.

    Attributes:
        name: Name of the corruption.
        unit: Meaning and unit of the parameter.
        severities: Value of the parameter at each of the five severities, from mild to strong.
        apply: Function that corrupts faces by one value of the parameter.
    """

    name: str
    unit: str
    severities: tuple[float, float, float, float, float]
    apply: Callable[[Faces, float, Rng], Faces]

    def __call__(self, faces_NHW: Faces, value: float) -> Faces:
        """Return corrupted copies of the faces."""
        return self.apply(faces_NHW, value, np.random.default_rng(zlib.crc32(self.name.encode())))

    def all_severities(self, faces_NHW: Faces) -> Iterator[tuple[float, Faces]]:
        """Yield the value of each severity and the faces corrupted with it."""
        for value in self.severities:
            yield value, self(faces_NHW, value)


CORRUPTIONS: dict[str, Corruption] = {}


def corruption(unit: str, *severities: float) -> Callable[[Callable[[Faces, float, Rng], Faces]], Corruption]:
    """Register a function in `CORRUPTIONS`, by its name with spaces for underscores."""

    def register(apply: Callable[[Faces, float, Rng], Faces]) -> Corruption:
        name = apply.__name__.replace("_", " ")
        if name in CORRUPTIONS:
            raise MienError(f"two corruptions have the name '{name}'; rename one")
        first, second, third, fourth, fifth = severities
        CORRUPTIONS[name] = Corruption(name, unit, (first, second, third, fourth, fifth), apply)
        return CORRUPTIONS[name]

    return register


@corruption("standard deviation, gray levels", 4, 8, 16, 24, 32)
def noise(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Add Gaussian noise to every pixel."""
    return _to_uint8(faces_NHW + value * rng.standard_normal(faces_NHW.shape, np.float32))


@corruption("sigma, pixels", 0.5, 1, 1.5, 2, 3)
def blur(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Blur with a Gaussian kernel."""
    return _map(lambda f: cv2.GaussianBlur(f, (0, 0), value, borderType=cv2.BORDER_REPLICATE), faces_NHW)


@corruption("JPEG quality", 60, 30, 20, 10, 5)
def jpeg(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Encode as JPEG with this quality and decode."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(value)]
    return _map(lambda f: cv2.imdecode(cv2.imencode(".jpg", f, quality)[1], cv2.IMREAD_GRAYSCALE), faces_NHW)


@corruption("gray levels", 20, 40, 60, 80, 100)
def brightness(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Make half of the faces brighter and half darker."""
    return _to_uint8(faces_NHW + value * _signs(faces_NHW, rng)[:, None, None])


@corruption("contrast factor", 0.7, 0.5, 0.35, 0.2, 0.1)
def contrast(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Reduce the contrast around the mean of each face."""
    mean_N11 = faces_NHW.mean((1, 2), keepdims=True)
    return _to_uint8(mean_N11 + value * (faces_NHW - mean_N11))


@corruption("degrees", 5, 10, 20, 30, 45)
def rotation(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Rotate half of the faces clockwise and half counterclockwise."""
    middle = (faces_NHW.shape[1] - 1) / 2
    turn_N = value * _signs(faces_NHW, rng)
    matrices = [np.asarray(cv2.getRotationMatrix2D((middle, middle), turn, 1), np.float64) for turn in turn_N.tolist()]
    return np.stack([_warp(f, matrix) for f, matrix in zip(faces_NHW, matrices, strict=True)])


@corruption("scale factor", 1.05, 1.1, 1.2, 1.35, 1.5)
def scale(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Enlarge half of the faces in their square and shrink the other half."""
    return _move_each(faces_NHW, size_N=value ** _signs(faces_NHW, rng))


@corruption("fraction of the side", 0.025, 0.05, 0.1, 0.15, 0.2)
def shift_of_the_box(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Shift the face box, in a random direction for each face."""
    angle_N = rng.uniform(0, 2 * np.pi, len(faces_NHW))
    return _move_each(faces_NHW, right_N=value * np.cos(angle_N), down_N=value * np.sin(angle_N))


@corruption("height of the bar, fraction of the side", 0.08, 0.14, 0.2, 0.28, 0.36)
def mouth_occlusion(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Cover the mouth with a bar of the mean gray level, at least twice as wide as high."""
    return _cover(faces_NHW, MOUTH, max(0.5, 2 * value), value)


@corruption("height of the bar, fraction of the side", 0.08, 0.14, 0.2, 0.28, 0.36)
def eye_occlusion(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Cover both eyes with a bar of the mean gray level, 0.9 of the side wide."""
    return _cover(faces_NHW, EYES, 0.9, value)


@corruption("side of the square, fraction of the side", 0.15, 0.25, 0.35, 0.45, 0.55)
def random_square(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Cover a random square inside the face with the mean gray level."""
    side = faces_NHW.shape[1]
    hole = round(value * side)
    place_N2 = (rng.random((len(faces_NHW), 2)) * (side - hole + 1)).astype(int)
    out_NHW, mean_N = faces_NHW.copy(), faces_NHW.mean((1, 2))
    for face_HW, (top, left), mean in zip(out_NHW, place_N2.tolist(), mean_N.tolist(), strict=True):
        face_HW[top : top + hole, left : left + hole] = round(mean)
    return out_NHW


@corruption("pixels per side", 32, 24, 16, 12, 8)
def low_resolution(faces_NHW: Faces, value: float, rng: Rng) -> Faces:
    """Reduce the resolution to this many pixels per side."""
    return reduce_resolution(faces_NHW, int(value))


def move(faces_NHW: Faces, size: float = 1.0, right: float = 0.0, down: float = 0.0) -> Faces:
    """Scale faces around their center and shift them; pixels outside repeat the border.

    Args:
        faces_NHW: Faces uint8 [N,H,H].
        size: Scale factor.
        right: Shift to the right, as a fraction of the side.
        down: Shift downwards, as a fraction of the side.
    """
    n = len(faces_NHW)
    return _move_each(faces_NHW, np.full(n, size), np.full(n, right), np.full(n, down))


def reduce_resolution(faces_NHW: Faces, pixels: int) -> Faces:
    """Shrink faces to `pixels` per side and enlarge them to their size again."""
    side = faces_NHW.shape[1]
    small = [cv2.resize(f, (pixels, pixels), interpolation=cv2.INTER_AREA) for f in faces_NHW]
    return np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_CUBIC) for f in small]).astype(np.uint8)


def _move_each(
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
            _warp(f, np.array([[s, 0, middle * (1 - s) + side * r], [0, s, middle * (1 - s) + side * d]]))
            for f, s, r, d in zip(faces_NHW, size_N, right_N, down_N, strict=True)
        ]
    )


def _warp(face_HW: Faces, matrix: NDArray[np.float64]) -> Faces:
    height, width = face_HW.shape
    warped = cv2.warpAffine(face_HW, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _cover(faces_NHW: Faces, center: tuple[float, float], width: float, height: float) -> Faces:
    """Cover a rectangle around `center` with the mean gray level; all arguments are fractions of the side."""
    side = faces_NHW.shape[1]
    (x, y), out_NHW = center, faces_NHW.copy()
    top, bottom = (round(side * min(1, max(0, y + sign * height / 2))) for sign in (-1, 1))
    left, right = (round(side * min(1, max(0, x + sign * width / 2))) for sign in (-1, 1))
    out_NHW[:, top:bottom, left:right] = np.rint(faces_NHW.mean((1, 2)))[:, None, None]
    return out_NHW


def _map(function: Callable[[Faces], object], faces_NHW: Faces) -> Faces:
    return np.stack([np.asarray(function(face_HW), np.uint8) for face_HW in faces_NHW])


def _to_uint8(pixels_NHW: NDArray[np.floating[Any]]) -> Faces:
    pixels: Faces = np.clip(np.rint(pixels_NHW), 0, 255).astype(np.uint8)
    return pixels


def _signs(faces_NHW: Faces, rng: Rng) -> NDArray[np.float64]:
    """Return 1 for a random half of the faces and -1 for the others, float64 [N]."""
    return np.where(rng.permutation(len(faces_NHW)) % 2 == 0, 1.0, -1.0)
