"""Renders one synthetic face from its parameters.

A face is drawn flat at four times its final size, lit as an egg, and brought down by area. Its own coordinates have the
bridge of the nose at (0, 0), the temples at x = -1 and 1, the crown at y = -1.3 and the chin at y = 1.3, y downwards.
Left and right are those of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE

Numbers = NDArray[np.float64]
# [P], x + iy: turning, scaling and shifting are one multiplication and one sum.
Points = NDArray[np.complexfloating[Any, Any]]
Canvas = NDArray[np.uint8]

_FINE = 4  # how much larger the drawing is than the image
_CANVAS = SIDE * _FINE
_SHIFT = 4  # binary places of the coordinates that OpenCV draws with
_ROUND = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_COS, _SIN = np.cos(_ROUND), np.sin(_ROUND)
_ACROSS = np.linspace(-1, 1, 13)
_LONG_HAIR = ((-1.22, 1.5), (-1.28, 0), (-1.0, -1.0), (0, -1.5), (1.0, -1.0), (1.28, 0), (1.22, 1.5))
_SHOULDERS = ((-2.4, 3.5), (-2.0, 1.9), (-0.5, 1.45), (0.5, 1.45), (2.0, 1.9), (2.4, 3.5))
_NECK = ((-0.5, 0.7), (0.5, 0.7), (0.55, 1.7), (0, 2.0), (-0.55, 1.7))


@dataclass(frozen=True)
class Mood:
    """What a face expresses; of a pair the first is the left half's.

    Attributes:
        brow_in, brow_out: how far the brow's inner and outer ends are raised, in head half-widths.
        lid: opening of the eyes, 1 at rest.
        cheek: how far the lower lid is pushed up, 0 to 1.
        corner: how far the mouth's corners are raised, in head half-widths.
        wide: width of the mouth, 1 at rest.
        gape: opening of the mouth, in head half-widths.
        sneer: lifting of the upper lip and wrinkling of the nose, 0 to 1.
        teeth: how much of an open mouth is teeth, 0 to 1.
    """

    brow_in: tuple[float, float]
    brow_out: tuple[float, float]
    lid: tuple[float, float]
    cheek: float
    corner: tuple[float, float]
    wide: float
    gape: float
    sneer: float
    teeth: float


@dataclass(frozen=True)
class Look:
    """Who is drawn and how the image was taken: all that says nothing about the mood. Tones are 0 to 255.

    Attributes:
        yaw, pitch, roll: pose of the head in radians.
        size: half-width of the head in pixels of the image; centre: its place there, x and y.
        jaw, tall: width of the chin and height of the head, 1 is usual.
        skin, hair, back, cloth: tones; eye, brow, lip: strength of these features, 1 is usual.
        parting: where the hair parts, -1 to 1; fringe: how far it hangs on the wider side, 0 to 1;
            long: falls to the neck.
        glasses, moustache, beard: worn or not.
        gaze: where the eyes look, -1 to 1.
        light: direction of the light, x and y, and its share of all light, 0 to 1.
        blur: of the lens, in pixels of the image; contrast; grain: standard deviation of the noise.
    """

    yaw: float
    pitch: float
    roll: float
    size: float
    centre: tuple[float, float]
    jaw: float
    tall: float
    skin: float
    hair: float
    back: tuple[float, float]
    cloth: float
    eye: float
    brow: float
    lip: float
    parting: float
    fringe: float
    long: bool
    glasses: bool
    moustache: bool
    beard: bool
    gaze: float
    light: tuple[float, float, float]
    blur: float
    contrast: float
    grain: float


def draw(mood: Mood, look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The face as an image, uint8 [48,48]; `rng` gives the grain."""
    at = _Place(look)
    canvas = _backdrop(look)
    _head(canvas, at, look)
    for side in (0, 1):
        _eye(canvas, at, look, mood, side)
    _nose(canvas, at, look, mood)
    _mouth(canvas, at, look, mood)
    for side in (0, 1):
        _brow(canvas, at, look, mood, side)
    _hair(canvas, at, look)
    if look.glasses:
        _glasses(canvas, at, look)
    return _photograph(canvas, look, rng)


class _Place:
    """Where points of the face lie on the canvas, by the head's pose."""

    def __init__(self, look: Look) -> None:
        self.unit = look.size * _FINE
        self.centre = complex(*look.centre) * _FINE
        self.turn = complex(math.cos(look.roll), math.sin(look.roll))
        self._yaw = math.cos(look.yaw), math.sin(look.yaw)
        self._pitch = math.cos(look.pitch), math.sin(look.pitch)

    def flat(self, x: Numbers | float, y: Numbers | float) -> Points:
        """Points that do not turn sideways with the head, such as its outline."""
        return np.asarray((x + 1j * np.asarray(y)) * (self.unit * self.turn) + self.centre)

    def upright(self, corners: Sequence[tuple[float, float]]) -> Points:
        """Corners of what does not move with the head at all, only with its place."""
        return np.array([complex(x, y) for x, y in corners]) * self.unit + self.centre

    def __call__(self, x: Numbers | float, y: Numbers | float) -> Points:
        """Points on the face's front, which is half an egg."""
        x, y = np.asarray(x), np.asarray(y)
        depth = np.sqrt(np.maximum(1.05 - x * x - y * y / 2.25, 0.02))
        return self.flat(x * self._yaw[0] + depth * self._yaw[1], y * self._pitch[0] + depth * self._pitch[1])


def _fixed(points: Points) -> NDArray[np.int32]:
    """As OpenCV wants them, with `_SHIFT` binary places, int32 [P,2]."""
    return np.rint(np.ascontiguousarray(points).view(np.float64) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 2)


def _fill(canvas: Canvas, points: Points, tone: float) -> None:
    cv2.fillPoly(canvas, [_fixed(points)], _tone(tone), cv2.LINE_AA, _SHIFT)


def _stroke(canvas: Canvas, points: Points, tone: float, width: float) -> None:
    cv2.polylines(canvas, [_fixed(points)], False, _tone(tone), max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _tone(tone: float) -> tuple[float]:
    return (min(255.0, max(0.0, tone)),)


def _backdrop(look: Look) -> Canvas:
    """A wall that is lighter on one side."""
    wall = np.linspace(*look.back, _CANVAS).clip(0, 255).astype(np.uint8)
    return np.repeat(wall[None], _CANVAS, axis=0)


def _head(canvas: Canvas, at: _Place, look: Look) -> None:
    """Hair behind, neck, clothes, ears, and the skin of the face."""
    if look.long:
        _fill(canvas, at.upright(_LONG_HAIR), look.hair * 0.9)
    _fill(canvas, at.upright(_SHOULDERS), look.cloth)
    _fill(canvas, at.upright(_NECK), look.skin * 0.72)
    for side in (-1, 1):
        # The ear on the side that the head turns to goes out of sight.
        out = 1.0 - 0.35 * max(0.0, side * look.yaw)
        _fill(canvas, at.flat(side * out + 0.13 * _COS, 0.12 + 0.27 * _SIN), look.skin * 0.85)
    down = np.maximum(_SIN, 0)
    width = 1 - (1 - 0.78 * look.jaw) * down**1.6
    outline = at.flat(width * _COS + 0.06 * look.yaw * down, 1.3 * look.tall * _SIN)
    _fill(canvas, outline, look.skin)
    if look.beard:  # along the jaw from ear to ear, up to the mouth in the middle
        x = np.linspace(-0.97, 0.97, 15)
        jaw = outline[(_SIN > -0.01) & (_ROUND < 3.2)]
        _fill(canvas, np.concatenate([at(x, 0.93 - 0.95 * np.abs(x) ** 2.5), jaw]), look.hair)


def _eye(canvas: Canvas, at: _Place, look: Look, mood: Mood, side: int) -> None:
    """White, iris and lids of one eye."""
    middle = -0.42 if side == 0 else 0.42
    open_ = min(1.8, max(0.12, mood.lid[side]))
    arch = 1 - _ACROSS**2
    x = middle + 0.23 * _ACROSS
    upper = -0.03 - 0.125 * open_ * arch
    lower = -0.03 + (0.10 * min(open_, 1.3) - 0.09 * mood.cheek) * arch
    lower = np.maximum(lower, upper + 0.02 * arch)
    _fill(canvas, at(middle + 0.29 * _COS, -0.04 + 0.21 * _SIN), look.skin * 0.9)
    almond = np.concatenate([at(x, upper), at(x, lower)[::-1]])
    _fill(canvas, almond, 0.55 * look.skin + 105)
    # The iris is cut by the lids: it is drawn on a copy and taken over inside the almond only.
    inside = np.zeros_like(canvas)
    _fill(inside, almond, 255)
    pupil = canvas.copy()
    iris_x, iris_y = middle + 0.09 * look.gaze, -0.045
    _fill(pupil, at(iris_x + 0.105 * _COS, iris_y + 0.115 * _SIN), 35 + 25 * (1 - look.eye))
    _fill(pupil, at(iris_x - 0.035 + 0.03 * _COS, iris_y - 0.045 + 0.03 * _SIN), 225)
    cv2.copyTo(pupil, inside, canvas)
    _stroke(canvas, at(x, upper), look.skin * 0.28 * look.eye, 0.055 * at.unit)
    _stroke(canvas, at(x, lower), look.skin * 0.62, 0.03 * at.unit)
    if mood.cheek > 0.35:  # the fold that a real smile makes under the eye
        _stroke(canvas, at(x, lower + 0.09), look.skin * 0.78, 0.03 * at.unit)


def _brow(canvas: Canvas, at: _Place, look: Look, mood: Mood, side: int) -> None:
    outward = -1 if side == 0 else 1
    along = np.linspace(0, 1, 9)
    x = outward * (0.17 + 0.52 * along)
    rise = mood.brow_in[side] * (1 - along) + mood.brow_out[side] * along
    y = -0.36 - rise - 0.06 * np.sin(np.pi * along)
    half = (0.065 - 0.04 * along) * look.brow
    tone = min(look.hair, look.skin * 0.55)
    _fill(canvas, np.concatenate([at(x, y - half), at(x, y + half)[::-1]]), tone)
    if mood.brow_in[side] < -0.06:  # lowered brows pinch the skin between them
        _stroke(canvas, at(outward * 0.07, np.array([-0.42, -0.24])), look.skin * 0.7, 0.035 * at.unit)


def _nose(canvas: Canvas, at: _Place, look: Look, mood: Mood) -> None:
    shaded = -1 if look.light[0] > 0 else 1  # the ridge throws its shadow away from the light
    lift = 0.05 * mood.sneer
    ridge = at(shaded * np.array([0.07, 0.09, 0.15, 0.17]), np.array([-0.1, 0.15, 0.32, 0.4]) - lift)
    _stroke(canvas, ridge, look.skin * 0.74, 0.05 * at.unit)
    for side in (-1, 1):
        nostril = at(side * 0.085 + 0.05 * _COS, 0.41 - lift + 0.025 * _SIN)
        _fill(canvas, nostril, look.skin * 0.4)
        if mood.sneer > 0.25:
            _stroke(
                canvas, at(side * np.array([0.03, 0.13]), np.array([0.02, 0.08])), look.skin * 0.68, 0.035 * at.unit
            )
            _stroke(
                canvas, at(side * np.array([0.19, 0.25]), np.array([0.28, 0.42])), look.skin * 0.66, 0.035 * at.unit
            )


def _mouth(canvas: Canvas, at: _Place, look: Look, mood: Mood) -> None:
    """Lips, what is seen between them, and the folds that a smile or a sneer draws beside them."""
    half = 0.36 * mood.wide
    x = half * _ACROSS
    left, right = mood.corner
    raised = np.where(_ACROSS < 0, left, right) * _ACROSS**2
    arch = 1 - np.abs(_ACROSS) ** 2.2
    middle = 0.74 + 0.3 * max(left, right, 0.0) * 0.5
    seam = middle - raised
    top = seam - (0.30 * mood.gape + 0.10 * mood.sneer) * arch
    bottom = seam + 0.70 * mood.gape * arch
    lip = look.skin * (1 - 0.38 * look.lip)
    bow = 0.075 * arch * (1 - 0.25 * np.cos(2 * np.pi * _ACROSS))
    _fill(canvas, np.concatenate([at(x, top - bow), at(x, bottom + 0.11 * arch)[::-1]]), lip)
    if mood.gape > 0.03 or mood.sneer > 0.3:
        _fill(canvas, np.concatenate([at(x, top), at(x, bottom)[::-1]]), 28)
        if mood.teeth > 0.15:
            edge = top + (bottom - top) * min(0.85, 0.75 * mood.teeth)
            inner = slice(1, -1)
            _fill(
                canvas,
                np.concatenate([at(x[inner], top[inner]), at(x[inner], edge[inner])[::-1]]),
                0.35 * look.skin + 150,
            )
    else:
        _stroke(canvas, at(x, seam), look.skin * 0.3, 0.045 * at.unit)
    if look.moustache:
        _fill(
            canvas,
            np.concatenate([at(1.1 * x, top - bow - 0.01 + 0.03 * _ACROSS**2), at(0.75 * x, top - bow - 0.14)[::-1]]),
            look.hair,
        )
    for side, corner in ((-1, left), (1, right)):
        fold = max(corner * 3.0, mood.sneer * 0.8)
        if fold > 0.3:
            xs = side * np.array([0.22, 0.36, 0.43 + 0.04 * fold])
            _stroke(canvas, at(xs, np.array([0.36, 0.5, 0.72])), look.skin * (1 - 0.26 * min(fold, 1)), 0.035 * at.unit)


def _hair(canvas: Canvas, at: _Place, look: Look) -> None:
    """The hair in front: a cap that parts at one place and hangs lower on the wider side."""
    if look.fringe < 0.05:
        return
    x = np.linspace(-1, 1, 25)
    wider = -np.sign(look.parting) if look.parting else 1.0
    reach = np.clip((x - look.parting) * wider, 0, None) / (1 + abs(look.parting))
    line = -0.78 + 0.45 * look.fringe * np.sqrt(reach) + 0.25 * np.abs(x) ** 4
    line = np.where(reach > 0, line, -0.86 + 0.55 * np.abs(x - look.parting) ** 1.5)
    crown = at.flat(1.06 * _COS, 1.4 * look.tall * _SIN)[_SIN < 0.05]
    front = at(0.99 * x, np.minimum(line, 0.05))
    # Both run left to right; the crown's points start at the right, so it is joined backwards.
    order = np.argsort((crown / at.turn).real)
    _fill(canvas, np.concatenate([front, crown[order][::-1]]), look.hair)
    strand = at(np.array([look.parting, look.parting * 0.8]), np.array([-0.85, -1.2]))
    _stroke(canvas, strand, look.hair * 0.72, 0.03 * at.unit)


def _glasses(canvas: Canvas, at: _Place, look: Look) -> None:
    for middle in (-0.43, 0.43):
        rim = at(middle + 0.33 * _COS, -0.01 + 0.26 * _SIN)
        _stroke(canvas, np.concatenate([rim, rim[:1]]), 30, 0.05 * at.unit)
    _stroke(canvas, at(np.array([-0.11, 0.11]), np.array([-0.05, -0.05])), 30, 0.05 * at.unit)


def _photograph(canvas: Canvas, look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light on the head, the lens, and the grain of the sensor."""
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    x, y = (x - look.centre[0]) / look.size, (y - look.centre[1]) / look.size
    # The normal of an egg at each pixel; outside of it the wall, which faces the viewer.
    depth = 1 - (x / 1.1) ** 2 - (y / 1.5) ** 2
    towards = np.sqrt(np.maximum(depth, 0.0))
    lx, ly, share = look.light
    lz = math.sqrt(max(0.05, 1 - lx**2 - ly**2))
    lit = np.maximum(x / 1.1 * lx + y / 1.5 * ly + towards * lz, 0.0)
    shade = (1 - share) + 1.25 * share * lit
    wall = (1 - share) + 1.25 * share * lz
    edge = np.clip(depth / 0.12, 0, 1)
    image = small * (edge * shade + (1 - edge) * (0.5 * wall + 0.5))
    if look.blur > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), look.blur)
    image = (image - 115) * look.contrast + 115 + rng.normal(0, look.grain, image.shape)
    return np.asarray(image.round().clip(0, 255), np.uint8)
