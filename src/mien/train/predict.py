"""What trained weights say of the faces of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.split import Dataset
from mien.errors import RunError
from mien.train.batches import Faces
from mien.train.engine import engine
from mien.train.guards import memory_in_words
from mien.train.loop import probabilities
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.weights import find_weights


def predict(model: str | Path, dataset: Dataset, split: str, *, device: str = "auto") -> NDArray[np.float32]:
    """What a net says of each face of a split: probabilities float32 [N,K] in row order.

    Args:
        model: the folder of a run, a checkpoint, a released safetensors file, or the name of a shipped net.

    Raises:
        RunError: none of these, a damaged one, or one whose classes are not those of `dataset`.
        MissingSplit: `dataset` lacks the split.
    """
    weights = find_weights(model)
    if weights.labels != dataset.labels.names:
        raise RunError(
            f"{model} tells {', '.join(weights.labels)} apart, "
            f"but {dataset.source} is labelled {', '.join(dataset.labels.names)}"
        )
    faces, trained = dataset[split], weights.recipe
    fabric = engine(device, trained["precision"])
    net = build_model(trained["model"], len(weights.labels))
    weights.put_into(net, weights.labels)
    numbers = {k: trained[k] for k in ("name", "model", "mean", "std", "precision")}
    with memory_in_words(f"for {len(faces):,} faces of '{split}'; free some, or ask for --device cpu"):
        return probabilities(fabric, fabric.setup(net), Faces.of(faces, fabric.device), Recipe(**numbers))
