"""Near-duplicates within and between the splits of a data set.

The search takes half a minute for FER2013, so its result is cached beside the arrays of csv files (see `data.cache`),
under a hash of the faces themselves.
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
from mien.data.cache import cache_dir
from mien.data.dataset import SPLITS, Dataset, Split
from mien.data.near_duplicates import (
    MIN_CORRELATION,
    MIN_THUMBNAIL_CORRELATION,
    PATCH_SIDE,
    RESIZED_SIDES,
    THUMBNAIL_SHIFT,
    near_duplicate_pairs,
)

# Part of the hash, as a search with other settings finds other pairs.
_SETTINGS = f"duplicates 1 {MIN_CORRELATION} {MIN_THUMBNAIL_CORRELATION} {PATCH_SIDE} {THUMBNAIL_SHIFT} {RESIZED_SIDES}"


@dataclass(frozen=True, eq=False)
class NearDuplicateTable:
    """Pairs of faces of one data set that show the same image.

    Attributes:
        a_P: Row of the first face in its source, int64 [P]; it is in the earlier split of train, val and test, or
            earlier in the same split.
        b_P: Row of the second face in its source, int64 [P].
        mirrored_P: Whether one is the mirror image of the other, bool [P].
        correlation_P: Best correlation of the two, float32 [P]; 1.0 for equal faces.
    """

    a_P: NDArray[np.int64]
    b_P: NDArray[np.int64]
    mirrored_P: NDArray[np.bool_]
    correlation_P: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.a_P)

    def between(self, split: Split, other: Split) -> NearDuplicateTable:
        """Return the pairs of a face of `split` and a face of `other`; both may be the same split."""
        a_in, b_in = np.isin(self.a_P, split.rows_N), np.isin(self.b_P, other.rows_N)
        mask_P = a_in & b_in | np.isin(self.a_P, other.rows_N) & np.isin(self.b_P, split.rows_N)
        return NearDuplicateTable(
            self.a_P[mask_P], self.b_P[mask_P], self.mirrored_P[mask_P], self.correlation_P[mask_P]
        )

    def mask(self, split: Split, other: Split) -> NDArray[np.bool_]:
        """Return which faces of `split` have a duplicate in `other`, bool [N]."""
        pairs = self.between(split, other)
        return np.isin(split.rows_N, np.concatenate([pairs.a_P, pairs.b_P]))


def find_near_duplicates(dataset: Dataset, *, cache: bool = True) -> NearDuplicateTable:
    """Find all pairs of near-duplicates in a data set: faces that show the same image.

    Byte-identical faces are included, images of one constant value are not.

    Args:
        dataset: Data set whose splits are searched, each in itself and all against each other.
        cache: Whether to read the result from the cache if it is there, and to write it there if not.

    Returns:
        The pairs; its method `mask` marks the faces of one split that have a duplicate in another.

    Example:
        >>> from mien.data import find_near_duplicates, sketch
        >>> data = sketch(train=20, val=5, test=0)
        >>> table = find_near_duplicates(data, cache=False)
        >>> len(table), table.mask(data["val"], data["train"]).any().item()
        (0, False)
    """
    splits = [dataset[name] for name in SPLITS if name in dataset]
    faces_NHW = np.concatenate([split.pixels_NHW for split in splits])
    rows_N = np.concatenate([split.rows_N for split in splits])
    file = _cache_file(faces_NHW) if cache else None
    table = _read_cached(file, len(rows_N)) if file else None
    if table is None:
        pairs = near_duplicate_pairs(faces_NHW)
        table = np.stack([pairs.a_P, pairs.b_P, pairs.mirrored_P, pairs.correlation_P]).astype(np.float64)
        if file:
            _write_cached(file, table)
    a_P, b_P = table[:2].astype(np.int64)
    return NearDuplicateTable(rows_N[a_P], rows_N[b_P], table[2] > 0, table[3].astype(np.float32))


def _cache_file(faces_NHW: NDArray[np.uint8]) -> Path | None:
    """Return the file in the cache for the duplicates of these faces, None without a cache."""
    folder = cache_dir()
    if folder is None:
        return None
    digest = hashlib.sha256(_SETTINGS.encode())
    digest.update(np.ascontiguousarray(faces_NHW).data.cast("B"))
    return folder / f"{digest.hexdigest()[:32]}.near_duplicates.npy"


def _read_cached(file: Path, count: int) -> NDArray[np.float64] | None:
    """Return the cached pairs among `count` faces, None if the file is missing or damaged."""
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    valid = table.ndim == 2 and len(table) == 4 and table.dtype == np.float64
    return table if valid and (not table.size or 0 <= table[:2].min() <= table[:2].max() < count) else None


def _write_cached(file: Path, table: NDArray[np.float64]) -> None:
    """Write the pairs to the cache; do nothing if it is not writable."""
    array = io.BytesIO()
    np.save(array, table)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, [array.getvalue()])
