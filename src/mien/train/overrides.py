"""`FIELD=VALUE` on the command line as changes of a recipe."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from mien.errors import MienError
from mien.train import albumentations as _albumentations  # noqa: F401  registers its adapter
from mien.train.augment import AUGMENTATIONS, Augmentation
from mien.train.recipe import Recipe

ANSWERS = {"yes": True, "no": False}


def apply_overrides(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """`recipe` with each `FIELD=VALUE` of `settings` applied, the value read as the field's own type.

    Augmentations are joined by `+`, with arguments where they differ from the default:
    `augment=flip+cutout(holes=1,size=14)`; `augment=none` drops them all.

    Raises:
        MienError: no `=`, an unknown field, or a value that is not of the field's type; the text lists what there is.
    """
    changes: dict[str, Any] = {}
    known = {f.name: f for f in fields(Recipe)}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or field not in known:
            there = ", ".join(f"{f} ({_kind(f)})" for f in known)
            raise MienError(f"'{setting}' does not set a field of a recipe as FIELD=VALUE; the fields are {there}")
        changes[field] = _parse(field, text)
    return replace(recipe, **changes)


def _parse(field: str, text: str) -> Any:
    kind = _kind(field)
    if kind == "text":
        return text
    if kind == "augmentations":
        return parse_augment(text)
    if kind == "yes or no":
        if text not in ANSWERS:
            raise MienError(f"{field} is {' or '.join(ANSWERS)}, got '{text}'")
        return ANSWERS[text]
    try:
        return int(text) if kind == "whole number" else float(text)
    except ValueError:
        raise MienError(f"{field} is a {kind}, got '{text}'") from None


def _kind(field: str) -> str:
    """A field's type in words, from its annotation."""
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no"}
    return names.get(str(Recipe.__annotations__[field]), "augmentations")


def parse_augment(text: str) -> tuple[Augmentation, ...]:
    """Augmentations from text such as `flip+cutout(size=14)+gaussiannoise(p=1)`; `none` is the empty tuple."""
    if text.strip() in ("none", ""):
        return ()
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise _no_augmentation(text) from None
    parts: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        parts.insert(0, tree.right)
        tree = tree.left
    return tuple(_one_augmentation(part, text) for part in [tree, *parts])


def _one_augmentation(part: ast.expr, text: str) -> Augmentation:
    call = part if isinstance(part, ast.Call) else ast.Call(part, [], [])
    if not isinstance(call.func, ast.Name) or call.func.id.lower() not in AUGMENTATIONS:
        raise _no_augmentation(text)
    try:
        places = [ast.literal_eval(a) for a in call.args]
        if any(k.arg is None for k in call.keywords):
            raise ValueError("** is not understood here")
        named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return AUGMENTATIONS[call.func.id.lower()](*places, **named)
    except (TypeError, ValueError) as error:
        raise MienError(f"augment: {ast.unparse(call)}: {error}") from None


def _no_augmentation(text: str) -> MienError:
    return MienError(
        f"augment: cannot read '{text}'; join with +, with arguments where needed, as in flip+cutout(size=14), "
        f"or none; there is: {', '.join(sorted(AUGMENTATIONS))}"
    )
