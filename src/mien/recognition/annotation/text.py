"""Text in images, with OpenCV 4 and 5.

OpenCV 5 includes the fonts Rubik and a Chinese one; it caches letters, so text takes some microseconds.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.recognition.annotation.palette import Color

_FONT = "sans"
_REGULAR, _BOLD = 400, 650  # font weights; OpenCV supports 100 (thin) to 1000 (heavy)
_STROKE_FONT_SIZE = 30.0  # TrueType size that equals OpenCV 4's stroke font at scale 1


def width(text: str, size: float, *, bold: bool = False) -> int:
    """Return the width of a text in pixels if a line is `size` pixels high."""
    if _has_truetype():
        return int(
            cv2.getTextSize((0, 0), _printable(text), (0, 0), cv2.FontFace(_FONT), round(size), _weight(bold))[2]
        )
    (pixels, _), _ = cv2.getTextSize(
        _ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size / _STROKE_FONT_SIZE, _stroke(size, bold)
    )
    return int(pixels)


def write(
    image_HW3: NDArray[np.uint8], text: str, x: float, middle: float, size: float, color: Color, *,
    bold: bool = False,
) -> None:  # fmt: skip
    """Draw a text into an image.

    Args:
        image_HW3: BGR image, uint8 [H,W,3], which is changed.
        text: Text; characters that cannot be drawn are replaced.
        x: Left edge of the text.
        middle: Row of the vertical center of small letters.
        size: Height of a line in pixels.
        color: Red, green, blue.
        bold: Whether the text is bold.
    """
    # Capitals are 0.7 of a size high, small letters 0.52; halfway between, both look centered.
    at, bgr = (round(x), round(middle + 0.32 * size)), color[::-1]
    if _has_truetype():
        cv2.putText(image_HW3, _printable(text), at, bgr, cv2.FontFace(_FONT), round(size), _weight(bold))
        return
    scale = size / _STROKE_FONT_SIZE
    cv2.putText(image_HW3, _ascii(text), at, cv2.FONT_HERSHEY_SIMPLEX, scale, bgr, _stroke(size, bold), cv2.LINE_AA)


def _has_truetype() -> bool:
    return hasattr(cv2, "FontFace")


def _weight(bold: bool) -> int:
    return _BOLD if bold else _REGULAR


def _stroke(size: float, bold: bool) -> int:
    return max(1, math.floor(size / (12 if bold else 18)))


def _printable(text: str) -> str:
    """Replace line breaks, and lone surrogates, which crash OpenCV 5.0.0, by spaces."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _ascii(text: str) -> str:
    """Replace characters that the font of OpenCV 4 lacks."""
    return text.replace("·", "-").encode("ascii", "replace").decode()
