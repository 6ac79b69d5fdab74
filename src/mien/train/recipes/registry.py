"""The registry of recipes: functions that return a `Recipe`."""

from __future__ import annotations

from collections.abc import Callable

from mien.errors import MienError, did_you_mean
from mien.train.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {}


def recipe(build: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Register a recipe under the name of its function; used as a decorator.

    Args:
        build: Function that returns the recipe.

    Raises:
        MienError: Another recipe has this name.
    """
    if build.__name__ in RECIPES:
        raise MienError(f"two recipes have the name '{build.__name__}'; rename one of the functions")
    RECIPES[build.__name__] = build
    return build


def find_recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Args:
        name: Name of a recipe in `RECIPES`.

    Raises:
        MienError: No recipe has this name; the message lists those that exist.

    Example:
        >>> find_recipe("release_nano").epochs
        160
    """
    if name not in RECIPES:
        guess = did_you_mean(name, RECIPES)
        raise MienError(f"unknown recipe '{name}'{guess or ';'} available: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
