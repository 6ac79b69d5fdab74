"""Predictions of trained weights on a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.votes import relabel_for_classes
from mien.errors import RunError
from mien.evaluation.predictor import Predictor
from mien.model_card import TTAS
from mien.train.batches import Faces
from mien.train.checks import explain_out_of_memory
from mien.train.fabric import make_fabric
from mien.train.loop import probabilities
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.runs.weights import Weights, find_weights
from mien.train.targets.schemes import SCHEMES


def predict(
    model: str | Path, dataset: Dataset, split: str, *, device: str = "auto", tta: str = "none"
) -> NDArray[np.float32]:
    """What a model says of each face of a split: probabilities float32 [N,K] in row order.

    Args:
        model: the folder of a run or of an exported model, a checkpoint, a released safetensors file, or the name of a
            shipped model.
        dataset: a model of FER+'s votes is asked only for the faces that it is judged on (`data.relabel_for_classes`);
            where there are no votes, and its classes are those of the labels, for all.
        tta: `none`, one forward a face, or `flip`, the mean of that and of the mirror image.

    Raises:
        RunError: none of these, or a damaged one; an unknown `tta`.
        DataError: the model's classes are not those of `dataset`, or they are FER+'s, and `dataset` has no votes.
        MissingSplit: `dataset` lacks the split.
    """
    predictor = load_predictor(model, device=device, tta=tta)
    faces = relabel_for_classes(dataset, predictor.labels, by_votes=predictor.by_votes)[split]
    return np.asarray(predictor.predict(faces.pixels_NHW), np.float32)


def load_predictor(model: str | Path, *, device: str = "auto", tta: str = "none") -> Predictor:
    """Open weights once, to be asked many times, and judged as a model (`judge.evaluate_predictor`).

    Args:
        model, tta: as of `predict`.

    Raises:
        RunError: as `predict`, for what concerns the model.
    """
    if tta not in TTAS:
        raise RunError(f"tta is one of {', '.join(TTAS)}, got '{tta}'")
    weights = find_weights(model)
    return Predictor(
        labels=weights.labels,
        predict=_answering(weights, device, tta),
        trained_on=weights.about["data"],
        tta=tta,
        by_votes=not SCHEMES[weights.recipe["scheme"]].own_labels,
        select=weights.recipe["select"],
    )


def _answering(weights: Weights, device: str, tta: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    trained = weights.recipe
    fabric = make_fabric(device, trained["precision"])
    model = build_model(trained["model"], len(weights.labels))
    weights.load_into(model, weights.labels)
    recipe = Recipe(**{k: trained[k] for k in ("name", "model", "mean", "std", "precision")})
    advice = "free some, or ask for --device cpu"
    with explain_out_of_memory(f"for the model; {advice}"):
        ready = fabric.to_device(model)

    def ask(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        with explain_out_of_memory(f"for {len(faces_NHW):,} faces; {advice}"):
            pixels_NCHW = torch.from_numpy(np.ascontiguousarray(faces_NHW)).unsqueeze(1).to(fabric.device)
            blank_N = torch.zeros(len(faces_NHW), dtype=torch.int64)  # labels play no part in it
            return probabilities(fabric, ready, Faces(pixels_NCHW, blank_N), recipe)

    def ask_twice(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (ask(faces_NHW) + ask(faces_NHW[:, :, ::-1])) * np.float32(0.5)

    return ask_twice if tta == "flip" else ask
