"""Search space: a range or a list of values for each field of a recipe."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.train.overrides import apply_overrides
from mien.train.recipe import Recipe

DEFAULT = "default"
NEVER = ("name", "epochs", "select", "patience")  # what makes two trials no longer comparable


@dataclass(frozen=True)
class Range:
    """Every number from `low` to `high`, both included; evenly in their logarithm where `log` is set."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[str, ...]:
        """As a person would set them."""
        return (str(self.low), str(self.high))

    def to_dict(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choice:
    """One of several values, as a person would set them: `flip+cutout`, `adamw`, 64."""

    values: tuple[str | int | float, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(map(str, self.values))

    def to_dict(self) -> list[str | int | float]:
        return list(self.values)


@dataclass(frozen=True)
class Space:
    """Field of a recipe -> what it may be, in the order in which they were given."""

    of: Mapping[str, Range | Choice]

    def to_dict(self) -> dict[str, Any]:
        return {field: part.to_dict() for field, part in self.of.items()}

    def check_recipe(self, recipe: Recipe) -> None:
        """`MienError` where an end of a range, or a value, is none that `recipe` could have."""
        for field, part in self.of.items():
            for end in part.ends:
                apply_overrides(recipe, [f"{field}={end}"])

    def holds(self, recipe: Recipe) -> dict[str, Any] | None:
        """The recipe's own values of these fields; None where one of them lies outside."""
        own: dict[str, Any] = {}
        for field, part in self.of.items():
            value = getattr(recipe, field)
            if isinstance(part, Choice):
                near_duplicate_pairs = [
                    v for v in part.values if getattr(apply_overrides(recipe, [f"{field}={v}"]), field) == value
                ]
                if not near_duplicate_pairs:
                    return None
                own[field] = near_duplicate_pairs[0]
            elif not part.low <= value <= part.high:
                return None
            else:
                own[field] = value
        return own


# The three numbers that the student report settled by hand, each by a factor of ten or more to both sides.
USUAL = Space({
    "lr": Range(0.0003, 0.03, log=True),
    "weight_decay": Range(0.00003, 0.03, log=True),
    "batch": Choice((32, 64, 128, 256)),
})  # fmt: skip


def load_space(name_or_path: str | Path) -> Space:
    """`default` (learning rate, weight decay and batch size), or what a TOML file says.

    A line of the file is a field of a recipe: `lr = {low = 1e-4, high = 0.1, log = true}`, `epochs` and what selects
    excepted, or a list of values, `augment = ["none", "flip", "flip+cutout(size=14)"]`.

    Raises:
        MienError: there is no such file, or a line of it is none of these.
    """
    if str(name_or_path) == DEFAULT:
        return USUAL
    path = Path(name_or_path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MienError(f"there is no space called {path}: it is '{DEFAULT}' or a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MienError(f"{path} is no TOML file that can be read: {error}") from None
    if not told:
        raise MienError(f"{path} names no field of a recipe, so there is nothing to search")
    return Space({field: _part(field, value, path) for field, value in told.items()})


def _part(field: str, value: object, path: Path) -> Range | Choice:
    known = [f.name for f in fields(Recipe) if f.name not in NEVER]
    if field not in known:
        raise MienError(f"{path}: {field} is no field that can be searched; those are {', '.join(known)}")
    if isinstance(value, list) and value and all(_is_plain(v) for v in value):
        return Choice(tuple(value))
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if _is_number(low) and _is_number(high) and isinstance(log, bool) and low < high and (low > 0 or not log):
            return Range(low, high, log)
    raise MienError(
        f"{path}: {field} is a list of values or {{low = A, high = B}} with A below B, and log = true where both are "
        f"above 0; got {value}"
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str) or _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
