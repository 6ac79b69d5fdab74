"""Near-duplicates within and between the splits of a data set.

To look for them takes half a minute for FER2013, so what was found is kept beside the arrays of csv files (`data.cache`
says where), under a hash of the faces themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import files
from mien.data import cache
from mien.data.dataset import SPLITS, Dataset, Split
from mien.data.near_duplicates import COARSE, LEAST, MIDDLE, MOVED, SIZES, near_duplicate_pairs

# Under which pairs are kept; another way of looking finds others.
_KIND = f"duplicates 1 {LEAST} {COARSE} {MIDDLE} {MOVED} {SIZES}"


@dataclass(frozen=True, eq=False)
class NearDuplicateTable:
    """Pairs of faces of one data set that are one image.

    Attributes:
        a_P, b_P: rows of the two in their source, int64 [P]; `a` is in the earlier split of train, val and test, or
            stands earlier in the same.
        mirrored_P: whether one is the mirror image of the other, bool [P].
        correlation_P: of the two where they fit best, float32 [P]; 1.0 where they are the same.
    """

    a_P: NDArray[np.int64]
    b_P: NDArray[np.int64]
    mirrored_P: NDArray[np.bool_]
    correlation_P: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.a_P)

    def between(self, one: Split, other: Split) -> NearDuplicateTable:
        """The pairs of a face of `one` with a face of `other`; within one split where both are the same."""
        a_in, b_in = np.isin(self.a_P, one.rows_N), np.isin(self.b_P, other.rows_N)
        hit_P = a_in & b_in | np.isin(self.a_P, other.rows_N) & np.isin(self.b_P, one.rows_N)
        return NearDuplicateTable(self.a_P[hit_P], self.b_P[hit_P], self.mirrored_P[hit_P], self.correlation_P[hit_P])

    def hit(self, one: Split, other: Split) -> NDArray[np.bool_]:
        """Which faces of `one` have a duplicate in `other`, bool [N]."""
        pairs = self.between(one, other)
        return np.isin(one.rows_N, np.concatenate([pairs.a_P, pairs.b_P]))


def find_near_duplicates(dataset: Dataset, *, keep: bool = True) -> NearDuplicateTable:
    """All near-duplicates in `dataset`, byte-identical ones among them, but for images of one grey.

    Args:
        keep: look in the cache first, and keep there what is found.
    """
    there = [dataset[name] for name in SPLITS if name in dataset]
    faces_NHW = np.concatenate([split.pixels_NHW for split in there])
    rows_N = np.concatenate([split.rows_N for split in there])
    file = _file(faces_NHW) if keep else None
    table = _kept(file, len(rows_N)) if file else None
    if table is None:
        pairs = near_duplicate_pairs(faces_NHW)
        table = np.stack([pairs.a_P, pairs.b_P, pairs.mirrored_P, pairs.correlation_P]).astype(np.float64)
        if file:
            _keep(file, table)
    a_P, b_P = table[:2].astype(np.int64)
    return NearDuplicateTable(rows_N[a_P], rows_N[b_P], table[2] > 0, table[3].astype(np.float32))


def _file(faces_NHW: NDArray[np.uint8]) -> Path | None:
    """Where the duplicates of these faces are kept; None where there is no cache."""
    home = cache.folder()
    if home is None:
        return None
    total = hashlib.sha256(_KIND.encode())
    total.update(np.ascontiguousarray(faces_NHW).data.cast("B"))
    return home / f"{total.hexdigest()[:32]}.twins"


def _kept(file: Path, count: int) -> NDArray[np.float64] | None:
    """What is kept of pairs among `count` faces; None where it must be looked for."""
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = table.ndim == 2 and len(table) == 4 and table.dtype == np.float64
    return table if whole and (not table.size or 0 <= table[:2].min() <= table[:2].max() < count) else None


def _keep(file: Path, table: NDArray[np.float64]) -> None:
    """As the cache of csv files: whatever goes wrong costs time and nothing else."""
    array = io.BytesIO()
    np.save(array, table)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, [array.getvalue()])
