"""How a face is cut out of a picture, as a value that travels with every net."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mien.errors import MienError


@dataclass(frozen=True)
class CropRule:
    """The square that is cut around a face's box and brought to the net's input size.

    Attributes:
        margin: of the box's longer side, added on each side; 0 cuts at the box.
        shift_x, shift_y: where the square's centre lies from the box's, in parts of the box's longer side.
        upright: whether the face is turned until its eyes are level.
        provisional: whether these numbers are set and not yet measured.

    Raises:
        MienError: a number outside its range.
    """

    margin: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    upright: bool = False
    provisional: bool = True

    def __post_init__(self) -> None:
        for field in ("margin", "shift_x", "shift_y"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise MienError(f"crop rule: {field} is a number, got {value!r}")
            if not -0.5 < value <= 2:
                raise MienError(f"crop rule: {field} is above -0.5 and at most 2 sides of the box, got {value}")
        for field in ("upright", "provisional"):
            if not isinstance(getattr(self, field), bool):
                raise MienError(f"crop rule: {field} is true or false, got {getattr(self, field)!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> CropRule:
        """What `to_dict` gave; a `MienError` names a field that is missing or unknown."""
        fields = cls.__dataclass_fields__
        if not isinstance(told, Mapping) or set(told) != set(fields):
            raise MienError(f"a crop rule has the fields {', '.join(fields)}, got {told!r}")
        return cls(**told)
