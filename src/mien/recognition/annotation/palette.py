"""One color for each expression.

They are the eight that Okabe and Ito (2008, "Color Universal Design") chose so that the color-blind can tell them
apart, with light grey in the place of black, which is not seen on a dark panel.
"""

from __future__ import annotations

from collections.abc import Sequence

from mien.labels import canonical_name
from mien.recognition.results import UNCERTAIN

Color = tuple[int, int, int]  # red, green, blue, 0 to 255

_ORANGE, _SKY, _GREEN, _YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
_BLUE, _VERMILLION, _PURPLE, _GREY = (0, 114, 178), (213, 94, 0), (204, 121, 167), (200, 200, 200)
_WHITE = (255, 255, 255)

EXPRESSION_COLORS: dict[str, Color] = {
    "angry": _VERMILLION,
    "disgust": _GREEN,
    "fear": _PURPLE,
    "happy": _YELLOW,
    "sad": _BLUE,
    "surprise": _ORANGE,
    "neutral": _SKY,
    "contempt": _GREY,
}
_IN_ORDER = tuple(EXPRESSION_COLORS.values())


def label_color(label: str, labels: Sequence[str]) -> Color:
    """The color of `label` among `labels`, as red, green, blue from 0 to 255.

    The usual expressions have theirs under every spelling; `uncertain` is white. Where a model tells other classes
    apart, all of them get colors by their place, so that no two of the first eight share one.
    """
    if label == UNCERTAIN:
        return _WHITE
    usual = [canonical_name(name) for name in labels]
    if label in labels and set(usual) <= set(EXPRESSION_COLORS):
        return EXPRESSION_COLORS[usual[list(labels).index(label)]]
    return _IN_ORDER[list(labels).index(label) % len(_IN_ORDER)] if label in labels else _WHITE
