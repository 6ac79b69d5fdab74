"""Images annotated with boxes, labels and probability bars.

All sizes follow the face and the image, so that a snapshot and a print look alike. Where panels with bars would hide
faces or each other, a tag takes their place: the label over one strip that is divided as the probabilities are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Box
from mien.errors import MienError
from mien.recognition.annotation import text as text_drawing
from mien.recognition.annotation.layout import Rectangle, place
from mien.recognition.annotation.palette import Color, label_color
from mien.recognition.results import Analysis, Face

Pixels = NDArray[np.uint8]

MIN_READABLE_SIDE = 320  # pixels of the longer side, below which `enlarged` makes room for letters
_INK, _FAINT, _PANEL, _TRACK = (255, 255, 255), (205, 210, 216), (20, 23, 28), (58, 63, 71)
_OPAQUE = 0.84  # of a panel: dark enough for white letters over snow, and the image still shines through
_SMALLEST = 10.0  # pixels of a line of text that can be read
_STAMP = 96  # pixels of the shorter side, below which a rim around the frame would hide the face
_SHIFT = 3  # OpenCV's fixed point: coordinates in eighths of a pixel
_MAY_HIDE = 0.02  # of the faces' area, before panels become tags; of a lone face, a corner
_MAY_HIDE_LONE = 0.08


@dataclass(frozen=True)
class _Panel:
    """What one face's panel says, measured in pixels before it is placed."""

    face: Face
    box: Rectangle
    title: str
    text: float
    bars: bool
    names: int
    wide: float
    high: float
    line: float


def annotate(
    image_HW3: Pixels,
    found: Analysis | Sequence[Face],
    *,
    captions: Sequence[str] = (),
    bars: bool | None = None,
) -> Pixels:
    """The image with a frame and a panel for each face; a copy, the image itself is left as it is.

    Args:
        image_HW3: BGR, uint8 [H,W,3].
        found: what was read in it.
        captions: what goes before each face's label, such as a person's number; none, or one for each face.
        bars: whether each face gets a bar for every class; by default where they hide no face.

    Raises:
        MienError: an image of another type or shape, or captions that are not as many as the faces.
    """
    if not isinstance(image_HW3, np.ndarray) or image_HW3.dtype != np.uint8 or image_HW3.shape[2:] != (3,):
        raise MienError(f"annotate takes an image as uint8 [H,W,3], blue, green, red, got {_in_words(image_HW3)}")
    faces = found.faces if isinstance(found, Analysis) else tuple(found)
    if captions and len(captions) != len(faces):
        raise MienError(f"annotate takes a caption for each face: got {len(captions)} for {len(faces)}")
    drawn_HW3 = np.array(image_HW3, order="C")
    if not faces:
        return drawn_HW3
    panels, places = _laid_out(faces, captions or [""] * len(faces), drawn_HW3.shape[:2], bars)
    for panel in panels:
        _frame(drawn_HW3, panel)
    for panel, at in zip(panels, places, strict=True):
        _draw(drawn_HW3, panel, at)
    return drawn_HW3


def enlarged(image_HW3: Pixels, found: Analysis, least: int = MIN_READABLE_SIDE) -> tuple[Pixels, Analysis]:
    """The image, and what was found in it, a whole number of times larger if its longer side is below `least`.

    So that letters find room in an image of a stamp's size; others come back as they are.
    """
    times = math.ceil(least / max(*image_HW3.shape[:2], 1))
    if times <= 1:
        return image_HW3, found
    high, wide = image_HW3.shape[0] * times, image_HW3.shape[1] * times
    larger_HW3 = cv2.resize(image_HW3, (wide, high), interpolation=cv2.INTER_CUBIC)
    faces = tuple(
        replace(
            face,
            box=Box(*(times * side for side in (face.box.left, face.box.top, face.box.width, face.box.height))),
            landmarks=tuple((times * x, times * y) for x, y in face.landmarks),
        )
        for face in found.faces
    )
    return np.asarray(larger_HW3, np.uint8), replace(found, width=wide, height=high, faces=faces)


def _laid_out(
    faces: Sequence[Face], captions: Sequence[str], shape: tuple[int, int], bars: bool | None
) -> tuple[list[_Panel], list[Rectangle]]:
    """Panels with bars for all faces, or tags for all: one image, one look."""
    high, wide = shape
    for with_bars in (True, False) if bars is None else (bars,):
        panels = [_measure(f, c, high, wide, with_bars) for f, c in zip(faces, captions, strict=True)]
        boxes, sizes = [p.box for p in panels], [(p.wide, p.high) for p in panels]
        places, hidden = place(boxes, sizes, [3.5 * p.line for p in panels], wide, high)
        fits = all(p.wide <= wide and p.high <= high for p in panels)
        if fits and hidden <= (_MAY_HIDE_LONE if len(faces) == 1 else _MAY_HIDE):
            break
    return panels, places


def _measure(face: Face, caption: str, high: int, wide: int, bars: bool) -> _Panel:
    box = _inside(face.box, high, wide)
    shorter, longer = min(high, wide), max(high, wide)
    text = min(max(0.095 * min(box[2:]), _SMALLEST, 0.016 * shorter), max(_SMALLEST, 0.03 * shorter))
    line = min(max(0.02 * min(box[2:]), 1.0, 0.0018 * longer), max(1.0, 0.005 * longer))
    percent = f"{100 * face.confidence:.0f} %"
    title = " ".join(word for word in (caption, face.label, percent) if word)
    wide_title = text_drawing.width(title, 1.1 * text, bold=True) + 1.2 * text
    if not bars:
        return _Panel(face, box, title, text, False, 0, wide_title, 2.2 * text, line)
    names = max(text_drawing.width(name, text) for name in face.labels)
    inner = max(names + 6.8 * text + _figures(text), wide_title - 1.2 * text)
    return _Panel(face, box, title, text, True, names, inner + 1.2 * text, (2.3 + 1.3 * len(face.labels)) * text, line)


def _inside(box: Box, high: int, wide: int) -> Rectangle:
    """What of the box lies in the image, at least a pixel."""
    left, top = min(max(box.left, 0), wide - 1), min(max(box.top, 0), high - 1)
    return left, top, max(min(box.right, wide) - left, 1), max(min(box.bottom, high) - top, 1)


def _frame(image_HW3: Pixels, panel: _Panel) -> None:
    """The face's frame in its label's color, with a dark rim, so that it stands out on light and on dark."""
    thick = max(1, round(panel.line))
    inset = thick / 2
    left, top, wide, high = panel.box
    at = (left + inset, top + inset, max(wide - thick, 1), max(high - thick, 1))
    outline = _rounded(at, 0.06 * min(wide, high))
    color = label_color(panel.face.label, panel.face.labels)
    rim = 0 if min(image_HW3.shape[:2]) < _STAMP else max(1, thick // 2)
    for width, shade in ((thick + 2 * rim, _PANEL), (thick, color)):
        cv2.polylines(image_HW3, [outline], True, shade[::-1], width, cv2.LINE_AA, _SHIFT)


def _draw(image_HW3: Pixels, panel: _Panel, at: Rectangle) -> None:
    face, text = panel.face, panel.text
    if panel.wide > image_HW3.shape[1] or panel.high > image_HW3.shape[0]:
        left, top, wide, high = panel.box  # no room for letters: the strip alone, at the foot of the frame
        _strip(image_HW3, face, (left, top + 0.88 * high, wide, 0.12 * high))
        return
    _sheet(image_HW3, at, 0.35 * text)
    left, top, wide, _ = at
    x, row = left + 0.6 * text, top + (1.15 if panel.bars else 0.95) * text
    text_drawing.write(image_HW3, panel.title, x, row, 1.1 * text, _INK, bold=True)
    if not panel.bars:
        _strip(image_HW3, face, (x, top + 1.65 * text, wide - 1.2 * text, 0.3 * text))
        return
    start, end = x + panel.names + 0.6 * text, left + wide - 1.0 * text - _figures(text)
    for number, (name, likely) in enumerate(zip(face.labels, face.probabilities, strict=True)):
        row = top + (2.55 + 1.3 * number) * text
        ink, bold = (_INK, True) if likely == face.confidence else (_FAINT, False)
        text_drawing.write(image_HW3, name, x, row, text, ink)
        lane = (start, row - 0.36 * text, end - start, 0.72 * text)
        _bar(image_HW3, lane, _TRACK)
        _bar(image_HW3, (lane[0], lane[1], likely * lane[2], lane[3]), label_color(name, face.labels))
        figure = f"{100 * likely:.0f} %"
        told = text_drawing.width(figure, text, bold=bold)
        text_drawing.write(image_HW3, figure, left + wide - 0.6 * text - told, row, text, ink, bold=bold)


def _figures(text: float) -> int:
    """How wide the widest percentage is, so that no bar runs into it."""
    return text_drawing.width("100 %", text, bold=True)


def _strip(image_HW3: Pixels, face: Face, at: Rectangle) -> None:
    """One bar, divided as the probabilities are."""
    left, top, wide, high = at
    _bar(image_HW3, at, _TRACK)
    for name, likely in zip(face.labels, face.probabilities, strict=True):
        _bar(image_HW3, (left, top, likely * wide, high), label_color(name, face.labels))
        left += likely * wide


def _bar(image_HW3: Pixels, at: Rectangle, color: Color) -> None:
    left, top, wide, high = at
    x, y = round(left), round(top)
    right, bottom = round(left + wide), max(round(top + high), y + 1)
    if right > x:
        image_HW3[max(y, 0) : bottom, max(x, 0) : right] = color[::-1]


def _sheet(image_HW3: Pixels, at: Rectangle, radius: float) -> None:
    """A dark panel with round corners, through which the image still shines."""
    left, top, wide, high = at
    x, y = max(math.floor(left), 0), max(math.floor(top), 0)
    under_HW3 = image_HW3[y : math.ceil(top + high) + 1, x : math.ceil(left + wide) + 1]
    over_HW3 = under_HW3.copy()
    cv2.fillPoly(over_HW3, [_rounded((left - x, top - y, wide, high), radius)], _PANEL[::-1], cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(over_HW3, _OPAQUE, under_HW3, 1 - _OPAQUE, 0, dst=over_HW3)
    under_HW3[:] = over_HW3


def _rounded(at: Rectangle, radius: float) -> NDArray[np.int32]:
    """The outline of a rectangle with round corners, in eighths of a pixel."""
    left, top, wide, high = at
    r = min(radius, wide / 2, high / 2)
    turn_P = np.linspace(0, np.pi / 2, 7)
    corners = ((left + wide - r, top + high - r), (left + r, top + high - r), (left + r, top + r),
               (left + wide - r, top + r))  # fmt: skip
    points = [
        np.stack([x + r * np.cos(turn_P + i * np.pi / 2), y + r * np.sin(turn_P + i * np.pi / 2)], 1)
        for i, (x, y) in enumerate(corners)
    ]
    return np.asarray(np.round(np.concatenate(points) * (1 << _SHIFT)), np.int32)


def _in_words(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
