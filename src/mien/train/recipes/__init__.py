"""The registry of recipes: functions that return a `Recipe`; a variant is `replace`."""

from __future__ import annotations

from collections.abc import Callable

from mien.errors import MienError
from mien.train.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {}


def recipe(build: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Register a recipe under its function's name; a second one of that name is an error."""
    if build.__name__ in RECIPES:
        raise MienError(f"two recipes are called '{build.__name__}'")
    RECIPES[build.__name__] = build
    return build


def find_recipe(name: str) -> Recipe:
    """The recipe `name`; an unknown name lists what there is."""
    if name not in RECIPES:
        raise MienError(f"unknown recipe '{name}'; there is: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()


from mien.train.recipes import ferplus as _ferplus  # noqa: E402, F401  fills the registry
from mien.train.recipes import papers as _papers  # noqa: E402, F401
from mien.train.recipes import release as _release  # noqa: E402, F401
from mien.train.recipes import seed as _seed  # noqa: E402, F401
