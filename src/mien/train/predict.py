"""What trained weights say of the faces of a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.card import TTAS
from mien.data.split import Dataset
from mien.errors import RunError
from mien.labels import FER7, LABEL_SETS
from mien.train.batches import Faces
from mien.train.engine import engine
from mien.train.guards import memory_in_words
from mien.train.loop import probabilities
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.schemes import judged
from mien.train.weights import Weights, find_weights


def predict(
    model: str | Path, dataset: Dataset, split: str, *, device: str = "auto", tta: str = "none"
) -> NDArray[np.float32]:
    """What a net says of each face of a split: probabilities float32 [N,K] in row order.

    Args:
        model: the folder of a run, a checkpoint, a released safetensors file, or the name of a shipped net.
        dataset: a net of FER+'s votes is asked only for the faces that it is judged on: those of `as_judged`; where
            there are no votes, and its classes are those of the labels, for all.
        tta: `none`, one forward a face, or `flip`, the mean of that and of the mirror image.

    Raises:
        RunError: none of these, a damaged one, or one whose classes are not those of `dataset`; an unknown `tta`.
        DataError: the net tells FER+'s classes apart, and `dataset` has no votes.
        MissingSplit: `dataset` lacks the split.
    """
    _refuse(tta)
    weights = find_weights(model)
    faces = _as_judged(weights, dataset)[split]
    return _answering(weights, device, tta)(faces.pixels_NHW)


def answering(
    model: str | Path, *, device: str = "auto", tta: str = "none"
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Open a net once, to be asked many times: grey faces uint8 [N,48,48] in, probabilities float32 [N,K] out.

    `device` and `tta` are as of `predict`.

    Raises:
        RunError: as `predict`, for what concerns the net.
    """
    _refuse(tta)
    return _answering(find_weights(model), device, tta)


def _refuse(tta: str) -> None:
    if tta not in TTAS:
        raise RunError(f"tta is one of {', '.join(TTAS)}, got '{tta}'")


def _answering(weights: Weights, device: str, tta: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    trained = weights.recipe
    fabric = engine(device, trained["precision"])
    net = build_model(trained["model"], len(weights.labels))
    weights.put_into(net, weights.labels)
    recipe = Recipe(**{k: trained[k] for k in ("name", "model", "mean", "std", "precision")})
    advice = "free some, or ask for --device cpu"
    with memory_in_words(f"for the net; {advice}"):
        ready = fabric.to_device(net)

    def ask(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        with memory_in_words(f"for {len(faces_NHW):,} faces; {advice}"):
            pixels_NCHW = torch.from_numpy(np.ascontiguousarray(faces_NHW)).unsqueeze(1).to(fabric.device)
            blank_N = torch.zeros(len(faces_NHW), dtype=torch.int64)  # labels play no part in it
            return probabilities(fabric, ready, Faces(pixels_NCHW, blank_N), recipe)

    def ask_twice(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (ask(faces_NHW) + ask(faces_NHW[:, :, ::-1])) * np.float32(0.5)

    return ask_twice if tta == "flip" else ask


def as_judged(model: str | Path, dataset: Dataset) -> Dataset:
    """`dataset` as a net is judged on it: itself, or, for a net of FER+'s votes, by their majority if it has any.

    Raises:
        RunError, DataError: as `predict`.
    """
    return _as_judged(find_weights(model), dataset)


def _as_judged(weights: Weights, dataset: Dataset) -> Dataset:
    own = weights.labels == dataset.labels.names
    # Faces without votes that are labelled in the net's own classes are judged by these.
    voted = all(split.votes_NV is not None for split in dataset.splits.values())
    if dataset.labels == FER7 and (voted or not own):
        label_set = next((labels.name for labels in LABEL_SETS.values() if labels.names == weights.labels), None)
        if label_set is not None:
            return judged(dataset, weights.recipe["scheme"], label_set)
    if not own:
        raise RunError(
            f"{weights.name} tells {', '.join(weights.labels)} apart, "
            f"but {dataset.source} is labelled {', '.join(dataset.labels.names)}"
        )
    return dataset
