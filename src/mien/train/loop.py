"""Training, to be read top to bottom: an epoch is a permutation, a step is five lines, the engine is asked.

After each epoch the training, validation and, as the student report did, the test figures are written down. Nothing is
chosen by the test split: the last epoch is what a run is judged by.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien.data.split import SPLITS, TEST, TRAIN, VAL, Dataset
from mien.errors import RunError
from mien.train.batches import NET, Faces, normalise, stream, training_batches
from mien.train.checkpoint import save_checkpoint
from mien.train.engine import engine, machine
from mien.train.models import build_model
from mien.train.progress import Progress
from mien.train.recipe import Recipe
from mien.train.runs import Run, differences, identity_of

EVALUATION_BATCH = 512
# How many training faces are read unaugmented each epoch, to set beside the validation accuracy: a sixteenth of
# FER2013's, so that looking costs a fiftieth of the epoch, and never more than validation has.
CLEAN_SAMPLE = 1795


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Train `recipe` on the training split of `dataset` and keep the run in the folder `out`.

    Args:
        seed: decides the first weights, the order of the pictures and their augmentation.
        device: `auto`, `cpu`, `cuda` or `mps`.
        resume: go on after the last finished epoch of the run in `out`, or begin where there is none.
        progress: show a live bar on stderr.

    Raises:
        MissingSplit: the data has no training split.
        RunError: `out` holds a run already and `resume` is false, or holds a run of something else, or the training
            faces have no labels, or the loss is no number any more, or the folder cannot be written.
    """
    run, identity = Run(Path(out)), identity_of(recipe, seed, dataset)
    _refuse_what_cannot_be_learned(dataset, seed)
    run.refuse_another(identity, resume)
    if run.finished:
        return run
    fabric = engine(device, recipe.precision)
    with torch.random.fork_rng(devices=_own(fabric)):  # whoever calls keeps their own random numbers
        torch.manual_seed(seed)
        bare = build_model(recipe.model, len(dataset.labels))
        sgd = torch.optim.SGD(
            bare.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        net, optimiser = fabric.setup(bare, sgd)
        faces = {s: Faces.of(dataset[s], fabric.device) for s in SPLITS if s in dataset and dataset[s].labelled}
        clean = faces[TRAIN].sample(min(CLEAN_SAMPLE, len(faces.get(VAL, faces[TRAIN]))))
        history = _pick_up(run, identity, bare, sgd)
        run.begin(identity, machine(fabric), history)

        with Progress(recipe, seed, len(faces[TRAIN]), run.folder, shown=progress) as bar:
            for epoch in range(len(history) + 1, recipe.epochs + 1):
                torch.manual_seed(stream(seed, epoch, NET, torch.device("cpu")).initial_seed())
                net.train()
                began, loss_sum, right = time.perf_counter(), _zero(fabric), _zero(fabric)
                bar.start(epoch)
                for x_BCHW, label_B in training_batches(faces[TRAIN], recipe, seed, epoch):
                    log_p_BK = net(x_BCHW)
                    loss = functional.nll_loss(log_p_BK, label_B)
                    optimiser.zero_grad()
                    fabric.backward(loss)
                    optimiser.step()
                    loss_sum += loss.detach() * len(label_B)
                    right += (log_p_BK.argmax(1) == label_B).sum()
                    bar.step(len(label_B), loss_sum, right)
                seconds = time.perf_counter() - began
                metrics: dict[str, float] = {
                    "epoch": epoch,
                    "train_loss": loss_sum.item() / len(faces[TRAIN]),
                    "train_accuracy": right.item() / len(faces[TRAIN]),
                    "lr": recipe.lr,
                    "seconds": seconds,
                    "images_per_second": len(faces[TRAIN]) / seconds,
                }
                metrics |= _figures("clean", probabilities(fabric, net, clean, recipe), clean)
                told = {s: probabilities(fabric, net, faces[s], recipe) for s in (VAL, TEST) if s in faces}
                for split, p_NK in told.items():
                    metrics |= _figures(split, p_NK, faces[split])
                _refuse_what_is_no_number(metrics, run, recipe)
                for split, p_NK in told.items():
                    run.write_predictions(split, p_NK)
                history.append(metrics)
                save_checkpoint(run.checkpoint_file, bare, sgd, {**identity, "history": history})
                run.write_history(history)
                bar.finish(metrics)
    return run


def probabilities(fabric: Fabric, net: nn.Module, faces: Faces, recipe: Recipe) -> NDArray[np.float32]:
    """Softmax probabilities [N,K] of each face, unaugmented, in evaluation mode."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(normalise(x.float(), recipe)).float().exp() for x in torch.split(faces.pixels_NCHW, EVALUATION_BATCH)
        ]
    return torch.cat(parts).cpu().numpy()


def _figures(name: str, p_NK: NDArray[np.float32], faces: Faces) -> dict[str, float]:
    label_N = faces.labels_N.cpu().numpy()
    own_N = p_NK[np.arange(len(label_N)), label_N]
    return {
        f"{name}_loss": float(-np.log(np.maximum(own_N, 1e-12)).mean()),
        f"{name}_accuracy": float((p_NK.argmax(1) == label_N).mean()),
    }


def _refuse_what_cannot_be_learned(dataset: Dataset, seed: int) -> None:
    if not dataset[TRAIN].labelled:
        raise RunError(f"the training faces of {dataset.source} have no labels, so there is nothing to learn from")
    if not 0 <= seed < 2**31:
        raise RunError(f"a seed is a whole number from 0 to {2**31 - 1:,}, got {seed}")


def _refuse_what_is_no_number(metrics: Mapping[str, float], run: Run, recipe: Recipe) -> None:
    """Before anything of this epoch is kept: weights that have blown up must not take the place of good ones."""
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise RunError(
            f"{bad[0]} is no number in epoch {metrics['epoch']:.0f} of {run.folder}; the last good epoch is kept. "
            f"Try a smaller rate: --set lr={recipe.lr / 3:.2g}"
        )


def _pick_up(
    run: Run, identity: Mapping[str, Any], net: nn.Module, optimiser: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Restore the last checkpoint, if there is one, and return the figures of the epochs that led to it."""
    if not run.checkpoint_file.exists():
        return []
    checkpoint = run.checkpoint()
    own = {k: v for k, v in checkpoint.state.items() if k != "history"}
    differ = differences(own, identity)
    if differ:
        raise RunError(f"{run.checkpoint_file} is of something else: {'; '.join(differ)}. Choose another --out")
    checkpoint.restore(net, optimiser)
    return list(checkpoint.state["history"])


def _own(fabric: Fabric) -> list[int]:
    """The CUDA device whose random numbers this run uses."""
    return [torch.cuda.current_device()] if fabric.device.type == "cuda" else []


def _zero(fabric: Fabric) -> Tensor:
    """A sum that stays on the device, so that a step waits for nothing."""
    return torch.zeros((), device=fabric.device, dtype=torch.float64 if fabric.device.type != "mps" else torch.float32)
