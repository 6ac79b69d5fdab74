"""Checks during training: NaN loss, memory, disk."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mien.errors import RunError
from mien.train.recipe import Recipe

# What CUDA, its libraries and Apple's GPUs say where torch does not say `OutOfMemoryError`.
GPU_MEMORY_ERRORS = (
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "mps backend out of",
)
# What libraries say on a CPU where Python raises no MemoryError; the second is oneDNN without memory for its work area.
CPU_MEMORY_ERRORS = ("can't allocate memory", "could not create a primitive")
EVERY = 50  # steps between two looks at the loss: reading it makes a GPU wait


@contextlib.contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Turn what torch and its libraries say of too little memory into a `RunError` that ends with `advice`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's own allocators, and Python's with numpy's
        text = str(error).lower()
        on_gpu = isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in GPU_MEMORY_ERRORS)
        if not (on_gpu or isinstance(error, MemoryError) or any(sign in text for sign in CPU_MEMORY_ERRORS)):
            raise
        raise RunError(f"{'the GPU' if on_gpu else 'this machine'} is out of memory {advice}") from None


def memory_advice(recipe: Recipe, folder: Path) -> str:
    """What to do when training by `recipe` needs too much."""
    less = recipe.batch // 2
    same = "the same" if recipe.batch % 2 == 0 else "about the same"
    smaller = (
        f"half the batch and {same} step: --set batch={less} --set accumulate={recipe.accumulate * 2}"
        if less
        else "a smaller model: --set model=..."
    )
    return (
        f"with batches of {recipe.batch} of {recipe.model}; the epochs done are kept in {folder}. Free some, and the "
        f"same command goes on (mien train: with --resume), or begin anew in another --out with {smaller}"
    )


def check_loss(loss_sum: Tensor, step: int, epoch: int, recipe: Recipe, folder: Path) -> None:
    """Every so many steps, so that a night is not spent on weights that have blown up."""
    if step % EVERY == 0:
        check_finite({"train_loss": float(loss_sum)}, epoch, recipe, folder)


def check_finite(metrics: Mapping[str, float], epoch: int, recipe: Recipe, folder: Path) -> None:
    """Before anything of this epoch is kept: weights that have blown up must not take the place of good ones."""
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        kept = "the last good epoch is kept" if epoch > 1 else "no epoch was done before"
        raise RunError(
            f"{bad[0]} is no number in epoch {epoch} of {folder}; {kept}. "
            f"Try a smaller rate in another --out: --set lr={recipe.lr / 3:.2g}"
        )
