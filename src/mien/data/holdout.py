"""Validation split for folders that have none: a fifth of each class, chosen by content.

Names, order and random numbers have no say, so a copied, renamed or reordered folder is split in the same way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ONE_IN = 5


def holdout_mask(faces_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64], keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """Which images validate, bool [N]: of each label's different faces, sorted by key, the first fifth, rounded up.

    Equal faces, and so byte-identical images, count once and stay together. A face that stands under two labels
    trains: no answer to it could be judged. A label with one face trains; every other label is on both sides, unless
    all its faces stand under another label too. So a new face moves at most one other across.

    Args:
        faces_NHW: what the model will see; images that look alike here are duplicates, however they are encoded.
        labels_N: the class of each.
        keys: a hash of each image's bytes. They make the order, as decoders round differently and bytes stay.
    """
    duplicates: dict[bytes, list[int]] = defaultdict(list)
    for place, face in enumerate(faces_NHW):
        duplicates[face.tobytes()].append(place)
    faces: Counter[int] = Counter()
    undisputed: dict[int, list[list[int]]] = defaultdict(list)
    for places in sorted(duplicates.values(), key=lambda places: min(keys[place] for place in places)):
        labels = set(labels_N[places].tolist())
        faces.update(labels)
        if len(labels) == 1:
            undisputed[labels.pop()].append(places)
    held_N = np.zeros(len(faces_NHW), np.bool_)
    for label, groups in undisputed.items():
        count = -(-faces[label] // ONE_IN) if faces[label] > 1 else 0
        for places in groups[:count]:
            held_N[places] = True
    return held_N
