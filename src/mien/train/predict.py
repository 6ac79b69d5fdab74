"""Probabilities from a run's folder or a checkpoint file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.split import Dataset
from mien.errors import RunError
from mien.train.batches import Faces
from mien.train.checkpoint import Checkpoint, load_checkpoint
from mien.train.engine import engine
from mien.train.loop import probabilities
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.runs import Run


def predict(model: str | Path, dataset: Dataset, split: str, *, device: str = "auto") -> NDArray[np.float32]:
    """What the net in `model` says of each face of a split: probabilities float32 [N,K] in row order.

    Args:
        model: the folder of a run, or a checkpoint file.

    Raises:
        RunError: no run and no checkpoint, a damaged one, or one whose classes are not those of `dataset`.
        MissingSplit: `dataset` lacks the split.
    """
    checkpoint = _find(Path(model))
    trained_on, recipe = checkpoint.state["data"]["labels"], checkpoint.state["recipe"]
    if tuple(trained_on) != dataset.labels.names:
        raise RunError(
            f"{model} tells {', '.join(trained_on)} apart, "
            f"but {dataset.source} is labelled {', '.join(dataset.labels.names)}"
        )
    faces = dataset[split]
    fabric = engine(device, recipe["precision"])
    net = build_model(recipe["model"], len(trained_on))
    checkpoint.restore(net)
    numbers = {k: recipe[k] for k in ("name", "model", "mean", "std", "precision")}
    return probabilities(
        fabric,
        fabric.setup(net),
        Faces.of(faces, fabric.device),
        Recipe(**numbers),
    )


def _find(model: Path) -> Checkpoint:
    if model.is_dir():
        run = Run(model)
        if not run.checkpoint_file.exists():
            raise RunError(f"{model} holds no {run.checkpoint_file.name}; is it the folder of a run?")
        return run.checkpoint()
    if not model.exists():
        raise RunError(f"no run and no checkpoint at {model}")
    return load_checkpoint(model)
