"""What a data set holds and what is doubtful in it: faces per class, flat pictures, and byte-identical twins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.split import NO_LABEL, SPLITS, TRAIN, Dataset, Split


@dataclass(frozen=True)
class Audit:
    """The findings. Rows are counted from 0 in the source; `split` keys are in the order train, val, test.

    Attributes:
        name, source, digest, known_as, note, labels: of the data set (`labels` are the class names in order).
        counts: faces per split and class; a class `(no label)` where a split came without.
        flat: rows of pictures that are one constant value, ascending.
        redundant: per split, how many faces repeat an earlier one of the same split byte for byte.
        across: per pair of splits (`val in train`), how many faces of the first have a twin in the second.
        disputed: per split, groups of identical faces that do not all carry one label: their rows, ascending.
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
    disputed: dict[str, tuple[tuple[int, ...], ...]]

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
            "disputed": {split: [list(rows) for rows in groups] for split, groups in self.disputed.items()},
        }


def audit(dataset: Dataset) -> Audit:
    """Look through all faces of `dataset` once."""
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
        counts={split.name: _counts(split, dataset.labels.names) for split in there},
        flat=tuple(sorted(flat.tolist())),
        redundant={split.name: len(split) - len(groups[split.name]) for split in there},
        across={
            f"{later.name} in {earlier.name}": sum(
                len(places) for face, places in groups[later.name].items() if face in groups[earlier.name]
            )
            for i, later in enumerate(there)
            for earlier in there[:i]
        },
        disputed={split.name: _disputed(split, groups[split.name]) for split in there},
    )


def without_twins(dataset: Dataset, split: str) -> NDArray[np.bool_]:
    """Which faces of `split` are in training nowhere byte for byte, bool [N]: those that a net cannot know by heart.

    Raises:
        MissingSplit: `dataset` lacks `split` or a training split.
    """
    learned = set(_groups(dataset[TRAIN]))
    return np.array([face.tobytes() not in learned for face in dataset[split].pixels_NHW], bool)


def _groups(split: Split) -> dict[bytes, list[int]]:
    """Places in `split` of each face that there is; the faces' own bytes tell them apart, not a hash of them."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, face in enumerate(split.pixels_NHW):
        groups[face.tobytes()].append(place)
    return dict(groups)


def _is_flat(split: Split) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    pixels_NP = split.pixels_NHW.reshape(len(split), -1)
    return np.asarray(pixels_NP.min(axis=1) == pixels_NP.max(axis=1))


def _counts(split: Split, names: tuple[str, ...]) -> dict[str, int]:
    counts = {name: int((split.labels_N == k).sum()) for k, name in enumerate(names)}
    unlabelled = int((split.labels_N == NO_LABEL).sum())
    return counts | ({"(no label)": unlabelled} if unlabelled else {})


def _disputed(split: Split, groups: dict[bytes, list[int]]) -> tuple[tuple[int, ...], ...]:
    found = [tuple(split.rows_N[places].tolist()) for places in groups.values() if len(set(split.labels_N[places])) > 1]
    return tuple(sorted(found))
