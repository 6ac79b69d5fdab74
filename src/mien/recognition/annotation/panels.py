"""Images annotated with boxes, labels and probability bars.

All sizes scale with the face and the image. Where panels with a bar per class would cover faces or each other, tags
replace them: the label above one bar that is divided in the ratio of the probabilities.
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
from mien.recognition.annotation.layout import Rectangle, place_panels
from mien.recognition.annotation.palette import Color, label_color
from mien.recognition.results import Analysis, Face, percentage

Pixels = NDArray[np.uint8]

MIN_READABLE_SIDE = 320  # pixels of the longer side, below which `enlarge` makes room for text
_INK, _FAINT, _PANEL, _TRACK = (255, 255, 255), (205, 210, 216), (20, 23, 28), (58, 63, 71)
_OPAQUE = 0.84  # of a panel: dark enough for white letters on any image, and still translucent
_MIN_TEXT = 10.0  # pixels of the smallest readable line of text
_MIN_OUTLINED = 96  # pixels of the shorter side, below which an outline of the frame would cover the face
_SHIFT = 3  # fractional bits of coordinates in OpenCV: eighths of a pixel
_MAX_COVERED = 0.02  # fraction of the faces' area that panels may cover before tags replace them
_MAX_COVERED_SINGLE = 0.08  # the same for an image with one face


@dataclass(frozen=True)
class _Panel:
    """Content and size in pixels of one face's panel, before it is placed."""

    face: Face
    box: Rectangle
    title: str
    text_size: float
    bars: bool
    names_width: int
    width: float
    height: float
    line: float  # width of the frame around the face


def annotate(
    image_HW3: Pixels,
    result: Analysis | Sequence[Face],
    *,
    captions: Sequence[str] = (),
    bars: bool | None = None,
) -> Pixels:
    """Return a copy of an image with a frame and a panel for each face.

    Args:
        image_HW3: BGR image, uint8 [H,W,3].
        result: Result of the image, or its faces.
        captions: Text before each face's label, such as a person's number; none, or one per face.
        bars: Whether each face gets a bar per class; by default if the panels cover no face.

    Raises:
        MienError: The image has another type or shape, or the number of captions is not that of the faces.

    Example:
        >>> import mien
        >>> from mien.imaging.load import read_image
        >>> from mien.recognition import sample
        >>> image_HW3 = read_image(sample())
        >>> annotate(image_HW3, mien.load("nano").analyze(image_HW3, order="bgr")).shape
        (512, 512, 3)
    """
    if not isinstance(image_HW3, np.ndarray) or image_HW3.dtype != np.uint8 or image_HW3.shape[2:] != (3,):
        raise MienError(f"annotate needs a BGR image as uint8 [H,W,3], got {_describe(image_HW3)}")
    faces = result.faces if isinstance(result, Analysis) else tuple(result)
    if captions and len(captions) != len(faces):
        raise MienError(f"annotate needs one caption per face, got {len(captions)} for {len(faces)} faces")
    drawn_HW3 = np.array(image_HW3, order="C")
    if not faces:
        return drawn_HW3
    panels, positions = _lay_out(faces, captions or [""] * len(faces), drawn_HW3.shape[:2], bars)
    for panel in panels:
        _draw_frame(drawn_HW3, panel)
    for panel, position in zip(panels, positions, strict=True):
        _draw_panel(drawn_HW3, panel, position)
    return drawn_HW3


def enlarge(image_HW3: Pixels, result: Analysis, least: int = MIN_READABLE_SIDE) -> tuple[Pixels, Analysis]:
    """Return an image and its result, enlarged by a whole factor if the longer side is below `least` pixels.

    Thus labels can be read in thumbnails. Larger images are returned as they are.

    Args:
        image_HW3: BGR image, uint8 [H,W,3].
        result: Result of the image.
        least: Least pixels of the longer side.
    """
    times = math.ceil(least / max(*image_HW3.shape[:2], 1))
    if times <= 1:
        return image_HW3, result
    height, width = image_HW3.shape[0] * times, image_HW3.shape[1] * times
    larger_HW3 = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_CUBIC)
    faces = tuple(
        replace(
            face,
            box=Box(*(times * side for side in (face.box.left, face.box.top, face.box.width, face.box.height))),
            landmarks=tuple((times * x, times * y) for x, y in face.landmarks),
        )
        for face in result.faces
    )
    return np.asarray(larger_HW3, np.uint8), replace(result, width=width, height=height, faces=faces)


def _lay_out(
    faces: Sequence[Face], captions: Sequence[str], shape: tuple[int, int], bars: bool | None
) -> tuple[list[_Panel], list[Rectangle]]:
    """Return panels with bars for all faces, or tags for all, and their positions."""
    height, width = shape
    for with_bars in (True, False) if bars is None else (bars,):
        panels = [_measure(f, c, height, width, with_bars) for f, c in zip(faces, captions, strict=True)]
        boxes, sizes = [p.box for p in panels], [(p.width, p.height) for p in panels]
        positions, covered = place_panels(boxes, sizes, [3.5 * p.line for p in panels], width, height)
        fits = all(p.width <= width and p.height <= height for p in panels)
        if fits and covered <= (_MAX_COVERED_SINGLE if len(faces) == 1 else _MAX_COVERED):
            break
    return panels, positions


def _measure(face: Face, caption: str, height: int, width: int, bars: bool) -> _Panel:
    """Return the panel of a face in an image of this height and width."""
    box = _clip(face.box, height, width)
    shorter, longer = min(height, width), max(height, width)
    size = min(max(0.095 * min(box[2:]), _MIN_TEXT, 0.016 * shorter), max(_MIN_TEXT, 0.03 * shorter))
    line = min(max(0.02 * min(box[2:]), 1.0, 0.0018 * longer), max(1.0, 0.005 * longer))
    percent = percentage(face.confidence)
    title = " ".join(word for word in (caption, face.label, percent) if word)
    title_width = text_drawing.width(title, 1.1 * size, bold=True) + 1.2 * size
    if not bars:
        return _Panel(face, box, title, size, False, 0, title_width, 2.2 * size, line)
    names_width = max(text_drawing.width(name, size) for name in face.labels)
    inner = max(names_width + 6.8 * size + _percent_width(size), title_width - 1.2 * size)
    panel_height = (2.3 + 1.3 * len(face.labels)) * size
    return _Panel(face, box, title, size, True, names_width, inner + 1.2 * size, panel_height, line)


def _clip(box: Box, height: int, width: int) -> Rectangle:
    """Return the part of a box inside the image, at least one pixel."""
    left, top = min(max(box.left, 0), width - 1), min(max(box.top, 0), height - 1)
    return left, top, max(min(box.right, width) - left, 1), max(min(box.bottom, height) - top, 1)


def _draw_frame(image_HW3: Pixels, panel: _Panel) -> None:
    """Draw the frame of a face in the color of its label, with a dark outline for contrast."""
    thickness = max(1, round(panel.line))
    inset = thickness / 2
    left, top, width, height = panel.box
    rectangle = (left + inset, top + inset, max(width - thickness, 1), max(height - thickness, 1))
    outline = _rounded(rectangle, 0.06 * min(width, height))
    color = label_color(panel.face.label, panel.face.labels)
    outlined = 0 if min(image_HW3.shape[:2]) < _MIN_OUTLINED else max(1, thickness // 2)
    for line, shade in ((thickness + 2 * outlined, _PANEL), (thickness, color)):
        cv2.polylines(image_HW3, [outline], True, shade[::-1], line, cv2.LINE_AA, _SHIFT)


def _draw_panel(image_HW3: Pixels, panel: _Panel, position: Rectangle) -> None:
    """Draw a panel or tag; in an image that is too small for text only the bar, at the bottom of the frame."""
    face, size = panel.face, panel.text_size
    if panel.width > image_HW3.shape[1] or panel.height > image_HW3.shape[0]:
        left, top, width, height = panel.box
        _draw_divided_bar(image_HW3, face, (left, top + 0.88 * height, width, 0.12 * height))
        return
    _draw_background(image_HW3, position, 0.35 * size)
    left, top, width, _ = position
    x, row = left + 0.6 * size, top + (1.15 if panel.bars else 0.95) * size
    text_drawing.write(image_HW3, panel.title, x, row, 1.1 * size, _INK, bold=True)
    if not panel.bars:
        _draw_divided_bar(image_HW3, face, (x, top + 1.65 * size, width - 1.2 * size, 0.3 * size))
        return
    start, end = x + panel.names_width + 0.6 * size, left + width - 1.0 * size - _percent_width(size)
    for number, (name, prob) in enumerate(zip(face.labels, face.probabilities, strict=True)):
        row = top + (2.55 + 1.3 * number) * size
        ink, bold = (_INK, True) if prob == face.confidence else (_FAINT, False)
        text_drawing.write(image_HW3, name, x, row, size, ink)
        track = (start, row - 0.36 * size, end - start, 0.72 * size)
        _draw_bar(image_HW3, track, _TRACK)
        _draw_bar(image_HW3, (track[0], track[1], prob * track[2], track[3]), label_color(name, face.labels))
        percent = percentage(prob)
        percent_x = left + width - 0.6 * size - text_drawing.width(percent, size, bold=bold)
        text_drawing.write(image_HW3, percent, percent_x, row, size, ink, bold=bold)


def _percent_width(size: float) -> int:
    """Return the width of the widest percentage, so that no bar reaches it."""
    return text_drawing.width("> 99 %", size, bold=True)


def _draw_divided_bar(image_HW3: Pixels, face: Face, rectangle: Rectangle) -> None:
    """Draw one bar divided in the ratio of the probabilities."""
    left, top, width, height = rectangle
    _draw_bar(image_HW3, rectangle, _TRACK)
    for name, prob in zip(face.labels, face.probabilities, strict=True):
        _draw_bar(image_HW3, (left, top, prob * width, height), label_color(name, face.labels))
        left += prob * width


def _draw_bar(image_HW3: Pixels, rectangle: Rectangle, color: Color) -> None:
    left, top, width, height = rectangle
    x, y = round(left), round(top)
    right, bottom = round(left + width), max(round(top + height), y + 1)
    if right > x:
        image_HW3[max(y, 0) : bottom, max(x, 0) : right] = color[::-1]


def _draw_background(image_HW3: Pixels, rectangle: Rectangle, radius: float) -> None:
    """Draw a dark, translucent rectangle with round corners."""
    left, top, width, height = rectangle
    x, y = max(math.floor(left), 0), max(math.floor(top), 0)
    under_HW3 = image_HW3[y : math.ceil(top + height) + 1, x : math.ceil(left + width) + 1]
    over_HW3 = under_HW3.copy()
    cv2.fillPoly(over_HW3, [_rounded((left - x, top - y, width, height), radius)], _PANEL[::-1], cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(over_HW3, _OPAQUE, under_HW3, 1 - _OPAQUE, 0, dst=over_HW3)
    under_HW3[:] = over_HW3


def _rounded(rectangle: Rectangle, radius: float) -> NDArray[np.int32]:
    """Return the outline of a rectangle with round corners, in eighths of a pixel, int32 [P,2]."""
    left, top, width, height = rectangle
    r = min(radius, width / 2, height / 2)
    angle_P = np.linspace(0, np.pi / 2, 7)
    corners = ((left + width - r, top + height - r), (left + r, top + height - r), (left + r, top + r),
               (left + width - r, top + r))  # fmt: skip
    points = [
        np.stack([x + r * np.cos(angle_P + i * np.pi / 2), y + r * np.sin(angle_P + i * np.pi / 2)], 1)
        for i, (x, y) in enumerate(corners)
    ]
    return np.asarray(np.round(np.concatenate(points) * (1 << _SHIFT)), np.int32)


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
