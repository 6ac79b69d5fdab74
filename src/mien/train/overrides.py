"""`FIELD=VALUE` on the command line as changes of a recipe."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from mien.errors import MienError, did_you_mean
from mien.train.albumentations import Albumentations
from mien.train.augment import AUGMENTATIONS, Augmentation
from mien.train.recipe import Recipe

PIPELINE = "albumentations:"  # before the name of a file
BOOLEANS = {"yes": True, "no": False}


def apply_overrides(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return `recipe` with some fields changed.

    Args:
        recipe: Recipe to start from.
        settings: Overrides such as `epochs=3`; each value is parsed as the type of its field. Augmentations are joined
            by `+`, with arguments where they differ from the defaults: `augment=flip+cutout(holes=1,size=14)`;
            `augment=albumentations:pipe.json` reads an Albumentations pipeline, `augment=none` removes all.

    Raises:
        MienError: An override has no `=`, an unknown field, or a value of another type.

    Example:
        >>> from mien.train import apply_overrides, find_recipe
        >>> recipe = apply_overrides(find_recipe("seed"), ["epochs=3", "augment=flip+cutout(size=14)"])
        >>> recipe.epochs, recipe.augment
        (3, (Flip(p=0.5), Cutout(p=0.5, holes=2, size=14)))
    """
    changes: dict[str, Any] = {}
    known = {f.name: f for f in fields(Recipe)}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise MienError(f"'{setting}' is not an override; write FIELD=VALUE, such as epochs=3")
        if field not in known:
            names = ", ".join(f"{f} ({_kind(f)})" for f in known)
            guess = did_you_mean(field, known)
            raise MienError(f"unknown recipe field '{field}' in '{setting}'{guess or ';'} available: {names}")
        changes[field] = _parse(field, text)
    return replace(recipe, **changes)


def _parse(field: str, text: str) -> Any:
    kind = _kind(field)
    if kind == "text":
        return text
    if kind == "augmentations":
        return parse_augment(text)
    if kind == "yes or no":
        if text not in BOOLEANS:
            raise MienError(f"{field} must be {' or '.join(BOOLEANS)}, got '{text}'")
        return BOOLEANS[text]
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        raise MienError(f"{field} must be {'an' if kind == 'integer' else 'a'} {kind}, got '{text}'") from None


def _kind(field: str) -> str:
    """Return the type of a field in words, from its annotation."""
    names = {"str": "text", "int": "integer", "float": "number", "bool": "yes or no"}
    return names.get(str(Recipe.__annotations__[field]), "augmentations")


def parse_augment(text: str) -> tuple[Augmentation, ...]:
    """Parse augmentations from text such as `flip+cutout(size=14)+albumentations:pipe.json`.

    Args:
        text: Augmentations joined by `+`; `none` or nothing for the empty tuple.

    Raises:
        MienError: The text cannot be parsed, or an augmentation or argument is unknown.

    Example:
        >>> parse_augment("flip+cutout(size=14)")
        (Flip(p=0.5), Cutout(p=0.5, holes=2, size=14))
    """
    if text.strip() in ("none", ""):
        return ()
    parts = re.split(r"\+(?![^(]*\))", text)  # not within parentheses
    return tuple(_build_augmentation(part.strip(), text) for part in parts)


def _build_augmentation(part: str, text: str) -> Augmentation:
    if part.lower().startswith(PIPELINE):
        return Albumentations(part[len(PIPELINE) :].strip())
    try:
        tree = ast.parse(part, mode="eval").body
    except (SyntaxError, ValueError):
        raise _unknown_augmentation(text) from None
    call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
    if not isinstance(call.func, ast.Name):
        raise _unknown_augmentation(text)
    if call.func.id.lower() not in AUGMENTATIONS:
        raise _unknown_augmentation(text, call.func.id)
    try:
        positional = [ast.literal_eval(a) for a in call.args]
        if any(k.arg is None for k in call.keywords):
            raise ValueError("** is not supported")
        named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return AUGMENTATIONS[call.func.id.lower()](*positional, **named)
    except (TypeError, ValueError) as error:
        raise MienError(f"augment: {ast.unparse(call)}: {error}") from None


def _unknown_augmentation(text: str, name: str = "") -> MienError:
    guess = did_you_mean(name, AUGMENTATIONS) if name else ""
    return MienError(
        f"augment: cannot parse '{text}'{guess or ';'} write none, or augmentations joined by +, with arguments where "
        f"needed, such as flip+cutout(size=14); available: {', '.join(sorted(AUGMENTATIONS))} (mien augmentations)"
    )
