"""Whether a model was trained on a data set, and what a split selected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mien.data.dataset import VAL, Dataset
from mien.data.fer2013 import KNOWN
from mien.data.votes import NAME, relabel_by_majority
from mien.evaluation.evaluate import EPOCH, TEMPERATURE
from mien.evaluation.predictor import Predictor
from mien.evaluation.selection import LAST
from mien.labels import FER7, FERPLUS8, same_classes


def selected_on_split(model: Predictor, dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return what `split` selected of a model, `epoch` and `temperature`; empty if it was trained on other data."""
    if not _is_same_split(model, dataset, split):
        return ()
    fitted_on = "" if model.calibration is None else model.calibration.split
    selected = ((EPOCH, split == VAL and model.select != LAST), (TEMPERATURE, split == fitted_on))
    return tuple(name for name, is_selected in selected if is_selected)


def is_same_source(trained_on: Mapping[str, Any], dataset: Dataset) -> bool:
    """Return whether a model was trained on this file, or both are known copies of FER2013.

    Args:
        trained_on: Record of the training data, with its `digest`.
        dataset: The data as loaded.
    """
    digest = str(trained_on.get("digest"))
    return digest == dataset.digest or (digest in KNOWN and dataset.digest in KNOWN)


def _is_same_split(model: Predictor, dataset: Dataset, split: str) -> bool:
    """Return whether `split` is that of a model's training data: the same file, or another copy of FER2013."""
    trained_on = model.trained_on
    if is_same_source(trained_on, dataset):
        return True
    if str(trained_on.get("digest")) in KNOWN:
        return dataset.is_fer2013
    # The digests of two copies that were saved again are both unknown, so the number of faces in the split decides. The
    # record of a model trained on votes counts the faces that have a majority. Without votes their number is unknown,
    # so any split that is large enough counts as the same.
    counts = trained_on.get("faces")
    faces = counts.get(split) if isinstance(counts, Mapping) else None
    if faces is None or dataset.name != "fer2013":
        return False
    if trained_on.get("name") != NAME:
        return bool(trained_on.get("name") == "fer2013" and faces == len(dataset[split]))
    if dataset[split].votes_NV is None:
        return bool(faces <= len(dataset[split]))
    labels = FERPLUS8 if same_classes(model.labels, FERPLUS8.names) else FER7
    return bool(faces == len(relabel_by_majority(replace(dataset, splits={split: dataset[split]}), labels)[split]))
