"""Predictions of any package, read from a NumPy file."""

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
SUM_TOLERANCE = 0.02  # of the sum of a row: 8-bit models round that coarsely


def is_predictions(name: str | Path) -> bool:
    """Return whether `name` is a file of predictions, `*.npy`, and not a model."""
    return Path(name).suffix == SUFFIX


def read_predictions(file: str | Path, faces: int) -> NDArray[np.float32]:
    """Return probabilities float32 [N,K] in row order, each row normalized to a sum of 1.

    Args:
        file: Path of a `.npy` file.
        faces: Number of faces in the split.

    Raises:
        MienError: The file cannot be read, has another shape, or holds values that are not probabilities.
    """
    try:
        with Path(file).open("rb") as stream:
            array = np.load(stream, allow_pickle=False)
    except OSError as error:
        raise MienError(f"cannot read {file}: {error.strerror or error}") from None
    except MemoryError:
        raise MienError(f"cannot read {file}: its header declares an array larger than the memory") from None
    except (ValueError, EOFError, OverflowError, SyntaxError, TokenError, BadZipFile):  # of invalid headers
        raise MienError(f"cannot read {file}: not an array written by numpy.save") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or array.shape[1] < 2:
        got = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "several arrays"
        raise MienError(f"{file} must hold probabilities, float [{faces},K], got {got}")
    if len(array) != faces:
        raise MienError(
            f"{file} has {len(array)} rows, but the split has {faces} faces; it must have one row per face, in order"
        )
    probs_NK = array.astype(np.float64)
    finite_NK = np.isfinite(probs_NK)
    sum_N = probs_NK.sum(1, where=finite_NK)  # numpy warns about inf - inf
    valid_N = finite_NK.all(1) & (probs_NK >= 0).all(1) & (np.abs(sum_N - 1) <= SUM_TOLERANCE)
    if not valid_N.all():
        row = int(np.flatnonzero(~valid_N)[0])
        raise MienError(
            f"{file} has values that are not probabilities in {int((~valid_N).sum())} of {faces} rows, first in row "
            f"{row}: {np.round(probs_NK[row], 4).tolist()}; each row must be non-negative and sum to 1"
        )
    normalized_NK: NDArray[np.float32] = (probs_NK / sum_N[:, None]).astype(np.float32)
    return normalized_NK


def match_columns(
    columns: str | None, dataset: Dataset, k: int, file: str | Path
) -> tuple[LabelSet, NDArray[np.int64]]:
    """Return the label set of predictions and the column of each of its classes, int64 [K].

    Args:
        columns: Name of a label set, or class names of the columns joined by commas, in any known spelling; None for
            the classes of `dataset` in their order.
        dataset: The data as loaded.
        k: Number of columns.
        file: Name of the file, for errors.

    Raises:
        MienError: The columns are neither the data's classes nor FER+'s, or their number differs.
    """
    names = dataset.labels.names if columns is None else _names(columns)
    if len(names) != k:
        raise MienError(
            f"{file} has {k} columns, but there are {len(names)} classes: {', '.join(names)}; name the columns "
            f"with --labels, joined by commas, or give one of the label sets {', '.join(LABEL_SETS)}"
        )
    for labels in (dataset.labels, FERPLUS8):
        columns_K = _find_columns(names, labels)
        if columns_K is not None:
            return labels, columns_K
    raise MienError(
        f"the classes of {file}, {', '.join(names)}, are neither those of {dataset.source}, "
        f"{', '.join(dataset.labels.names)}, nor FER+'s, {', '.join(FERPLUS8.names)}"
    )


def read_predictions_of_split(
    file: str | Path, dataset: Dataset, split: str, *, columns: str | None = None
) -> tuple[LabelSet, NDArray[np.float32]]:
    """Return the label set of a file of predictions and the probabilities in its order, float32 [N,K].

    Args:
        file: Path of a `.npy` file with probabilities [N,K] in row order.
        dataset: The data as loaded.
        split: Name of the split.
        columns: Class names of the columns, as in `match_columns`.

    Raises:
        MienError: As in `read_predictions` and `match_columns`.
        MissingSplit: `dataset` lacks the split.
    """
    probs_NK = read_predictions(file, len(dataset[split]))
    labels, columns_K = match_columns(columns, dataset, probs_NK.shape[1], file)
    return labels, np.ascontiguousarray(probs_NK[:, columns_K])


def evaluate_predictions(
    file: str | Path, dataset: Dataset, split: str, *, columns: str | None = None, name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """Evaluate the predictions in a file.

    Args:
        file: Path of a `.npy` file with probabilities [N,K] in row order.
        dataset: The data as loaded. Predictions of FER+'s classes are evaluated against the majority vote.
        split: Name of the split.
        columns: Class names of the columns, as in `match_columns`.
        name: Name of the model for titles; by default that of the file.
        strict: Whether to evaluate by the protocol `strict` too (see `Evaluation`).

    Returns:
        Probabilities with columns in the order of the data's classes, and the evaluation; None instead of it if the
        split has no labels.

    Raises:
        MienError: The file cannot be read, does not contain one row of probabilities per face, or has columns of
            unknown classes.
        DataError: Votes are needed and missing.
        MissingSplit: `dataset` lacks the split.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> data = sketch(train=0, val=0, test=20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/p.npy", np.eye(7)[data["test"].labels_N])
        ...     _, result = evaluate_predictions(f"{folder}/p.npy", data, "test")
        >>> result.official.accuracy
        1.0
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
            f"--labels takes class names joined by commas, or one of {', '.join(LABEL_SETS)}, not '{columns}'"
        )
    return tuple(name.strip() for name in columns.split(","))


def _find_columns(names: Sequence[str], labels: LabelSet) -> NDArray[np.int64] | None:
    """Return the index in `names` of each class of `labels`; None if they are not the same classes."""
    match_KK = projection(LabelSet("columns", tuple(names)), labels)
    if len(names) != len(labels) or (match_KK.sum(0) != 1).any():
        return None
    columns_K: NDArray[np.int64] = match_KK.argmax(0)
    return columns_K
