"""Audit of a data set: class counts, flat images, duplicates, contradictory labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import NO_LABEL, SPLITS, TRAIN, Dataset, Split
from mien.data.duplicates import find_near_duplicates
from mien.data.rater_audit import RaterAudit, audit_raters
from mien.data.reading import Reading


@dataclass(frozen=True)
class NearDuplicateCounts:
    """Counts of near-duplicates by pair of splits: `val in train`, or `val in val` within one split.

    Attributes:
        faces: Number of faces of the first split that have a duplicate in the second, per pair and class.
        mirrored: Number of pairs of faces that are mirror images of each other, per pair of splits.
        contradicted: Number of pairs of faces with different labels, per pair of splits.
    """

    faces: dict[str, dict[str, int]]
    mirrored: dict[str, int]
    contradicted: dict[str, int]


@dataclass(frozen=True)
class Audit:
    """Findings of an audit. Rows are counted from 0 in the source; splits are in the order train, val, test.

    Attributes:
        name: Name of the data set.
        source: File or folder of the data set.
        digest: Digest of the data set.
        known_as: Name of the published original with this digest, or None.
        note: Note of the data set, or None.
        labels: Class names in order.
        counts: Number of faces per split and class, with a class `(no label)` for a split without labels.
        flat: Rows of images of one constant value, ascending.
        redundant: Number of faces that repeat an earlier one of the same split byte for byte, per split.
        across: Number of faces of the first split that have a byte-identical duplicate in the second, per pair of
            splits (`val in train`).
        contradicted: Groups of identical faces with different labels as their rows, ascending, per split.
        near: Near-duplicates; None if they were not searched.
        reading: What was decided and left out while the source was read.
        raters: Audit of each rater; empty if the source has no labels by rater.
    """

    name: str
    source: str
    digest: str
    known_as: str | None
    note: str | None
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    flat: tuple[int, ...]
    redundant: dict[str, int]
    across: dict[str, int]
    contradicted: dict[str, tuple[tuple[int, ...], ...]]
    near: NearDuplicateCounts | None = None
    reading: Reading = field(default_factory=Reading)
    raters: tuple[RaterAudit, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all findings as JSON types."""
        return {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "known_as": self.known_as,
            "note": self.note,
            "labels": list(self.labels),
            "counts": self.counts,
            "flat": list(self.flat),
            "redundant": self.redundant,
            "across": self.across,
            "contradicted": {split: [list(rows) for rows in groups] for split, groups in self.contradicted.items()},
            "near": None if self.near is None else asdict(self.near),
            "reading": self.reading.to_dict(),
            "raters": [rater.to_dict() for rater in self.raters],
        }


def audit(dataset: Dataset, *, near: bool = False) -> Audit:
    """Audit all faces of `dataset`.

    Args:
        dataset: Data set to examine.
        near: Whether to search near-duplicates too, which takes half a minute for FER2013 the first time (see
            `duplicates.find_near_duplicates`).

    Example:
        >>> from mien.data import sketch
        >>> result = audit(sketch(train=30, val=10, test=0))
        >>> result.redundant, result.across, result.flat
        ({'train': 0, 'val': 0}, {'val in train': 0}, ())
    """
    splits = [dataset[s] for s in SPLITS if s in dataset]
    groups = {split.name: _group_identical(split) for split in splits}
    flat = np.concatenate([split.rows_N[_is_flat(split)] for split in splits])
    return Audit(
        name=dataset.name,
        source=str(dataset.source),
        digest=dataset.digest,
        known_as=dataset.known_as,
        note=dataset.note,
        labels=dataset.labels.names,
        counts={split.name: _class_counts(split.labels_N, dataset.labels.names) for split in splits},
        flat=tuple(sorted(flat.tolist())),
        redundant={split.name: len(split) - len(groups[split.name]) for split in splits},
        across={
            f"{later.name} in {earlier.name}": sum(
                len(indices) for face, indices in groups[later.name].items() if face in groups[earlier.name]
            )
            for i, later in enumerate(splits)
            for earlier in splits[:i]
        },
        contradicted={split.name: _contradicted(split, groups[split.name]) for split in splits},
        near=_count_near_duplicates(dataset, splits) if near else None,
        reading=dataset.reading,
        raters=_audit_raters(dataset),
    )


def without_duplicates(dataset: Dataset, split: str, *, near: bool = False) -> NDArray[np.bool_]:
    """Return which faces of `split` have no duplicate in the training split, bool [N].

    Args:
        dataset: Data set with `split` and a training split.
        split: Name of the split whose faces are selected.
        near: Whether to exclude near-duplicates as well as byte-identical duplicates; the search takes half a minute
            for FER2013 the first time.

    Raises:
        MissingSplit: `dataset` lacks `split` or a training split.

    Example:
        >>> from mien.data import sketch
        >>> without_duplicates(sketch(train=30, val=10, test=0), "val").sum().item()
        10
    """
    faces, train = dataset[split], dataset[TRAIN]
    train_faces = set(_group_identical(train))
    keep_N = np.array([face.tobytes() not in train_faces for face in faces.pixels_NHW], bool)
    return keep_N & ~find_near_duplicates(dataset).mask(faces, train) if near else keep_N


def duplicates_of_evaluation(dataset: Dataset) -> NDArray[np.bool_]:
    """Return which training faces have a duplicate, byte-identical or near, in another split, bool [N].

    Args:
        dataset: Data set with a training split.

    Raises:
        MissingSplit: `dataset` lacks a training split.

    Example:
        >>> from mien.data import sketch
        >>> duplicates_of_evaluation(sketch(train=30, val=10, test=0)).any().item()
        False
    """
    train, others = dataset[TRAIN], [split for name, split in dataset.splits.items() if name != TRAIN]
    table = find_near_duplicates(dataset)
    evaluation_faces = {face.tobytes() for other in others for face in other.pixels_NHW}
    duplicate_N = np.array([face.tobytes() in evaluation_faces for face in train.pixels_NHW], bool)
    for other in others:
        duplicate_N |= table.mask(train, other)
    return duplicate_N


def _audit_raters(dataset: Dataset) -> tuple[RaterAudit, ...]:
    ratings = dataset.ratings
    return () if ratings is None else audit_raters(ratings, len(dataset.labels) + len(ratings.others))


def _count_near_duplicates(dataset: Dataset, splits: list[Split]) -> NearDuplicateCounts:
    table, names = find_near_duplicates(dataset), dataset.labels.names
    label_of = {row: label for split in splits for row, label in zip(split.rows_N, split.labels_N, strict=True)}
    faces, mirrored, contradicted = {}, {}, {}
    for i, later in enumerate(splits):
        for earlier in splits[: i + 1]:
            key, pairs = f"{later.name} in {earlier.name}", table.between(later, earlier)
            faces[key] = _class_counts(later.labels_N[table.mask(later, earlier)], names)
            mirrored[key] = int(pairs.mirrored_P.sum())
            contradicted[key] = sum(bool(label_of[a] != label_of[b]) for a, b in zip(pairs.a_P, pairs.b_P, strict=True))
    return NearDuplicateCounts(faces, mirrored, contradicted)


def _group_identical(split: Split) -> dict[bytes, list[int]]:
    """Return the indices of identical faces, by the bytes of the face: a hash could confuse two faces."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, face in enumerate(split.pixels_NHW):
        groups[face.tobytes()].append(index)
    return dict(groups)


def _is_flat(split: Split) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    pixels_NP = split.pixels_NHW.reshape(len(split), -1)
    return np.asarray(pixels_NP.min(axis=1) == pixels_NP.max(axis=1))


def _class_counts(labels_N: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, int]:
    counts = {name: int((labels_N == k).sum()) for k, name in enumerate(names)}
    unlabelled = int((labels_N == NO_LABEL).sum())
    return counts | ({"(no label)": unlabelled} if unlabelled else {})


def _contradicted(split: Split, groups: dict[bytes, list[int]]) -> tuple[tuple[int, ...], ...]:
    rows = [tuple(split.rows_N[group].tolist()) for group in groups.values() if len(set(split.labels_N[group])) > 1]
    return tuple(sorted(rows))
