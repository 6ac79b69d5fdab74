"""FER+ votes as targets, and a data set relabeled by the majority vote.

Every rule takes votes, uint8 [N,10] in the order of `labels.FERPLUS_COLUMNS`, and returns targets, float64 [N,8] over
`FERPLUS8`, and `keep_N`, bool [N]. Rows that are kept sum to 1, the others are zeros. In all rules a single vote for a
class is an outlier and does not count, and a face is dropped if `unknown` or `NF` (not a face) has the most votes.

Source: Barsoum et al. 2016, sections 3 and 4, arXiv 1608.01041. The details follow the authors' program, because only
it reproduces the sizes that they publish.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, Dataset, Split
from mien.errors import DataError
from mien.labels import FER7, FERPLUS8, LabelSet, projection, same_classes

Votes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Cleaned = tuple[Floats, NDArray[np.bool_]]
Rule = Callable[[Votes], Cleaned]

EXPRESSIONS = len(FERPLUS8)  # the first columns; the last two are `unknown` and `NF`
MIN_LABEL_SHARE = 0.3  # share of the votes from which a class is one of the labels of a face
SUFFICIENT_SHARE = 0.75  # share of the votes after which no further class is added
MAX_CLASSES = 3  # a face with more is too ambiguous to learn from

NAME = "ferplus"  # of a data set with labels from votes


def majority(votes_NV: Votes) -> Cleaned:
    """Return the class that has more than half of the votes as the target of each face.

    Args:
        votes_NV: FER+ votes, uint8 [N,10].

    Example:
        >>> target_NK, keep_N = majority(np.array([[0, 6, 0, 4, 0, 0, 0, 0, 0, 0]], np.uint8))
        >>> target_NK.tolist(), keep_N.tolist()
        ([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [True])
    """
    count_NV, sum_N = _without_outliers(votes_NV)
    first_N = count_NV.argmax(1)
    target_NV = np.zeros_like(count_NV)
    rows = np.arange(len(count_NV))
    target_NV[rows, first_N] = count_NV[rows, first_N]
    return _expressions(target_NV, count_NV.max(1, initial=0) > 0.5 * sum_N)


def multi_label(votes_NV: Votes) -> Cleaned:
    """Return the classes that have 30 % of the votes or more each, and together more than half.

    Args:
        votes_NV: FER+ votes, uint8 [N,10].

    Example:
        >>> target_NK, keep_N = multi_label(np.array([[0, 6, 0, 4, 0, 0, 0, 0, 0, 0]], np.uint8))
        >>> target_NK.tolist(), keep_N.tolist()
        ([[0.0, 0.6, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0]], [True])
    """
    count_NV, sum_N = _without_outliers(votes_NV)
    target_NV = np.where(count_NV >= MIN_LABEL_SHARE * sum_N[:, None], count_NV, 0.0)
    return _expressions(target_NV, target_NV.sum(1) > 0.5 * sum_N)


def distribution(votes_NV: Votes) -> Cleaned:
    """Return the classes with the most votes, by share: as many as have 75 % of the votes, but at most three.

    Classes with equally many votes are added together; if these are more than three, the face is dropped. No class is
    added after `unknown` or `NF`.

    Args:
        votes_NV: FER+ votes, uint8 [N,10].

    Example:
        >>> target_NK, keep_N = distribution(np.array([[0, 8, 0, 2, 0, 0, 0, 0, 0, 0]], np.uint8))
        >>> target_NK.tolist(), keep_N.tolist()
        ([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [True])
    """
    left_NV, sum_N = _without_outliers(votes_NV)
    target_NV = np.zeros_like(left_NV)
    count_N, added_N = np.zeros(len(left_NV), np.int64), np.zeros(len(left_NV))
    for _ in range(MAX_CLASSES):
        open_N = (added_N < SUFFICIENT_SHARE * sum_N) & (count_N < MAX_CLASSES)
        most_N = left_NV.max(1, initial=0)
        for column in range(left_NV.shape[1]):
            equal_N = open_N & (left_NV[:, column] == most_N)
            if column >= EXPRESSIONS:
                # If expressions have been added, it is not, and stays the largest, so that nothing smaller is added.
                # If it comes first, it is added, and the face is dropped because it is the largest.
                equal_N &= added_N == 0
            target_NV[equal_N, column] = left_NV[equal_N, column]
            added_N[equal_N] += left_NV[equal_N, column]
            count_N[equal_N] += 1
            left_NV[equal_N, column] = 0
    return _expressions(target_NV, (added_N > 0.5 * sum_N) & (count_N <= MAX_CLASSES))


def _without_outliers(votes_NV: Votes) -> tuple[Floats, Floats]:
    """Return votes without single ones, [N,10], and their number per face, [N]."""
    count_NV = np.where(votes_NV > 1, votes_NV, 0).astype(np.float64)
    return count_NV, count_NV.sum(1)


def _expressions(target_NV: Floats, keep_N: NDArray[np.bool_]) -> Cleaned:
    """Return shares of the eight expressions; keep faces only if the largest of all ten columns is an expression."""
    keep_N = keep_N & (target_NV.argmax(1) < EXPRESSIONS)
    target_NK = np.where(keep_N[:, None], target_NV[:, :EXPRESSIONS], 0.0)
    return target_NK / np.maximum(target_NK.sum(1, keepdims=True), 1), keep_N


def relabel_by_majority(dataset: Dataset, labels: LabelSet = FERPLUS8) -> Dataset:
    """Return the faces that have a majority vote (FER+), labeled by it; FER+ accuracy is measured on these.

    Args:
        dataset: Data set with FER+ votes.
        labels: `FERPLUS8` or, by projection, `FER7`, for which faces with a majority for contempt are dropped.

    Raises:
        DataError: A split has no votes, or no face of it has a majority.

    Example:
        >>> from dataclasses import replace
        >>> from mien.data import relabel_by_majority, sketch
        >>> data = sketch(train=2, val=0, test=0)
        >>> votes_NV = np.array([[0, 6, 0, 4, 0, 0, 0, 0, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]], np.uint8)
        >>> data = replace(data, splits={"train": replace(data["train"], votes_NV=votes_NV)})
        >>> relabel_by_majority(data)["train"].labels_N.tolist()
        [1]
    """
    require_votes(dataset)
    splits = {name: _relabelled(split, majority, labels, dataset) for name, split in dataset.splits.items()}
    counts = ", ".join(f"{len(splits[s]):,} of {len(dataset[s]):,} in '{s}'" for s in SPLITS if s in splits)
    note = f"Labeled by the majority of FER+ votes in {labels.name}; only faces with a majority are kept: {counts}."
    notes = f"{dataset.note} {note}" if dataset.note else note
    return replace(dataset, name=NAME, labels=labels, splits=splits, note=notes)


def relabel_for_classes(dataset: Dataset, names: Sequence[str], *, by_votes: bool = False) -> Dataset:
    """Return `dataset` with the labels for the evaluation of a model: its own, or the majority of its FER+ votes.

    Args:
        dataset: Data set to evaluate on.
        names: Classes of the model.
        by_votes: Whether the model was trained on votes alone. Then it is evaluated by votes in FER2013's classes too,
            if all splits have votes, else by the labels.

    Raises:
        DataError: The classes are neither those of `dataset` nor FER+'s, or they are FER+'s and a split has no votes.
    """
    if same_classes(names, dataset.labels.names):
        has_votes = dataset.labels == FER7 and all(split.votes_NV is not None for split in dataset.splits.values())
        return relabel_by_majority(dataset, FER7) if by_votes and has_votes else dataset
    if same_classes(names, FERPLUS8.names):
        if all(split.votes_NV is None for split in dataset.splits.values()):
            raise DataError(
                f"models of FER+'s eight classes are evaluated by FER+ votes, but {dataset.source} has no votes; "
                "give fer2013new.csv with --votes, or evaluate by the labels in a benchmark of models: mien benchmark"
            )
        return relabel_by_majority(dataset)
    raise DataError(
        f"the model has the classes {', '.join(names)}, but {dataset.source} has {', '.join(dataset.labels.names)}"
    )


def label_source(dataset: Dataset) -> str:
    """Return what the labels of `dataset` come from, in words; only models with the same are compared.

    Example:
        >>> from mien.data import sketch
        >>> label_source(sketch(train=2, val=0, test=0))
        'fer7 by its own labels'
    """
    return f"{dataset.labels.name} by {'the majority of FER+ votes' if dataset.name == NAME else 'its own labels'}"


def targets_from_votes(rule: Rule, votes_NV: Votes, labels: LabelSet) -> Cleaned:
    """Apply `rule` to votes and return targets in the classes of `labels`, float64 [N,K], and which faces are kept.

    For `FER7` contempt is removed and the other shares are normalized again; a face with contempt only is dropped.

    Args:
        rule: `majority`, `multi_label` or `distribution`.
        votes_NV: FER+ votes, uint8 [N,10].
        labels: Label set of the targets.
    """
    target_NK, keep_N = rule(votes_NV)
    target_NK = target_NK @ projection(FERPLUS8, labels)
    sum_N = target_NK.sum(1)
    keep_N = keep_N & (sum_N > 0)
    return target_NK / np.where(keep_N, sum_N, 1)[:, None], keep_N


def select_faces(split: Split, keep_N: NDArray[np.bool_], labels_N: NDArray[np.int64]) -> Split:
    """Return the faces of `split` that are kept, with new labels.

    Args:
        split: Split to select from.
        keep_N: Which faces are kept, bool [N].
        labels_N: New class indices, int64 [N]; those of dropped faces are ignored.
    """
    votes_NV = None if split.votes_NV is None else split.votes_NV[keep_N]
    return Split(split.name, split.pixels_NHW[keep_N], labels_N[keep_N], split.rows_N[keep_N], votes_NV)


def require_votes(dataset: Dataset) -> None:
    """Raise a `DataError` if a split has no votes."""
    missing = [name for name, split in dataset.splits.items() if split.votes_NV is None]
    if missing:
        where = "" if len(missing) == len(dataset.splits) else f" for '{missing[0]}'"
        raise DataError(f"{dataset.source} has no FER+ votes{where}; give FER+'s fer2013new.csv with --votes")


def votes_digest(dataset: Dataset) -> str:
    """Return the MD5 of all votes of `dataset` as hex."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in SPLITS:
        if name in dataset:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(_votes(dataset[name])).tobytes())
    return digest.hexdigest()


def _relabelled(split: Split, rule: Rule, labels: LabelSet, dataset: Dataset) -> Split:
    target_NK, keep_N = targets_from_votes(rule, _votes(split), labels)
    if not keep_N.any():
        raise DataError(f"no face of '{split.name}' in {dataset.source} has a majority of FER+ votes in {labels.name}")
    return select_faces(split, keep_N, target_NK.argmax(1))


def _votes(split: Split) -> Votes:
    assert split.votes_NV is not None, "require_votes comes first"
    return split.votes_NV
