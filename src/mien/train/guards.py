"""What can hurt a run from outside the arithmetic, in words that say what to do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mien.errors import RunError
from mien.train.recipe import Recipe

EVERY = 50  # steps between two looks at the loss: reading it makes a GPU wait


@contextlib.contextmanager
def memory_in_words(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Turn the engine's "out of memory" into a `RunError` that says how to need less."""
    try:
        yield
    except RuntimeError as why:
        on_gpu = isinstance(why, torch.OutOfMemoryError)
        if not on_gpu and "can't allocate memory" not in str(why):
            raise
        whose = "the GPU" if on_gpu else "this machine"
        less = max(1, recipe.batch // 2)
        raise RunError(
            f"{whose} is out of memory with batches of {recipe.batch} of {recipe.model}; the epochs done are kept in "
            f"{folder}. Free some and go on with --resume, or begin anew with half the batch and the same step: "
            f"--set batch={less} --set accumulate={recipe.accumulate * 2}"
        ) from None


def refuse_lost_loss(loss_sum: Tensor, step: int, epoch: int, recipe: Recipe, folder: Path) -> None:
    """Every so many steps, so that a night is not spent on weights that have blown up."""
    if step % EVERY == 0:
        refuse_what_is_no_number({"train_loss": float(loss_sum)}, epoch, recipe, folder)


def refuse_what_is_no_number(metrics: Mapping[str, float], epoch: int, recipe: Recipe, folder: Path) -> None:
    """Before anything of this epoch is kept: weights that have blown up must not take the place of good ones."""
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise RunError(
            f"{bad[0]} is no number in epoch {epoch} of {folder}; the last good epoch is kept. "
            f"Try a smaller rate in another --out: --set lr={recipe.lr / 3:.2g}"
        )
