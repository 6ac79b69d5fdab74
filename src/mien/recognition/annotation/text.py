"""Text in images, with OpenCV 4 and 5.

OpenCV 5 carries Rubik, and a font for Chinese; text costs some microseconds once its letters have been drawn.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.recognition.annotation.palette import Color

_FONT = "sans"
_REGULAR, _BOLD = 400, 650  # weights of a TrueType font; OpenCV's letters are thinnest at 100 and fattest at 1000
_STROKES_HEIGHT = 30.0  # of a line of text in OpenCV 4's font at scale 1, as a TrueType size


def width(text: str, size: float, *, bold: bool = False) -> int:
    """How wide `text` is in pixels where a line of it is `size` pixels high."""
    if _has_truetype():
        return int(
            cv2.getTextSize((0, 0), _printable(text), (0, 0), cv2.FontFace(_FONT), round(size), _weight(bold))[2]
        )
    (wide, _), _ = cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size / _STROKES_HEIGHT, _stroke(size, bold))
    return int(wide)


def write(
    image_HW3: NDArray[np.uint8], text: str, x: float, middle: float, size: float, color: Color, *,
    bold: bool = False,
) -> None:  # fmt: skip
    """Write `text` into `image_HW3`, BGR, from `x` rightwards, its small letters centred on the row `middle`."""
    # Capitals are 0.7 of a size high, small letters 0.52; halfway between, both look centred.
    at, bgr = (round(x), round(middle + 0.32 * size)), color[::-1]
    if _has_truetype():
        cv2.putText(image_HW3, _printable(text), at, bgr, cv2.FontFace(_FONT), round(size), _weight(bold))
        return
    scale = size / _STROKES_HEIGHT
    cv2.putText(image_HW3, _ascii(text), at, cv2.FONT_HERSHEY_SIMPLEX, scale, bgr, _stroke(size, bold), cv2.LINE_AA)


def _has_truetype() -> bool:
    return hasattr(cv2, "FontFace")


def _weight(bold: bool) -> int:
    return _BOLD if bold else _REGULAR


def _stroke(size: float, bold: bool) -> int:
    return max(1, math.floor(size / (12 if bold else 18)))


def _printable(text: str) -> str:
    """On one line, and without half a letter of UTF-16, at which OpenCV 5.0.0 crashes."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _ascii(text: str) -> str:
    """Without the letters that OpenCV 4's font lacks."""
    return text.replace("·", "-").encode("ascii", "replace").decode()
