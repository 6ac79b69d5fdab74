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

# Messages of CUDA, its libraries and Apple's GPUs where torch does not raise `OutOfMemoryError`.
GPU_MEMORY_ERRORS = (
    "cuda error: out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed", "mps backend out of",
)  # fmt: skip
# Messages on a CPU where Python does not raise MemoryError; the second is oneDNN without memory for its work area.
CPU_MEMORY_ERRORS = ("can't allocate memory", "could not create a primitive")
EVERY = 50  # steps between two checks of the loss: reading it makes a GPU wait


@contextlib.contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Turn out-of-memory errors of torch and its libraries into a `RunError`.

    Args:
        advice: End of the error message: during which work it happened, and what to do.

    Raises:
        RunError: The GPU or the machine is out of memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # from torch's allocators, and from Python and numpy
        text = str(error).lower()
        on_gpu = isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in GPU_MEMORY_ERRORS)
        if not (on_gpu or isinstance(error, MemoryError) or any(sign in text for sign in CPU_MEMORY_ERRORS)):
            raise
        raise RunError(f"out of memory on {'the GPU' if on_gpu else 'this machine'} {advice}") from None


def memory_advice(recipe: Recipe, folder: Path) -> str:
    """Return what to do when training with `recipe` runs out of memory, for `explain_out_of_memory`."""
    half = recipe.batch // 2
    same = "the same" if recipe.batch % 2 == 0 else "about the same"
    smaller = (
        f"half the batch size and {same} number of images per step: "
        f"--set batch={half} --set accumulate={recipe.accumulate * 2}"
        if half
        else "a smaller model: --set model=..."
    )
    return (
        f"while training {recipe.model} with batch size {recipe.batch}; the finished epochs are kept in {folder}. "
        "Free some memory and run the same command again to resume (mien train: with --resume), "
        f"or start in another --out with {smaller}"
    )


def check_loss(loss_sum: Tensor, step: int, epoch: int, recipe: Recipe, folder: Path) -> None:
    """Check the training loss every `EVERY` steps, so that a diverged run stops early; raises as `check_finite`."""
    if step % EVERY == 0:
        check_finite({"train_loss": float(loss_sum)}, epoch, recipe, folder)


def check_finite(metrics: Mapping[str, float], epoch: int, recipe: Recipe, folder: Path) -> None:
    """Check the metrics of an epoch before anything of it is saved, so that diverged weights replace no good ones.

    Raises:
        RunError: A metric is NaN or infinite.
    """
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        value = "NaN" if math.isnan(metrics[bad[0]]) else "infinite"
        kept = f"epoch {epoch - 1} is kept" if epoch > 1 else "no epoch was finished"
        raise RunError(
            f"{bad[0]} is {value} in epoch {epoch} of {folder}: training diverged; {kept}. "
            f"Try a lower learning rate in another --out: --set lr={recipe.lr / 3:.2g}"
        )
