"""Renders one synthetic face from its parameters.

A face is drawn flat at four times its final size, shaded like an egg, and reduced by area. In face coordinates the
bridge of the nose is at (0, 0), the temples are at x = -1 and 1, the crown is at y = -1.3 and the chin at y = 1.3; y
points downwards. Left and right are those of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.data.synthetic_parameters import Appearance, Expression

Numbers = NDArray[np.float64]
# [P], x + iy: rotation, scaling and translation are one multiplication and one sum.
Points = NDArray[np.complexfloating[Any, Any]]
Canvas = NDArray[np.uint8]

_SCALE = 4  # of the drawing relative to the image
_CANVAS = SIDE * _SCALE
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws with
_ROUND = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_COS, _SIN = np.cos(_ROUND), np.sin(_ROUND)
_ACROSS = np.linspace(-1, 1, 13)
_LONG_HAIR = ((-1.22, 1.5), (-1.28, 0), (-1.0, -1.0), (0, -1.5), (1.0, -1.0), (1.28, 0), (1.22, 1.5))
_SHOULDERS = ((-2.4, 3.5), (-2.0, 1.9), (-0.5, 1.45), (0.5, 1.45), (2.0, 1.9), (2.4, 3.5))
_NECK = ((-0.5, 0.7), (0.5, 0.7), (0.55, 1.7), (0, 2.0), (-0.55, 1.7))


def draw(expression: Expression, appearance: Appearance, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Render a face as a gray image, uint8 [48,48].

    Args:
        expression: Facial expression.
        appearance: Appearance of the person and conditions of the photo.
        rng: Random number generator of the sensor noise.
    """
    project = _Projection(appearance)
    canvas = _backdrop(appearance)
    _head(canvas, project, appearance)
    for side in (0, 1):
        _eye(canvas, project, appearance, expression, side)
    _nose(canvas, project, appearance, expression)
    _mouth(canvas, project, appearance, expression)
    for side in (0, 1):
        _brow(canvas, project, appearance, expression, side)
    _hair(canvas, project, appearance)
    if appearance.glasses:
        _glasses(canvas, project, appearance)
    return _photograph(canvas, appearance, rng)


class _Projection:
    """Projection of face coordinates to the canvas, by the pose of the head."""

    def __init__(self, appearance: Appearance) -> None:
        self.unit = appearance.head_size * _SCALE
        self.center = complex(*appearance.center) * _SCALE
        self.turn = complex(math.cos(appearance.roll), math.sin(appearance.roll))
        self._yaw = math.cos(appearance.yaw), math.sin(appearance.yaw)
        self._pitch = math.cos(appearance.pitch), math.sin(appearance.pitch)

    def flat(self, x: Numbers | float, y: Numbers | float) -> Points:
        """Project points that are not affected by yaw and pitch, such as the outline of the head."""
        return np.asarray((x + 1j * np.asarray(y)) * (self.unit * self.turn) + self.center)

    def upright(self, corners: Sequence[tuple[float, float]]) -> Points:
        """Project points that move with the position of the head but not with its pose."""
        return np.array([complex(x, y) for x, y in corners]) * self.unit + self.center

    def __call__(self, x: Numbers | float, y: Numbers | float) -> Points:
        """Project points on the front of the face, which is half an egg."""
        x, y = np.asarray(x), np.asarray(y)
        depth = np.sqrt(np.maximum(1.05 - x * x - y * y / 2.25, 0.02))
        return self.flat(x * self._yaw[0] + depth * self._yaw[1], y * self._pitch[0] + depth * self._pitch[1])


def _fixed(points: Points) -> NDArray[np.int32]:
    """Return points as OpenCV's fixed-point coordinates with `_SHIFT` fractional bits, int32 [P,2]."""
    return np.rint(np.ascontiguousarray(points).view(np.float64) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 2)


def _fill(canvas: Canvas, points: Points, tone: float) -> None:
    cv2.fillPoly(canvas, [_fixed(points)], _tone(tone), cv2.LINE_AA, _SHIFT)


def _stroke(canvas: Canvas, points: Points, tone: float, width: float) -> None:
    cv2.polylines(canvas, [_fixed(points)], False, _tone(tone), max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _tone(tone: float) -> tuple[float]:
    return (min(255.0, max(0.0, tone)),)


def _backdrop(appearance: Appearance) -> Canvas:
    """Return a canvas with a wall that is lighter on one side."""
    wall = np.linspace(*appearance.background, _CANVAS).clip(0, 255).astype(np.uint8)
    return np.repeat(wall[None], _CANVAS, axis=0)


def _head(canvas: Canvas, project: _Projection, appearance: Appearance) -> None:
    """Draw the hair behind the head, neck, clothes, ears, and the skin of the face."""
    if appearance.long_hair:
        _fill(canvas, project.upright(_LONG_HAIR), appearance.hair * 0.9)
    _fill(canvas, project.upright(_SHOULDERS), appearance.clothes)
    _fill(canvas, project.upright(_NECK), appearance.skin * 0.72)
    for side in (-1, 1):
        # The head hides the ear on the side that it turns to.
        out = 1.0 - 0.35 * max(0.0, side * appearance.yaw)
        _fill(canvas, project.flat(side * out + 0.13 * _COS, 0.12 + 0.27 * _SIN), appearance.skin * 0.85)
    down = np.maximum(_SIN, 0)
    width = 1 - (1 - 0.78 * appearance.jaw_width) * down**1.6
    outline = project.flat(width * _COS + 0.06 * appearance.yaw * down, 1.3 * appearance.head_height * _SIN)
    _fill(canvas, outline, appearance.skin)
    if appearance.beard:  # along the jaw from ear to ear, up to the mouth in the middle
        x = np.linspace(-0.97, 0.97, 15)
        jaw = outline[(_SIN > -0.01) & (_ROUND < 3.2)]
        _fill(canvas, np.concatenate([project(x, 0.93 - 0.95 * np.abs(x) ** 2.5), jaw]), appearance.hair)


def _eye(canvas: Canvas, project: _Projection, appearance: Appearance, expression: Expression, side: int) -> None:
    """Draw white, iris and lids of one eye."""
    middle = -0.42 if side == 0 else 0.42
    open_ = min(1.8, max(0.12, expression.eye_opening[side]))
    arch = 1 - _ACROSS**2
    x = middle + 0.23 * _ACROSS
    upper = -0.03 - 0.125 * open_ * arch
    lower = -0.03 + (0.10 * min(open_, 1.3) - 0.09 * expression.cheek_raise) * arch
    lower = np.maximum(lower, upper + 0.02 * arch)
    _fill(canvas, project(middle + 0.29 * _COS, -0.04 + 0.21 * _SIN), appearance.skin * 0.9)
    almond = np.concatenate([project(x, upper), project(x, lower)[::-1]])
    _fill(canvas, almond, 0.55 * appearance.skin + 105)
    # The lids cover part of the iris: it is drawn on a copy, which is copied inside the almond only.
    inside = np.zeros_like(canvas)
    _fill(inside, almond, 255)
    pupil = canvas.copy()
    iris_x, iris_y = middle + 0.09 * appearance.gaze, -0.045
    _fill(pupil, project(iris_x + 0.105 * _COS, iris_y + 0.115 * _SIN), 35 + 25 * (1 - appearance.eye_contrast))
    _fill(pupil, project(iris_x - 0.035 + 0.03 * _COS, iris_y - 0.045 + 0.03 * _SIN), 225)
    cv2.copyTo(pupil, inside, canvas)
    _stroke(canvas, project(x, upper), appearance.skin * 0.28 * appearance.eye_contrast, 0.055 * project.unit)
    _stroke(canvas, project(x, lower), appearance.skin * 0.62, 0.03 * project.unit)
    if expression.cheek_raise > 0.35:  # the fold under the eye of a Duchenne smile
        _stroke(canvas, project(x, lower + 0.09), appearance.skin * 0.78, 0.03 * project.unit)


def _brow(canvas: Canvas, project: _Projection, appearance: Appearance, expression: Expression, side: int) -> None:
    outward = -1 if side == 0 else 1
    along = np.linspace(0, 1, 9)
    x = outward * (0.17 + 0.52 * along)
    rise = expression.brow_in[side] * (1 - along) + expression.brow_out[side] * along
    y = -0.36 - rise - 0.06 * np.sin(np.pi * along)
    half = (0.065 - 0.04 * along) * appearance.brow_thickness
    tone = min(appearance.hair, appearance.skin * 0.55)
    _fill(canvas, np.concatenate([project(x, y - half), project(x, y + half)[::-1]]), tone)
    if expression.brow_in[side] < -0.06:  # lowered brows pinch the skin between them
        _stroke(canvas, project(outward * 0.07, np.array([-0.42, -0.24])), appearance.skin * 0.7, 0.035 * project.unit)


def _nose(canvas: Canvas, project: _Projection, appearance: Appearance, expression: Expression) -> None:
    shaded = -1 if appearance.light[0] > 0 else 1  # the shadow of the ridge is on the side away from the light
    lift = 0.05 * expression.sneer
    ridge = project(shaded * np.array([0.07, 0.09, 0.15, 0.17]), np.array([-0.1, 0.15, 0.32, 0.4]) - lift)
    _stroke(canvas, ridge, appearance.skin * 0.74, 0.05 * project.unit)
    for side in (-1, 1):
        nostril = project(side * 0.085 + 0.05 * _COS, 0.41 - lift + 0.025 * _SIN)
        _fill(canvas, nostril, appearance.skin * 0.4)
        if expression.sneer > 0.25:
            _stroke(
                canvas,
                project(side * np.array([0.03, 0.13]), np.array([0.02, 0.08])),
                appearance.skin * 0.68,
                0.035 * project.unit,
            )
            _stroke(
                canvas,
                project(side * np.array([0.19, 0.25]), np.array([0.28, 0.42])),
                appearance.skin * 0.66,
                0.035 * project.unit,
            )


def _mouth(canvas: Canvas, project: _Projection, appearance: Appearance, expression: Expression) -> None:
    """Draw lips, teeth, and the folds of a smile or a sneer beside the mouth."""
    half = 0.36 * expression.mouth_width
    x = half * _ACROSS
    left, right = expression.mouth_corner
    raised = np.where(_ACROSS < 0, left, right) * _ACROSS**2
    arch = 1 - np.abs(_ACROSS) ** 2.2
    middle = 0.74 + 0.3 * max(left, right, 0.0) * 0.5
    seam = middle - raised
    top = seam - (0.30 * expression.mouth_opening + 0.10 * expression.sneer) * arch
    bottom = seam + 0.70 * expression.mouth_opening * arch
    lip = appearance.skin * (1 - 0.38 * appearance.lip_contrast)
    bow = 0.075 * arch * (1 - 0.25 * np.cos(2 * np.pi * _ACROSS))
    _fill(canvas, np.concatenate([project(x, top - bow), project(x, bottom + 0.11 * arch)[::-1]]), lip)
    if expression.mouth_opening > 0.03 or expression.sneer > 0.3:
        _fill(canvas, np.concatenate([project(x, top), project(x, bottom)[::-1]]), 28)
        if expression.teeth > 0.15:
            edge = top + (bottom - top) * min(0.85, 0.75 * expression.teeth)
            inner = slice(1, -1)
            _fill(
                canvas,
                np.concatenate([project(x[inner], top[inner]), project(x[inner], edge[inner])[::-1]]),
                0.35 * appearance.skin + 150,
            )
    else:
        _stroke(canvas, project(x, seam), appearance.skin * 0.3, 0.045 * project.unit)
    if appearance.moustache:
        _fill(
            canvas,
            np.concatenate(
                [project(1.1 * x, top - bow - 0.01 + 0.03 * _ACROSS**2), project(0.75 * x, top - bow - 0.14)[::-1]]
            ),
            appearance.hair,
        )
    for side, corner in ((-1, left), (1, right)):
        fold = max(corner * 3.0, expression.sneer * 0.8)
        if fold > 0.3:
            xs = side * np.array([0.22, 0.36, 0.43 + 0.04 * fold])
            _stroke(
                canvas,
                project(xs, np.array([0.36, 0.5, 0.72])),
                appearance.skin * (1 - 0.26 * min(fold, 1)),
                0.035 * project.unit,
            )


def _hair(canvas: Canvas, project: _Projection, appearance: Appearance) -> None:
    """Draw the hair in front: a cap with a parting, longer on the wider side."""
    if appearance.fringe_length < 0.05:
        return
    x = np.linspace(-1, 1, 25)
    wider = -np.sign(appearance.parting) if appearance.parting else 1.0
    reach = np.clip((x - appearance.parting) * wider, 0, None) / (1 + abs(appearance.parting))
    line = -0.78 + 0.45 * appearance.fringe_length * np.sqrt(reach) + 0.25 * np.abs(x) ** 4
    line = np.where(reach > 0, line, -0.86 + 0.55 * np.abs(x - appearance.parting) ** 1.5)
    crown = project.flat(1.06 * _COS, 1.4 * appearance.head_height * _SIN)[_SIN < 0.05]
    front = project(0.99 * x, np.minimum(line, 0.05))
    # Both are sorted from left to right, and the crown is appended in reverse.
    order = np.argsort((crown / project.turn).real)
    _fill(canvas, np.concatenate([front, crown[order][::-1]]), appearance.hair)
    strand = project(np.array([appearance.parting, appearance.parting * 0.8]), np.array([-0.85, -1.2]))
    _stroke(canvas, strand, appearance.hair * 0.72, 0.03 * project.unit)


def _glasses(canvas: Canvas, project: _Projection, appearance: Appearance) -> None:
    for middle in (-0.43, 0.43):
        rim = project(middle + 0.33 * _COS, -0.01 + 0.26 * _SIN)
        _stroke(canvas, np.concatenate([rim, rim[:1]]), 30, 0.05 * project.unit)
    _stroke(canvas, project(np.array([-0.11, 0.11]), np.array([-0.05, -0.05])), 30, 0.05 * project.unit)


def _photograph(canvas: Canvas, appearance: Appearance, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the canvas as a photo: with light on the head, lens blur and sensor noise."""
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    x, y = (x - appearance.center[0]) / appearance.head_size, (y - appearance.center[1]) / appearance.head_size
    # The surface normal at each pixel is that of an egg; outside it is that of the wall, which faces the camera.
    depth = 1 - (x / 1.1) ** 2 - (y / 1.5) ** 2
    normal_z = np.sqrt(np.maximum(depth, 0.0))
    lx, ly, share = appearance.light
    lz = math.sqrt(max(0.05, 1 - lx**2 - ly**2))
    lit = np.maximum(x / 1.1 * lx + y / 1.5 * ly + normal_z * lz, 0.0)
    shade = (1 - share) + 1.25 * share * lit
    wall = (1 - share) + 1.25 * share * lz
    edge = np.clip(depth / 0.12, 0, 1)
    image = small * (edge * shade + (1 - edge) * (0.5 * wall + 0.5))
    if appearance.blur > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), appearance.blur)
    image = (image - 115) * appearance.contrast + 115 + rng.normal(0, appearance.noise, image.shape)
    return np.asarray(image.round().clip(0, 255), np.uint8)
