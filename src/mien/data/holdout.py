"""Validation split for folders that have none: a fifth of each class, chosen by content, or a fifth of the persons.

Names of files, order and random numbers have no influence, so a copied, renamed or reordered folder is split in the
same way.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ONE_IN = 5


def holdout_mask(faces_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64], keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """Return which images are held out for validation, bool [N].

    These are the first fifth, rounded up, of each label's different faces, sorted by key. Equal faces, and so
    byte-identical images, count once and stay together. A face under two labels is used for training, as no prediction
    for it could be evaluated. A label with one face is used for training; every other label is in both splits, unless
    all its faces are under another label too. So a new face moves at most one other face to the other split.

    Args:
        faces_NHW: Faces as the model gets them, uint8 [N,48,48]; images that are equal here are duplicates, however
            they are encoded.
        labels_N: Class index of each face, int64 [N].
        keys: Hash of each image's bytes. They define the order, as decoders round differently and bytes do not change.

    Example:
        >>> faces_NHW = np.arange(5, dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2)
        >>> holdout_mask(faces_NHW, np.zeros(5, np.int64), [b"d", b"b", b"a", b"c", b"e"]).tolist()
        [False, False, True, False, False]
    """
    duplicates: dict[bytes, list[int]] = defaultdict(list)
    for index, face in enumerate(faces_NHW):
        duplicates[face.tobytes()].append(index)
    face_counts: Counter[int] = Counter()
    one_label: dict[int, list[list[int]]] = defaultdict(list)
    for group in sorted(duplicates.values(), key=lambda group: min(keys[index] for index in group)):
        labels = set(labels_N[group].tolist())
        face_counts.update(labels)
        if len(labels) == 1:
            one_label[labels.pop()].append(group)
    mask_N = np.zeros(len(faces_NHW), np.bool_)
    for label, groups in one_label.items():
        count = -(-face_counts[label] // ONE_IN) if face_counts[label] > 1 else 0
        for group in groups[:count]:
            mask_N[group] = True
    return mask_N


def holdout_persons(persons: Sequence[str], labels_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which images are held out for validation, so that no person is in both splits, bool [N].

    These are the images of the first fifth of the persons, rounded up, sorted by the SHA-256 of their names. A person
    is skipped if one of the labels would be left without training images; so fewer may be held out, or none.

    Args:
        persons: Name of the person in each image; two or more persons.
        labels_N: Class index of each image, int64 [N].

    Example:
        >>> holdout_persons(["S010", "S010", "S011", "S014", "S022", "S026"], np.array([0, 1, 1, 0, 1, 0])).tolist()
        [False, False, False, False, True, False]
        >>> holdout_persons(["S010", "S010", "S011", "S014", "S022", "S026"], np.array([0, 1, 1, 0, 2, 0])).tolist()
        [True, True, False, False, False, False]
    """
    ordered = sorted(set(persons), key=lambda person: hashlib.sha256(person.encode()).digest())
    labels_of: dict[str, Counter[int]] = defaultdict(Counter)
    for person, label in zip(persons, labels_N.tolist(), strict=True):
        labels_of[person][label] += 1
    left = Counter(labels_N.tolist())
    held_out: set[str] = set()
    for person in ordered:
        if len(held_out) == -(-len(ordered) // ONE_IN):
            break
        if all(left[label] > count for label, count in labels_of[person].items()):
            held_out.add(person)
            left -= labels_of[person]
    return np.array([person in held_out for person in persons], np.bool_)
