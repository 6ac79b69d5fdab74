"""The registry of recipes: functions that return a `Recipe`."""

from __future__ import annotations

from collections.abc import Callable

from mien.errors import MienError
from mien.train.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {}


def recipe(build: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Register a recipe under its function's name.

    Raises:
        MienError: Another recipe has this name.
    """
    if build.__name__ in RECIPES:
        raise MienError(f"two recipes are called '{build.__name__}'")
    RECIPES[build.__name__] = build
    return build


def find_recipe(name: str) -> Recipe:
    """Return the recipe `name`.

    Raises:
        MienError: No recipe is called `name`; the text lists those that exist.
    """
    if name not in RECIPES:
        raise MienError(f"unknown recipe '{name}'; available: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
