"""FER+ votes as targets, and a data set relabelled by the majority vote.

Every rule takes votes uint8 [N,10] in the order of `labels.FERPLUS_COLUMNS` and gives a target float64 [N,8] over
`FERPLUS8` and `keep_N`, bool [N]. The rows that are kept sum to 1, the others are zeros. In all of them a lone vote for
a class is an outlier and does not count, and a face is dropped where what counts most is no expression.

Source: Barsoum et al. 2016, section 3 and 4, arXiv 1608.01041; the details are those of the authors' own program, as
it alone gives the sizes that they publish.
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

EXPRESSIONS = len(FERPLUS8)  # the first columns; behind them come `unknown` and `NF`
MULTI_SHARE = 0.3  # of the votes: what makes a class one of the labels of a face
ENOUGH = 0.75  # of the votes: when these are in, no further class is taken
MOST_CLASSES = 3  # more than these make a face too unclear to learn from

NAME = "ferplus"  # of a data set that is labelled by votes


def majority(votes_NV: Votes) -> Cleaned:
    """The one class that has more than half of the votes."""
    count_NV, sum_N = _without_outliers(votes_NV)
    first_N = count_NV.argmax(1)
    target_NV = np.zeros_like(count_NV)
    rows = np.arange(len(count_NV))
    target_NV[rows, first_N] = count_NV[rows, first_N]
    return _expressions(target_NV, count_NV.max(1, initial=0) > 0.5 * sum_N)


def multi_label(votes_NV: Votes) -> Cleaned:
    """The classes that have three tenths of the votes or more each, and together more than half."""
    count_NV, sum_N = _without_outliers(votes_NV)
    target_NV = np.where(count_NV >= MULTI_SHARE * sum_N[:, None], count_NV, 0.0)
    return _expressions(target_NV, target_NV.sum(1) > 0.5 * sum_N)


def distribution(votes_NV: Votes) -> Cleaned:
    """The classes with most votes, in shares: as many as make three quarters of the votes, but no more than three.

    Classes with equally many votes are taken together, and where that makes more than three, the face is dropped. At
    `unknown` or `NF` the taking ends.
    """
    left_NV, sum_N = _without_outliers(votes_NV)
    target_NV = np.zeros_like(left_NV)
    count_N, taken_N = np.zeros(len(left_NV), np.int64), np.zeros(len(left_NV))
    for _ in range(MOST_CLASSES):
        open_N = (taken_N < ENOUGH * sum_N) & (count_N < MOST_CLASSES)
        most_N = left_NV.max(1, initial=0)
        for column in range(left_NV.shape[1]):
            hit_N = open_N & (left_NV[:, column] == most_N)
            if column >= EXPRESSIONS:
                # Behind expressions it stays where it is, and nothing smaller is taken after it; ahead of them it is
                # taken, and being the largest drops the face.
                hit_N &= taken_N == 0
            target_NV[hit_N, column] = left_NV[hit_N, column]
            taken_N[hit_N] += left_NV[hit_N, column]
            count_N[hit_N] += 1
            left_NV[hit_N, column] = 0
    return _expressions(target_NV, (taken_N > 0.5 * sum_N) & (count_N <= MOST_CLASSES))


def _without_outliers(votes_NV: Votes) -> tuple[Floats, Floats]:
    """Votes without the lone ones, [N,10], and how many are left, [N]."""
    count_NV = np.where(votes_NV > 1, votes_NV, 0).astype(np.float64)
    return count_NV, count_NV.sum(1)


def _expressions(target_NV: Floats, keep_N: NDArray[np.bool_]) -> Cleaned:
    """Cut to the eight expressions and made shares; kept only where the largest of all ten is an expression."""
    keep_N = keep_N & (target_NV.argmax(1) < EXPRESSIONS)
    target_NK = np.where(keep_N[:, None], target_NV[:, :EXPRESSIONS], 0.0)
    return target_NK / np.maximum(target_NK.sum(1, keepdims=True), 1), keep_N


def relabel_by_majority(dataset: Dataset, labels: LabelSet = FERPLUS8) -> Dataset:
    """`dataset` as FER+ accuracy is measured: only the faces that have a majority, labelled by it.

    Args:
        labels: `FERPLUS8` or, by projection, `FER7`, where a face whose majority is contempt drops out.

    Raises:
        DataError: a split has no votes, or no face of it has a majority.
    """
    require_votes(dataset)
    splits = {name: _relabelled(split, majority, labels, dataset) for name, split in dataset.splits.items()}
    counts = ", ".join(f"{len(splits[s]):,} of {len(dataset[s]):,} in '{s}'" for s in SPLITS if s in splits)
    note = f"Labelled by the majority of FER+ votes in {labels.name}, so only faces that have one are kept: {counts}."
    notes = f"{dataset.note} {note}" if dataset.note else note
    return replace(dataset, name=NAME, labels=labels, splits=splits, note=notes)


def relabel_for_classes(dataset: Dataset, names: Sequence[str], *, by_votes: bool = False) -> Dataset:
    """`dataset` as a model with the classes `names` is judged on it: as it is, or by the majority of its FER+ votes.

    Args:
        by_votes: whether votes alone taught the model. Then it is judged by them in FER2013's classes too, if all
            splits have votes; without them there are the labels.

    Raises:
        DataError: the classes are neither those of `dataset` nor FER+'s, or they are FER+'s and a split has no votes.
    """
    if same_classes(names, dataset.labels.names):
        voted = dataset.labels == FER7 and all(split.votes_NV is not None for split in dataset.splits.values())
        return relabel_by_majority(dataset, FER7) if by_votes and voted else dataset
    if same_classes(names, FERPLUS8.names):
        if all(split.votes_NV is None for split in dataset.splits.values()):
            raise DataError(
                f"FER+'s eight classes are judged by its raters, and {dataset.source} has no votes; give the file that "
                "they are in, fer2013new.csv, with --votes, or evaluate against the labels with: mien benchmark"
            )
        return relabel_by_majority(dataset)
    raise DataError(
        f"the model tells {', '.join(names)} apart, but {dataset.source} is labelled {', '.join(dataset.labels.names)}"
    )


def label_source(dataset: Dataset) -> str:
    """By what models are judged on `dataset`, in words; only models that are judged by the same are ever compared."""
    return f"{dataset.labels.name} by {'the majority of FER+ votes' if dataset.name == NAME else 'its own labels'}"


def taught(rule: Rule, votes_NV: Votes, labels: LabelSet) -> Cleaned:
    """What `rule` makes of votes in the classes of `labels`: the target float64 [N,K], and which faces are kept.

    In `FER7` contempt is cut off and the rest made shares again; a face that is nothing else is dropped.
    """
    target_NK, keep_N = rule(votes_NV)
    target_NK = target_NK @ projection(FERPLUS8, labels)
    sum_N = target_NK.sum(1)
    keep_N = keep_N & (sum_N > 0)
    return target_NK / np.where(keep_N, sum_N, 1)[:, None], keep_N


def cut(split: Split, keep_N: NDArray[np.bool_], labels_N: NDArray[np.int64]) -> Split:
    """The faces of `split` that are kept, under new labels [N], of which those of dropped faces do not matter."""
    votes_NV = None if split.votes_NV is None else split.votes_NV[keep_N]
    return Split(split.name, split.pixels_NHW[keep_N], labels_N[keep_N], split.rows_N[keep_N], votes_NV)


def require_votes(dataset: Dataset) -> None:
    """`DataError` where a split has no votes."""
    lacking = [name for name, split in dataset.splits.items() if split.votes_NV is None]
    if lacking:
        where = "" if len(lacking) == len(dataset.splits) else f" for '{lacking[0]}'"
        raise DataError(
            f"{dataset.source} has no FER+ votes{where}; give the file that they are in, fer2013new.csv, with --votes"
        )


def votes_digest(dataset: Dataset) -> str:
    """MD5 of all votes of `dataset` as hex; two files of votes that differ in a split differ here."""
    total = hashlib.md5(usedforsecurity=False)
    for name in SPLITS:
        if name in dataset:
            total.update(name.encode())
            total.update(np.ascontiguousarray(_votes(dataset[name])).tobytes())
    return total.hexdigest()


def _relabelled(split: Split, rule: Rule, labels: LabelSet, dataset: Dataset) -> Split:
    target_NK, keep_N = taught(rule, _votes(split), labels)
    if not keep_N.any():
        raise DataError(f"no face of '{split.name}' in {dataset.source} has a majority of FER+ votes in {labels.name}")
    return cut(split, keep_N, target_NK.argmax(1))


def _votes(split: Split) -> Votes:
    assert split.votes_NV is not None, "require_votes comes first"
    return split.votes_NV
