"""Recipes: functions that return a `Recipe`; variants use `dataclasses.replace`. To add a module, import it here."""

from mien.train.recipes import demo, ferplus, papers, release, seed  # noqa: F401  each registers its recipes
from mien.train.recipes.registry import RECIPES, find_recipe, recipe

__all__ = ["RECIPES", "find_recipe", "recipe"]
