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
EXCLUDED = ("name", "epochs", "select", "patience")  # trials that differ in these fields are not comparable


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether values are sampled evenly in their logarithm.

    >>> Range(0.0001, 0.1, log=True).is_integer, Range(32, 256).is_integer
    (False, True)
    """

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        """Return whether the values are whole numbers: both bounds are."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[str, ...]:
        """Return the bounds as a user would type them."""
        return (str(self.low), str(self.high))

    def to_dict(self) -> dict[str, Any]:
        """Return the range as JSON types."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choice:
    """A list of values.

    Attributes:
        values: Values as a user would type them: `flip+cutout`, `adamw`, 64.

    >>> Choice((32, 64)).to_dict()
    [32, 64]
    """

    values: tuple[str | int | float, ...]

    @property
    def examples(self) -> tuple[str, ...]:
        """Return all values as text."""
        return tuple(map(str, self.values))

    def to_dict(self) -> list[str | int | float]:
        """Return the values as JSON types."""
        return list(self.values)


@dataclass(frozen=True)
class Space:
    """Search space of a recipe.

    Attributes:
        parameters: Field of the recipe -> its range or its values, in the order in which they were given.

    >>> Space({"lr": Range(0.001, 0.1)}).recipe_values(Recipe("mine", lr=0.01))
    {'lr': 0.01}
    """

    parameters: Mapping[str, Range | Choice]

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON types."""
        return {field: parameter.to_dict() for field, parameter in self.parameters.items()}

    def check_recipe(self, recipe: Recipe) -> None:
        """Raise `MienError` if `recipe` does not accept a bound of a range or a value of a list."""
        for field, parameter in self.parameters.items():
            for value in parameter.examples:
                apply_overrides(recipe, [f"{field}={value}"])

    def recipe_values(self, recipe: Recipe) -> dict[str, Any] | None:
        """Return the values that `recipe` itself has in these fields; None if one of them is outside the space."""
        values: dict[str, Any] = {}
        for field, parameter in self.parameters.items():
            value = getattr(recipe, field)
            if isinstance(parameter, Choice):
                same = [
                    v for v in parameter.values if getattr(apply_overrides(recipe, [f"{field}={v}"]), field) == value
                ]
                if not same:
                    return None
                values[field] = same[0]
            elif not parameter.low <= value <= parameter.high:
                return None
            else:
                values[field] = value
        return values


# The three numbers that the student report chose by hand, each with a factor of about ten or more on both sides.
DEFAULT_SPACE = Space({
    "lr": Range(0.0003, 0.03, log=True),
    "weight_decay": Range(0.00003, 0.03, log=True),
    "batch": Choice((32, 64, 128, 256)),
})  # fmt: skip


def load_space(name_or_path: str | Path) -> Space:
    """Load a search space.

    Args:
        name_or_path: `default` (learning rate, weight decay and batch size), or path of a TOML file. A line of the file
            is a field of a recipe and its range, `lr = {low = 1e-4, high = 0.1, log = true}`, or its values,
            `augment = ["none", "flip", "flip+cutout(size=14)"]`. The fields of `EXCLUDED` cannot be searched.

    Raises:
        MienError: The file does not exist or cannot be read, or a line of it is invalid.

    >>> list(load_space("default").parameters)
    ['lr', 'weight_decay', 'batch']
    """
    if str(name_or_path) == DEFAULT:
        return DEFAULT_SPACE
    path = Path(name_or_path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MienError(f"search space not found: {path}; use '{DEFAULT}' or the path of a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MienError(f"cannot read {path} as a TOML file: {error}") from None
    if not content:
        raise MienError(f"{path} is empty; a search space names at least one field of a recipe")
    return Space({field: _parse_parameter(field, value, path) for field, value in content.items()})


def _parse_parameter(field: str, value: object, path: Path) -> Range | Choice:
    searchable = [f.name for f in fields(Recipe) if f.name not in EXCLUDED]
    if field not in searchable:
        raise MienError(f"{path}: {field} cannot be searched; searchable fields are {', '.join(searchable)}")
    if isinstance(value, list) and value and all(isinstance(v, str) or _is_number(v) for v in value):
        return Choice(tuple(value))
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if _is_number(low) and _is_number(high) and isinstance(log, bool) and low < high and (low > 0 or not log):
            return Range(low, high, log)
    raise MienError(
        f"{path}: {field} must be a list of values or {{low = A, high = B}} with A below B, and log = true only where "
        f"both are above 0; got {value}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
