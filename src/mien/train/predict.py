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
    """Predict the expressions of all faces of a split with trained weights.

    Args:
        model: Folder of a run or of an exported model, path of a checkpoint or of a released safetensors file, or name
            of a shipped model.
        dataset: Data set with the split. A model that learned FER+ votes predicts only the faces that it is evaluated
            on (`data.relabel_for_classes`); if there are no votes and its classes are those of the labels, all faces.
        split: Name of the split: `train`, `val` or `test`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        tta: Test-time augmentation: `none` for one forward pass per face, `flip` for the mean over the face and its
            mirror image.

    Returns:
        Probabilities, float32 [N,K], in row order.

    Raises:
        RunError: There is no such model, its file is damaged, or `tta` is unknown.
        DataError: The model has other classes than `dataset`, or FER+'s classes and `dataset` has no votes.
        MissingSplit: `dataset` does not have the split.

    Example:
        >>> from mien.data import sketch
        >>> from mien.train import predict
        >>> predict("nano", sketch(train=8, val=4, test=4), "val", device="cpu").shape
        (4, 7)
    """
    predictor = load_predictor(model, device=device, tta=tta)
    faces = relabel_for_classes(dataset, predictor.labels, by_votes=predictor.by_votes)[split]
    return np.asarray(predictor.predict(faces.pixels_NHW), np.float32)


def load_predictor(model: str | Path, *, device: str = "auto", tta: str = "none") -> Predictor:
    """Load trained weights once for many predictions and for `evaluation.evaluate_predictor`.

    Args:
        model: Trained weights, as in `predict`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        tta: Test-time augmentation, as in `predict`.

    Raises:
        RunError: There is no such model, its file is damaged, or `tta` is unknown.
    """
    if tta not in TTAS:
        raise RunError(f"tta must be one of {', '.join(TTAS)}, got '{tta}'")
    weights = find_weights(model)
    return Predictor(
        labels=weights.labels,
        predict=_probability_function(weights, device, tta),
        trained_on=weights.about["data"],
        tta=tta,
        by_votes=not SCHEMES[weights.recipe["scheme"]].own_labels,
        select=weights.recipe["select"],
    )


def _probability_function(
    weights: Weights, device: str, tta: str
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from faces, uint8 [N,48,48], to probabilities, float32 [N,K]."""
    trained = weights.recipe
    fabric = make_fabric(device, trained["precision"])
    model = build_model(trained["model"], len(weights.labels))
    weights.load_into(model, weights.labels)
    recipe = Recipe(**{k: trained[k] for k in ("name", "model", "mean", "std", "precision")})
    advice = "free some memory or use --device cpu"
    with explain_out_of_memory(f"while loading the model; {advice}"):
        on_device = fabric.to_device(model)

    def predict_faces(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        with explain_out_of_memory(f"while predicting {len(faces_NHW):,} faces; {advice}"):
            pixels_NCHW = torch.from_numpy(np.ascontiguousarray(faces_NHW)).unsqueeze(1).to(fabric.device)
            labels_N = torch.zeros(len(faces_NHW), dtype=torch.int64)  # not used
            return probabilities(fabric, on_device, Faces(pixels_NCHW, labels_N), recipe)

    def predict_flipped(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (predict_faces(faces_NHW) + predict_faces(faces_NHW[:, :, ::-1])) * np.float32(0.5)

    return predict_flipped if tta == "flip" else predict_faces
