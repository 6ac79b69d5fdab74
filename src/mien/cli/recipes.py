"""`mien recipes` and `mien augmentations`: what can be trained, and how images can be changed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import typer


def recipes() -> None:
    """List the recipes of `mien train` and `mien compare`, one line each."""
    from mien.train.recipes import RECIPES

    rows = []
    for name, build in RECIPES.items():
        recipe = build()
        rows.append((name, f"{recipe.model}, {recipe.epochs} epochs", _summary(build)))
    _print(rows)


def augmentations() -> None:
    """List the augmentations of `--augment`, with their arguments, one line each."""
    from mien.train.augment import AUGMENTATIONS
    from mien.train.overrides import PIPELINE

    rows = []
    for name, build in AUGMENTATIONS.items():
        arguments = ", ".join(
            f"{p.name}={p.default:g}" for p in inspect.signature(build).parameters.values() if p.default is not p.empty
        )
        text = f"{name}({arguments})" if f"{name}:" != PIPELINE else f"{PIPELINE}FILE.json"
        rows.append((text, _summary(build)))
    _print(rows)


def _summary(documented: object) -> str:
    """Return the first sentence of a docstring."""
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


def _print(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]))
