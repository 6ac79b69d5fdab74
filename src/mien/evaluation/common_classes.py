"""Evaluation of a model on a folder of other classes, by the classes that both have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset, Split
from mien.data.votes import select_faces
from mien.errors import DataError, MienError
from mien.evaluation.predictor import Predictor
from mien.evaluation.robustness import PredictFunction
from mien.evaluation.training_data import is_same_source
from mien.labels import LabelSet, counterpart, projection, same_classes


def needs_common_classes(predictor: Predictor, dataset: Dataset) -> bool:
    """Return whether a model is evaluated on common classes: on a folder that it was not trained on.

    Args:
        predictor: The model.
        dataset: The data as loaded.
    """
    if dataset.name != "folder" or is_same_source(predictor.trained_on, dataset):
        return False
    return not same_classes(predictor.labels, dataset.labels.names) or len(_present(dataset)) < len(dataset.labels)


def restrict_to_common_classes(dataset: Dataset, names: tuple[str, ...], split: str) -> tuple[Dataset, str]:
    """Return the faces of classes that both a model and the data have, and a sentence on what is left out, if anything.

    Args:
        dataset: The data as loaded. A class without a face in any split is one that the data does not have.
        names: Classes of the model.
        split: Split that is evaluated; the sentence counts its faces.

    Raises:
        DataError: There are fewer than two common classes, or the split has no face of them.

    Example:
        >>> from mien.data import sketch
        >>> data, note = restrict_to_common_classes(sketch(train=0, val=0, test=70), ("happy", "sad", "bored"), "test")
        >>> data.labels.names, note.split(";")[0]
        (('happy', 'sad'), 'evaluated on the 2 classes that both have, happy and sad')
    """
    present = _present(dataset)
    common = [name for name in present if counterpart(name, names) is not None]
    if len(common) < 2:
        raise DataError(
            f"the model has the classes {', '.join(names)}, but {dataset.source} has {', '.join(present)}; they need "
            "two classes in common"
        )
    labels = dataset.labels if len(common) == len(dataset.labels) else LabelSet("common", tuple(common))
    if not _is_in(dataset[split], dataset, labels).any():
        raise DataError(f"split '{split}' of {dataset.source} has no face of the classes {', '.join(common)}")
    splits = {name: _restrict(part, dataset, labels) for name, part in dataset.splits.items()}
    kept = {name: part for name, part in splits.items() if part is not None}
    of_data = [name for name in present if name not in common]
    of_model = [name for name in names if counterpart(name, common) is None]
    counts = {name: int((dataset[split].labels_N == dataset.labels.names.index(name)).sum()) for name in of_data}
    parts = [f"{name}, which the model does not have ({count:,} faces)" for name, count in counts.items()]
    parts += [f"{name}, which the data does not have" for name in of_model]
    if not parts:
        return replace(dataset, labels=labels, splits=kept, ratings=None), ""
    note = f"evaluated on the {len(common)} classes that both have, {_and(common)}; left out: {'; '.join(parts)}"
    return replace(dataset, labels=labels, splits=kept, ratings=None), note


def restrict_predict(predictor: Predictor, labels: LabelSet, name: str) -> PredictFunction:
    """Return a predict function for some classes of a model.

    Args:
        predictor: The model.
        labels: Classes of the result.
        name: Name of the model, for errors.
    """
    if same_classes(predictor.labels, labels.names):
        return predictor.predict
    of = LabelSet("the model's", predictor.labels)
    return lambda faces_NHW: project_probabilities(predictor.predict(faces_NHW), of, labels, name)


def project_probabilities(
    probs_NK: NDArray[np.floating[Any]], of: LabelSet, onto: LabelSet, name: str
) -> NDArray[np.float32]:
    """Return probabilities restricted to other classes and normalized, float32 [N,L]; equal ones if all of them are 0.

    Args:
        probs_NK: Probabilities [N,K].
        of: Their K classes.
        onto: The L classes of the result.
        name: Name of the model, for errors.

    Raises:
        MienError: The model lacks one of the classes.

    Example:
        >>> of, onto = LabelSet("three", ("a", "b", "c")), LabelSet("two", ("c", "a"))
        >>> project_probabilities(np.array([[0.3, 0.4, 0.3]]), of, onto, "model").tolist()
        [[0.5, 0.5]]
    """
    if same_classes(of.names, onto.names):
        return np.asarray(probs_NK, np.float32)
    projection_KL = projection(of, onto)
    lacking = [label for label, faces in zip(onto.names, projection_KL.sum(0), strict=True) if not faces]
    if lacking:
        raise MienError(f"cannot evaluate {name} on {onto.name}: it has no class {', '.join(lacking)}")
    p_NL = np.asarray(probs_NK, np.float64) @ projection_KL
    sum_N1 = p_NL.sum(1, keepdims=True)
    normalized_NL = np.divide(p_NL, sum_N1, out=np.full_like(p_NL, 1 / len(onto)), where=sum_N1 > 0)
    return np.asarray(normalized_NL, np.float32)


def _present(dataset: Dataset) -> list[str]:
    """Return the classes that have a face in some split."""
    known = {int(k) for split in dataset.splits.values() for k in np.unique(split.labels_N)}
    return [name for k, name in enumerate(dataset.labels.names) if k in known]


def _is_in(split: Split, dataset: Dataset, labels: LabelSet) -> NDArray[np.bool_]:
    indices = [dataset.labels.names.index(name) for name in labels.names]
    return np.isin(split.labels_N, indices)


def _restrict(split: Split, dataset: Dataset, labels: LabelSet) -> Split | None:
    keep_N = _is_in(split, dataset, labels)
    if not keep_N.any():
        return None
    new_K = np.array([counterpart(name, labels.names) or 0 for name in dataset.labels.names], np.int64)
    return select_faces(split, keep_N, new_K[split.labels_N])


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
