"""Near-duplicate detection by normalized correlation.

All pairs are searched in two steps. The coarse step rejects nearly all of them: it correlates a thumbnail of 8x8
averages of one face, less the mean thumbnail of all faces, with five thumbnails of the other: one of the face as it is
and four of the face shifted a little in the four diagonal directions. The fine step compares the remaining pairs: it
slides the middle of one face, in three sizes, over the other at every shift of up to four pixels and takes the best
correlation. Brightness and contrast do not change a correlation.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.threads import threads

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Faces = NDArray[np.uint8]

MIN_CORRELATION = 0.95  # two faces whose correlation is this or more are near-duplicates
MIN_THUMBNAIL_CORRELATION = 0.85  # pairs whose thumbnails correlate less are rejected in the coarse step
THUMBNAIL_SIDE = 8  # pixels
THUMBNAIL_SHIFT = 1.2  # pixels; faces up to 2 apart in both directions are then within 1 of each other
PATCH_SIDE = 40  # pixels of the square that slides over the other face, by up to 4 in each direction
RESIZED_SIDES = (SIDE, 46, 50)  # sizes that a face is brought to: unchanged, about 5 % smaller and larger
MIN_UNRESIZED_CORRELATION = 0.8  # a pair that correlates less at its own size is not tried in other sizes
MEAN_PRIOR = 100  # faces of mean zero added to the mean thumbnail, which of few faces would be too much their own
MIN_THUMBNAIL_STD = 2.0  # gray levels; thumbnails that vary less are noise or one constant value
ROWS, COLUMNS = 512, 2048  # size of the blocks in which all pairs of thumbnails are compared


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of faces, the one with the smaller index first.

    Attributes:
        a_P: Index of the first face, int64 [P]; ascending.
        b_P: Index of the second face, int64 [P]; ascending within each `a_P`.
        mirrored_P: Whether one is the mirror image of the other, bool [P].
        correlation_P: Best correlation of the two, float32 [P].
    """

    a_P: Ints
    b_P: Ints
    mirrored_P: NDArray[np.bool_]
    correlation_P: Floats

    def __len__(self) -> int:
        return len(self.a_P)


def near_duplicate_pairs(
    faces_NHW: Faces,
    min_correlation: float = MIN_CORRELATION,
    min_thumbnail_correlation: float = MIN_THUMBNAIL_CORRELATION,
) -> Pairs:
    """Return all pairs of faces whose correlation is `min_correlation` or more.

    Args:
        faces_NHW: Gray faces, uint8 [N,48,48]; images of one constant value are in no pair.
        min_correlation: Smallest correlation of a near-duplicate.
        min_thumbnail_correlation: Smallest correlation of thumbnails that the fine step compares.

    Example:
        >>> from mien.data import sketch
        >>> faces_NHW = sketch(train=20, val=0, test=0)["train"].pixels_NHW
        >>> faces_NHW[7] = faces_NHW[3][:, ::-1]
        >>> pairs = near_duplicate_pairs(faces_NHW)
        >>> pairs.a_P.tolist(), pairs.b_P.tolist(), pairs.mirrored_P.tolist()
        ([3], [7], [True])
    """
    upright, mirrored = (_candidates(faces_NHW, mirror, min_thumbnail_correlation) for mirror in (False, True))
    a_P, b_P = np.concatenate([upright, mirrored], axis=1)
    mirrored_P = np.arange(len(a_P)) >= upright.shape[1]

    def correlate(start: int) -> list[float]:
        """Return the correlations of `ROWS` candidates: enough work for one task of a thread."""
        part = slice(start, start + ROWS)
        pairs = zip(a_P[part], b_P[part], mirrored_P[part], strict=True)
        return [
            best_correlation(faces_NHW[a][:, :: -1 if mirror else 1], faces_NHW[b], min_correlation)
            for a, b, mirror in pairs
        ]

    with ThreadPoolExecutor(threads(), thread_name_prefix="mien-duplicates") as pool:
        parts = pool.map(correlate, range(0, len(a_P), ROWS))
        correlation_P = np.fromiter(chain.from_iterable(parts), np.float32, len(a_P))
    order = np.lexsort((mirrored_P, b_P, a_P))
    order = order[correlation_P[order] >= min_correlation]
    return Pairs(a_P[order], b_P[order], mirrored_P[order], correlation_P[order])


def best_correlation(a_HW: Faces, b_HW: Faces, sufficient: float = 1.0) -> float:
    """Return the best correlation, up to 1, of the middle of `a_HW` in one of `RESIZED_SIDES` with a part of `b_HW`.

    Args:
        a_HW: Gray face whose middle is compared, uint8 [48,48].
        b_HW: Gray face that it is compared with, uint8 [48,48].
        sufficient: Correlation at which no further size is tried.
    """
    best = 0.0
    for side in RESIZED_SIDES:
        resized_HW = cv2.resize(np.ascontiguousarray(a_HW), (side, side), interpolation=cv2.INTER_LINEAR)
        margin = (side - PATCH_SIDE) // 2
        patch_HW = resized_HW[margin : margin + PATCH_SIDE, margin : margin + PATCH_SIDE]
        best = max(best, float(cv2.matchTemplate(b_HW, patch_HW, cv2.TM_CCOEFF_NORMED).max()))
        if best < MIN_UNRESIZED_CORRELATION or best >= sufficient:
            break
    return best


def _candidates(faces_NHW: Faces, mirror: bool, min_correlation: float) -> Ints:
    """Return indices of pairs whose thumbnails correlate by `min_correlation` or more, int64 [2,P], smaller first."""
    count = len(faces_NHW)
    thumbs_ND, usable_N1 = _thumbnails(faces_NHW, (0.0, 0.0), mirror=False)
    mean_D = thumbs_ND.sum(0) / np.float32(count + MEAN_PRIOR)

    def without_mean(thumbs_ND: Floats) -> Floats:
        return np.where(usable_N1, _normalised(thumbs_ND - mean_D), np.float32(0))

    shift = THUMBNAIL_SHIFT
    shifts = [(0.0, 0.0), *((x, y) for x in (-shift, shift) for y in (-shift, shift))]
    shifted = [without_mean(_thumbnails(faces_NHW, shift_xy, mirror)[0]) for shift_xy in shifts]
    thumbs_ND = without_mean(thumbs_ND)
    blocks = [np.empty((2, 0), np.int64)]
    for top in range(0, count, ROWS):
        for left in range(top, count, COLUMNS):
            block_MD = thumbs_ND[left : left + COLUMNS]
            similar_NM = np.zeros((len(thumbs_ND[top : top + ROWS]), len(block_MD)), bool)
            for shifted_ND in shifted:
                similar_NM |= shifted_ND[top : top + ROWS] @ block_MD.T >= min_correlation
            indices = np.divmod(np.flatnonzero(similar_NM), similar_NM.shape[1])
            pair_2P = np.stack(indices) + np.array([[top], [left]])
            blocks.append(pair_2P[:, pair_2P[0] < pair_2P[1]])
    return np.concatenate(blocks, axis=1)


def _thumbnails(faces_NHW: Faces, shift: tuple[float, float], mirror: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Return thumbnails of faces shifted by (right, down) pixels, float32 [N,64], and which are usable, bool [N,1].

    Each thumbnail has mean 0 and length 1; it is usable if it varies enough to be compared.
    """
    across_TW, down_TH = _averaging_matrix(shift[0]), _averaging_matrix(shift[1])
    if mirror:
        across_TW = across_TW[:, ::-1]
    thumbs_ND = np.empty((len(faces_NHW), THUMBNAIL_SIDE * THUMBNAIL_SIDE), np.float32)
    for start in range(0, len(faces_NHW), COLUMNS):  # in parts, as float32 takes four times the memory of uint8
        part_NHW = faces_NHW[start : start + COLUMNS].astype(np.float32)
        thumbs_ND[start : start + COLUMNS] = (down_TH @ part_NHW @ across_TW.T).reshape(len(part_NHW), -1)
    thumbs_ND -= thumbs_ND.mean(1, keepdims=True)
    return _normalised(thumbs_ND), thumbs_ND.std(1, keepdims=True) >= MIN_THUMBNAIL_STD


def _averaging_matrix(shift: float) -> Floats:
    """Return the matrix [THUMBNAIL_SIDE,SIDE] that shifts a line of pixels, repeating its ends, and averages cells."""
    weight_TS = np.zeros((THUMBNAIL_SIDE, SIDE), np.float32)
    for pixel in range(SIDE):
        position = min(max(pixel - shift, 0.0), SIDE - 1.0)
        first = min(int(position), SIDE - 2)
        weight_TS[pixel * THUMBNAIL_SIDE // SIDE, first : first + 2] += (1 - position + first, position - first)
    return weight_TS * (THUMBNAIL_SIDE / SIDE)


def _normalised(vectors_ND: Floats) -> Floats:
    """Return the vectors at length 1; zeros stay zeros."""
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    normalised_ND: Floats = vectors_ND / np.maximum(length_N1, np.float32(1e-6))
    return normalised_ND
