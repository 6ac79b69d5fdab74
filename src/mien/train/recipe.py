"""A recipe: everything that decides what a training run learns, as one frozen value."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mien.errors import MienError
from mien.train import albumentations as _albumentations  # noqa: F401  registers its adapter
from mien.train.augment import AUGMENTATIONS, Augmentation
from mien.train.models import MODELS


@dataclass(frozen=True)
class Recipe:
    """What is trained, on which pixels, for how long.

    Attributes:
        name: the arm's name in reports and folders.
        model: a name in `MODELS`.
        augment: augmentations in the order in which they are applied to the training pictures.
        batch: pictures a step; the last batch of an epoch may be smaller.
        epochs: passes over the training split, reshuffled each time.
        lr, momentum, weight_decay: of stochastic gradient descent.
        mean, std: pixels enter the net as (x/255 - mean)/std.
        precision: `auto` (bf16 where the chip has it, else float32), `bf16` or `float32`.
    """

    name: str
    model: str = "seed_cnn"
    augment: tuple[Augmentation, ...] = ()
    batch: int = 64
    epochs: int = 9
    lr: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.0009
    mean: float = 0.5
    std: float = 0.5
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise MienError(f"a recipe's name becomes a folder's: letters, digits, '_', '-' and '.', not '{self.name}'")
        for field in ("lr", "momentum", "weight_decay", "mean", "std"):
            if not math.isfinite(getattr(self, field)):
                raise MienError(f"recipe '{self.name}': {field} must be a number, got {getattr(self, field)}")
        for field in ("batch", "epochs", "lr", "std"):
            if not 0 < getattr(self, field) < MOST:
                raise MienError(
                    f"recipe '{self.name}': {field} must be above 0 and below {MOST:,}, got {getattr(self, field)}"
                )
        if not (0 <= self.momentum < 1 and self.weight_decay >= 0):
            raise MienError(
                f"recipe '{self.name}': needs 0 <= momentum < 1 and weight_decay >= 0, "
                f"got {self.momentum} and {self.weight_decay}"
            )
        if self.model not in MODELS:
            raise MienError(
                f"recipe '{self.name}': unknown model '{self.model}'; there is: {', '.join(sorted(MODELS))}"
            )
        if self.precision not in PRECISIONS:
            raise MienError(
                f"recipe '{self.name}': precision is one of {', '.join(PRECISIONS)}, not '{self.precision}'"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON types; what `recipe.json` holds."""
        return {**asdict(self), "augment": [a.to_dict() for a in self.augment]}


PRECISIONS = ("auto", "bf16", "float32")
MOST = 1_000_000  # more than this of anything is a slip of the finger


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
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
            there = ", ".join(f"{f} ({_type_name(f)})" for f in known)
            raise MienError(f"'{setting}' does not set a field of a recipe as FIELD=VALUE; the fields are {there}")
        changes[field] = _parse(field, text)
    return replace(recipe, **changes)


def _type_name(field: str) -> str:
    return {"augment": "augmentations", "batch": "whole number", "epochs": "whole number"}.get(
        field, "text" if field in ("name", "model", "precision") else "number"
    )


def _parse(field: str, text: str) -> Any:
    kind = _type_name(field)
    if kind == "text":
        return text
    if kind == "augmentations":
        return parse_augment(text)
    try:
        return int(text) if kind == "whole number" else float(text)
    except ValueError:
        raise MienError(f"{field} is a {kind}, got '{text}'") from None


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
    except (TypeError, ValueError) as why:
        raise MienError(f"augment: {ast.unparse(call)}: {why}") from None


def _no_augmentation(text: str) -> MienError:
    return MienError(
        f"augment: cannot read '{text}'; join with +, with arguments where needed, as in flip+cutout(size=14), "
        f"or none; there is: {', '.join(sorted(AUGMENTATIONS))}"
    )
