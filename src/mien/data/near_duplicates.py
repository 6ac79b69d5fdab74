"""Near-duplicate detection by normalised correlation.

All pairs are looked at in two steps. A coarse one throws nearly all of them away: a thumbnail of 8x8 averages of one
face, less the mean of all faces', against five of the other: as it is, and moved by a little in four directions. What
is left is looked at closely: the middle of one face, in three sizes, is laid over the other at every shift of up to
four pixels, and the best correlation counts. Brightness and contrast do not change a correlation.
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

LEAST = 0.95  # the correlation from which on two faces are one image
COARSE = 0.85  # that of thumbnails below which a pair is not looked at closely
THUMB = 8  # pixels of a thumbnail's side
MOVED = 1.2  # pixels, so that faces up to 2 apart in both directions are within 1 of each other
MIDDLE = 40  # pixels of the square that is laid over the other face, so that it may move by 4 each way
SIZES = (SIDE, 46, 50)  # what a face is brought to: as it is, about 5 % smaller and larger
HOPELESS = 0.8  # below this as it is, another size makes no duplicate of it
FEW = 100  # faces: of fewer the mean is too much their own to be taken away in full
FAINT = 2.0  # grey levels: thumbnails that vary by less are noise, or one grey all over
ROWS, COLUMNS = 512, 2048  # of the table of all pairs that thumbnails are compared in at once


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of faces, the first always at the earlier place.

    Attributes:
        a_P, b_P: places of the two among the faces, int64 [P], ascending by both.
        mirrored_P: whether one is the mirror image of the other, bool [P].
        correlation_P: of the two where they fit best, float32 [P].
    """

    a_P: Ints
    b_P: Ints
    mirrored_P: NDArray[np.bool_]
    correlation_P: Floats

    def __len__(self) -> int:
        return len(self.a_P)


def near_duplicate_pairs(faces_NHW: Faces, least: float = LEAST, coarse: float = COARSE) -> Pairs:
    """All pairs of faces, uint8 [N,48,48], whose correlation is `least` or more; faces of one grey are in none."""
    as_is, mirrored = (_candidates(faces_NHW, mirror, coarse) for mirror in (False, True))
    a_P, b_P = np.concatenate([as_is, mirrored], axis=1)
    mirrored_P = np.arange(len(a_P)) >= as_is.shape[1]

    def look(start: int) -> list[float]:
        """At as many pairs at once as make it worth a thread's while."""
        here = zip(a_P[start : start + ROWS], b_P[start : start + ROWS], mirrored_P[start : start + ROWS], strict=True)
        return [closeness(faces_NHW[a][:, :: -1 if flip else 1], faces_NHW[b], least) for a, b, flip in here]

    with ThreadPoolExecutor(threads(), thread_name_prefix="mien-twins") as pool:
        parts = pool.map(look, range(0, len(a_P), ROWS))
        found_P = np.fromiter(chain.from_iterable(parts), np.float32, len(a_P))
    order = np.lexsort((mirrored_P, b_P, a_P))
    order = order[found_P[order] >= least]
    return Pairs(a_P[order], b_P[order], mirrored_P[order], found_P[order])


def closeness(a_HW: Faces, b_HW: Faces, enough: float = 1.0) -> float:
    """The best correlation, up to 1, of the middle of `a_HW` in one of `SIZES` with a part of `b_HW`.

    Args:
        enough: where one size gives as much as this, no other is tried.
    """
    best = 0.0
    for side in SIZES:
        sized_HW = cv2.resize(np.ascontiguousarray(a_HW), (side, side), interpolation=cv2.INTER_LINEAR)
        rim = (side - MIDDLE) // 2
        middle_HW = sized_HW[rim : rim + MIDDLE, rim : rim + MIDDLE]
        best = max(best, float(cv2.matchTemplate(b_HW, middle_HW, cv2.TM_CCOEFF_NORMED).max()))
        if best < HOPELESS or best >= enough:
            break
    return best


def _candidates(faces_NHW: Faces, mirror: bool, coarse: float) -> Ints:
    """Places of pairs whose thumbnails correlate by `coarse` or more, int64 [2,P], the earlier place first."""
    count = len(faces_NHW)
    plain_ND, clear_N1 = _thumbnails(faces_NHW, (0.0, 0.0), mirror=False)
    mean_D = plain_ND.sum(0) / np.float32(count + FEW)

    def without_mean(thumbs_ND: Floats) -> Floats:
        return np.where(clear_N1, _unit(thumbs_ND - mean_D), np.float32(0))

    moves = [(0.0, 0.0), *((x, y) for x in (-MOVED, MOVED) for y in (-MOVED, MOVED))]
    asked = [without_mean(_thumbnails(faces_NHW, move, mirror)[0]) for move in moves]
    plain_ND = without_mean(plain_ND)
    found = [np.empty((2, 0), np.int64)]
    for top in range(0, count, ROWS):
        for left in range(top, count, COLUMNS):
            block_MD = plain_ND[left : left + COLUMNS]
            hit_NM = np.zeros((len(plain_ND[top : top + ROWS]), len(block_MD)), bool)
            for moved_ND in asked:
                hit_NM |= moved_ND[top : top + ROWS] @ block_MD.T >= coarse
            places = np.divmod(np.flatnonzero(hit_NM), hit_NM.shape[1])
            pair_2P = np.stack(places) + np.array([[top], [left]])
            found.append(pair_2P[:, pair_2P[0] < pair_2P[1]])
    return np.concatenate(found, axis=1)


def _thumbnails(faces_NHW: Faces, move: tuple[float, float], mirror: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Thumbnails of faces moved by (right, down) pixels, less their own mean and of length 1: float32 [N,64].

    Beside them, bool [N,1], whether they vary enough to be compared.
    """
    across_TW, down_TH = _averages(move[0]), _averages(move[1])
    if mirror:
        across_TW = across_TW[:, ::-1]
    thumbs_ND = np.empty((len(faces_NHW), THUMB * THUMB), np.float32)
    for start in range(0, len(faces_NHW), COLUMNS):  # in parts: as float32 all faces take four times the room
        part_NHW = faces_NHW[start : start + COLUMNS].astype(np.float32)
        thumbs_ND[start : start + COLUMNS] = (down_TH @ part_NHW @ across_TW.T).reshape(len(part_NHW), -1)
    thumbs_ND -= thumbs_ND.mean(1, keepdims=True)
    return _unit(thumbs_ND), thumbs_ND.std(1, keepdims=True) >= FAINT


def _averages(move: float) -> Floats:
    """The matrix [THUMB,SIDE] that moves a line of pixels, repeating its ends, and averages what is in each cell."""
    weight_TS = np.zeros((THUMB, SIDE), np.float32)
    for pixel in range(SIDE):
        place = min(max(pixel - move, 0.0), SIDE - 1.0)
        first = min(int(place), SIDE - 2)
        weight_TS[pixel * THUMB // SIDE, first : first + 2] += (1 - place + first, place - first)
    return weight_TS * (THUMB / SIDE)


def _unit(vectors_ND: Floats) -> Floats:
    """Each of length 1; zeros stay zeros."""
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    scaled_ND: Floats = vectors_ND / np.maximum(length_N1, np.float32(1e-6))
    return scaled_ND
