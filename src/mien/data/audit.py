"""Audit of a data set: class counts, flat images, duplicates, contradictory labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import NO_LABEL, SPLITS, TRAIN, Dataset, Split
from mien.data.duplicates import find_near_duplicates


@dataclass(frozen=True)
class NearDuplicates:
    """Faces that are one image, bytes apart: counts by pair of splits, `val in train`, or `val in val` within one.

    Attributes:
        faces: per pair and class, how many faces of the first have such a duplicate in the second.
        mirrored: per pair, how many pairs of faces are mirror images of each other.
        disputed: per pair, how many pairs of faces are under two labels.
    """

    faces: dict[str, dict[str, int]]
    mirrored: dict[str, int]
    contradicted: dict[str, int]


@dataclass(frozen=True)
class Audit:
    """The findings. Rows are counted from 0 in the source; `split` keys are in the order train, val, test.

    Attributes:
        name, source, digest, known_as, note, labels: of the data set (`labels` are the class names in order).
        counts: faces per split and class; a class `(no label)` where a split came without.
        flat: rows of images that are one constant value, ascending.
        redundant: per split, how many faces repeat an earlier one of the same split byte for byte.
        across: per pair of splits (`val in train`), how many faces of the first have a duplicate in the second.
        disputed: per split, groups of identical faces that do not all carry one label: their rows, ascending.
        near: duplicates whose bytes may differ; None where they were not looked for.
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
    near: NearDuplicates | None = None

    def to_dict(self) -> dict[str, Any]:
        """Every finding as JSON types."""
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
        }


def audit(dataset: Dataset, *, near: bool = False) -> Audit:
    """Look through all faces of `dataset`.

    Args:
        near: look for near-duplicates too: half a minute for FER2013, the first time
            (`duplicates.find_near_duplicates`).
    """
    there = [dataset[s] for s in SPLITS if s in dataset]
    groups = {split.name: _groups(split) for split in there}
    flat = np.concatenate([split.rows_N[_is_flat(split)] for split in there])
    return Audit(
        name=dataset.name,
        source=str(dataset.source),
        digest=dataset.digest,
        known_as=dataset.known_as,
        note=dataset.note,
        labels=dataset.labels.names,
        counts={split.name: _counts(split.labels_N, dataset.labels.names) for split in there},
        flat=tuple(sorted(flat.tolist())),
        redundant={split.name: len(split) - len(groups[split.name]) for split in there},
        across={
            f"{later.name} in {earlier.name}": sum(
                len(places) for face, places in groups[later.name].items() if face in groups[earlier.name]
            )
            for i, later in enumerate(there)
            for earlier in there[:i]
        },
        contradicted={split.name: _disputed(split, groups[split.name]) for split in there},
        near=_near(dataset, there) if near else None,
    )


def without_duplicates(dataset: Dataset, split: str, *, near: bool = False) -> NDArray[np.bool_]:
    """Which faces of `split` are in training nowhere byte for byte, bool [N]: those that a model cannot know by heart.

    Args:
        near: nor cut, sized, stored, lit or mirrored anew; to look for that takes half a minute the first time.

    Raises:
        MissingSplit: `dataset` lacks `split` or a training split.
    """
    faces, train = dataset[split], dataset[TRAIN]
    learned = set(_groups(train))
    keep_N = np.array([face.tobytes() not in learned for face in faces.pixels_NHW], bool)
    return keep_N & ~find_near_duplicates(dataset).hit(faces, train) if near else keep_N


def duplicates_of_evaluation(dataset: Dataset) -> NDArray[np.bool_]:
    """Which training faces have a duplicate, byte-identical or near, in another split, bool [N].

    Raises:
        MissingSplit: `dataset` lacks a training split.
    """
    train, others = dataset[TRAIN], [split for name, split in dataset.splits.items() if name != TRAIN]
    duplicates, judged = (
        find_near_duplicates(dataset),
        {face.tobytes() for other in others for face in other.pixels_NHW},
    )
    copied_N = np.array([face.tobytes() in judged for face in train.pixels_NHW], bool)
    for other in others:
        copied_N |= duplicates.hit(train, other)
    return copied_N


def _near(dataset: Dataset, there: list[Split]) -> NearDuplicates:
    duplicates, names = find_near_duplicates(dataset), dataset.labels.names
    label_of = {row: label for split in there for row, label in zip(split.rows_N, split.labels_N, strict=True)}
    faces, mirrored, contradicted = {}, {}, {}
    for i, later in enumerate(there):
        for earlier in there[: i + 1]:
            pair, found = f"{later.name} in {earlier.name}", duplicates.between(later, earlier)
            faces[pair] = _counts(later.labels_N[duplicates.hit(later, earlier)], names)
            mirrored[pair] = int(found.mirrored_P.sum())
            contradicted[pair] = sum(
                bool(label_of[a] != label_of[b]) for a, b in zip(found.a_P, found.b_P, strict=True)
            )
    return NearDuplicates(faces, mirrored, contradicted)


def _groups(split: Split) -> dict[bytes, list[int]]:
    """Places in `split` of each face that there is; the faces' own bytes tell them apart, not a hash of them."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, face in enumerate(split.pixels_NHW):
        groups[face.tobytes()].append(place)
    return dict(groups)


def _is_flat(split: Split) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    pixels_NP = split.pixels_NHW.reshape(len(split), -1)
    return np.asarray(pixels_NP.min(axis=1) == pixels_NP.max(axis=1))


def _counts(labels_N: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, int]:
    counts = {name: int((labels_N == k).sum()) for k, name in enumerate(names)}
    unlabelled = int((labels_N == NO_LABEL).sum())
    return counts | ({"(no label)": unlabelled} if unlabelled else {})


def _disputed(split: Split, groups: dict[bytes, list[int]]) -> tuple[tuple[int, ...], ...]:
    found = [tuple(split.rows_N[places].tolist()) for places in groups.values() if len(set(split.labels_N[places])) > 1]
    return tuple(sorted(found))
