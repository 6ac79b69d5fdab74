"""Predictions of any package, read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.votes import relabel_for_classes
from mien.errors import MienError
from mien.evaluation.protocols import ModelEvaluation, evaluate_split
from mien.labels import FERPLUS8, LABEL_SETS, LabelSet, projection

SUFFIX = ".npy"
OFF = 0.02  # by so much a row's sum may miss 1: models of eight bits round that coarsely


def is_predictions(name: str | Path) -> bool:
    """Whether `name` is a file of predictions and no model."""
    return Path(name).suffix == SUFFIX


def read_predictions(file: str | Path, faces: int) -> NDArray[np.float32]:
    """Probabilities float32 [N,K] of `faces` faces in row order, each row brought to a sum of 1.

    Raises:
        MienError: the file cannot be read, or holds something else: other shapes, values that are no probabilities.
    """
    try:
        with Path(file).open("rb") as opened:
            told = np.load(opened, allow_pickle=False)
    except OSError as error:
        raise MienError(f"cannot read {file}: {error.strerror or error}") from None
    except MemoryError:
        raise MienError(f"{file} says that it holds more than fits into memory") from None
    except (ValueError, EOFError, OverflowError, SyntaxError, TokenError, BadZipFile):  # whatever a header can be
        raise MienError(f"{file} is no array that numpy.save wrote") from None
    if not isinstance(told, np.ndarray) or told.ndim != 2 or told.dtype.kind != "f" or told.shape[1] < 2:
        got = f"{told.dtype} {list(told.shape)}" if isinstance(told, np.ndarray) else "several arrays"
        raise MienError(f"{file} must hold probabilities, float [{faces},K], got {got}")
    if len(told) != faces:
        raise MienError(
            f"{file} has {len(told)} rows, but the split has {faces} faces; it needs a row each, in row order"
        )
    probs_NK = told.astype(np.float64)
    finite_NK = np.isfinite(probs_NK)
    sum_N = probs_NK.sum(1, where=finite_NK)  # of what is infinite both ways numpy would warn
    sound_N = finite_NK.all(1) & (probs_NK >= 0).all(1) & (np.abs(sum_N - 1) <= OFF)
    if not sound_N.all():
        row = int(np.flatnonzero(~sound_N)[0])
        raise MienError(
            f"{file} holds no probabilities in {int((~sound_N).sum())} of {faces} rows, first in row {row}: "
            f"{np.round(probs_NK[row], 4).tolist()}; each row must be 0 or more and sum to 1"
        )
    whole_NK: NDArray[np.float32] = (probs_NK / sum_N[:, None]).astype(np.float32)
    return whole_NK


def classes_of(columns: str | None, dataset: Dataset, k: int, file: str | Path) -> tuple[LabelSet, NDArray[np.int64]]:
    """The label set that predictions are of, and which column each of its classes stands in, int64 [K].

    Args:
        columns: a label set's name, or the columns' names joined by commas, in any usual spelling; None for those of
            `dataset` in their order.
        k: how many columns there are.
        file: what to call the predictions in errors.

    Raises:
        MienError: the columns are neither the data's classes nor FER+'s, or there are more or fewer of them.
    """
    names = dataset.labels.names if columns is None else _names(columns)
    if len(names) != k:
        raise MienError(
            f"{file} has {k} columns, but {len(names)} classes are named: {', '.join(names)}; say with --labels which "
            f"the columns are: names in their order, joined by commas, or one of the sets {', '.join(LABEL_SETS)}"
        )
    for labels in (dataset.labels, FERPLUS8):
        places = _places(names, labels)
        if places is not None:
            return labels, places
    raise MienError(
        f"{file}: its classes {', '.join(names)} are neither those of {dataset.source}, "
        f"{', '.join(dataset.labels.names)}, nor FER+'s, {', '.join(FERPLUS8.names)}"
    )


def read_predictions_of_split(
    file: str | Path, dataset: Dataset, split: str, *, columns: str | None = None
) -> tuple[LabelSet, NDArray[np.float32]]:
    """The classes that the predictions in `file` are of, and the predictions, float32 [N,K], in the order of these.

    Raises as `evaluate_predictions`, but asks for no votes: nothing is judged yet.
    """
    probs_NK = read_predictions(file, len(dataset[split]))
    labels, places = classes_of(columns, dataset, probs_NK.shape[1], file)
    return labels, np.ascontiguousarray(probs_NK[:, places])


def evaluate_predictions(
    file: str | Path, dataset: Dataset, split: str, *, columns: str | None = None, name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """The predictions in `file`, columns in the data's order, and what they are worth; None where nothing is known.

    Args:
        dataset: as it was loaded. Predictions of FER+'s classes are judged by the majority of the votes.
        columns: as in `classes_of`.
        name: of what made them, for titles; default the file's.
        strict: as in `evaluate_split`.

    Raises:
        MienError: as `read_predictions` and `classes_of`.
        DataError: votes are needed and not there.
        MissingSplit: `dataset` lacks the split.
    """
    faces = dataset[split]
    labels, probs_NK = read_predictions_of_split(file, dataset, split, columns=columns)
    if not faces.has_ground_truth:
        return probs_NK, None
    truth = relabel_for_classes(dataset, labels.names)
    return probs_NK, evaluate_split(
        probs_NK, faces.rows_N, dataset, truth, split, model=name or str(file), strict=strict
    )


def _names(columns: str) -> tuple[str, ...]:
    if columns in LABEL_SETS:
        return LABEL_SETS[columns].names
    if "," not in columns:
        raise MienError(
            f"--labels is names joined by commas, or one of the sets {', '.join(LABEL_SETS)}, not '{columns}'"
        )
    return tuple(name.strip() for name in columns.split(","))


def _places(names: Sequence[str], labels: LabelSet) -> NDArray[np.int64] | None:
    """Where each class of `labels` stands among `names`; None where they are not the same classes."""
    over = projection(LabelSet("columns", tuple(names)), labels)
    if len(names) != len(labels) or (over.sum(0) != 1).any():
        return None
    places: NDArray[np.int64] = over.argmax(0)
    return places
