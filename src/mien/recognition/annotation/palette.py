"""One color for each expression.

The palette is that of Okabe and Ito (2008, "Color Universal Design"), which color-blind people can distinguish, with
light gray instead of black, which is invisible on a dark panel.
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
    """Return the color of a label as red, green, blue, 0 to 255.

    The usual expressions have fixed colors under every spelling, and `uncertain` is white. For models of other classes
    colors are assigned by position, so that the first eight are different.

    Args:
        label: Label of a face.
        labels: Classes of the model.

    Example:
        >>> label_color("happiness", ["sadness", "happiness"])
        (240, 228, 66)
    """
    if label == UNCERTAIN:
        return _WHITE
    canonical = [canonical_name(name) for name in labels]
    if label in labels and set(canonical) <= set(EXPRESSION_COLORS):
        return EXPRESSION_COLORS[canonical[list(labels).index(label)]]
    return _IN_ORDER[list(labels).index(label) % len(_IN_ORDER)] if label in labels else _WHITE
