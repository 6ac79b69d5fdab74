"""Folders of pictures: `train/<label>/*.png`, and beside `train` a `val` (or `validation`) and a `test`.

Pictures may be of any size and colour. They become grey, the middle square is cut out, and that is brought to 48x48 (by
area when it shrinks). Their order is that of their paths, sorted, so that a copy of the folder is the same data set.

Kaggle's copy of FER2013 as pictures has only `train` and `test`, and its `test` mixes two splits; its files are called
`PublicTest_123.jpg` and the like, and that name, where a picture has it, says which split the picture is of.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.offenders import Offenders, unreadable
from mien.data.split import SIDE, SPLITS, TEST, TRAIN, USAGE, VAL, Dataset, Split
from mien.errors import DataError
from mien.labels import FER7, SPELLINGS, LabelSet, label_set_for

ENDINGS = (".png", ".jpg", ".jpeg")
SPLIT_FOLDERS = {"train": TRAIN, "val": VAL, "validation": VAL, "test": TEST}
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.")


def is_picture_folder(path: Path) -> bool:
    """Whether `path` has a folder named like a split inside."""
    return any((path / name).is_dir() for name in SPLIT_FOLDERS)


def read_folder(path: Path) -> Dataset:
    """The pictures under `path` as grey faces of 48x48.

    The labels are the folders' names: FER7 when they are usual spellings of those seven, else a set of their own.

    Raises:
        DataError: no pictures there, or pictures that do not decode; names the first few of them.
    """
    try:
        pictures = _list(path)
        labels = _labels(path, pictures) if pictures else None
    except OSError as why:
        raise unreadable(Path(why.filename or path), why) from None
    if labels is None:
        raise DataError(
            f"{path}: has no pictures; expected {path.name}/train/<label>/*.png (or .jpg, .jpeg), "
            "and beside train, if there are any, val (or validation) and test"
        )
    faces_NHW, digest = _decode(path, pictures)
    index = {label: _index(labels, label) for label in {p.label for p in pictures}}
    labels_N = np.array([index[p.label] for p in pictures], np.int64)
    here_N = np.array([p.split for p in pictures])
    splits = {}
    for name in SPLITS:
        rows_N = np.flatnonzero(here_N == name)
        if len(rows_N):
            splits[name] = Split(name, faces_NHW[rows_N], labels_N[rows_N], rows_N.astype(np.int64))
    return Dataset("folder", path, digest, labels, splits)


@dataclass(frozen=True)
class _Picture:
    path: Path
    split: str
    label: str


def _list(root: Path) -> list[_Picture]:
    """All pictures under `root`, sorted by split folder, label and name."""
    found = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name in SPLIT_FOLDERS):
        for label in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            for file in sorted(label.iterdir()):
                if file.suffix.lower() in ENDINGS and not file.name.startswith("."):
                    kaggle = _KAGGLE_NAME.match(file.name)
                    split = USAGE[kaggle[1]] if kaggle else SPLIT_FOLDERS[folder.name]
                    found.append(_Picture(file, split, label.name))
    return found


def _labels(root: Path, pictures: list[_Picture]) -> LabelSet:
    """FER7 when each split spells the seven in its own way, consistently; else the names of all splits together."""
    names = [{p.label for p in pictures if p.split == split} for split in SPLITS]
    if all(_spells_fer7(mine) for mine in names):
        return FER7
    everywhere = sorted(set().union(*names))
    if len(everywhere) < 2:
        raise DataError(f"{root}: has pictures of one label only, '{everywhere[0]}'; expected two or more")
    return label_set_for(everywhere)


def _spells_fer7(names: set[str]) -> bool:
    """Whether these are spellings of some of the seven, no two of them of the same one."""
    usual = [SPELLINGS.get(name.strip().lower(), name.strip().lower()) for name in names]
    return set(usual) <= set(FER7.names) and len(set(usual)) == len(usual)


def _index(labels: LabelSet, folder_name: str) -> int:
    """The class of a label folder; a folder's own names are matched to the letter, so `A` may stand beside `a`."""
    return labels.names.index(folder_name) if folder_name in labels.names else labels.index(folder_name)


def _decode(root: Path, pictures: list[_Picture]) -> tuple[NDArray[np.uint8], str]:
    """Faces uint8 [N,48,48], and the MD5 of all names and bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    faces_NHW = np.empty((len(pictures), SIDE, SIDE), np.uint8)
    faults = Offenders(root, "picture")
    for i, picture in enumerate(pictures):
        name = picture.path.relative_to(root).as_posix()
        try:
            data = picture.path.read_bytes()
        except OSError as why:
            faults.add_named(i, f"{name}: {why.strerror or why}")
            continue
        digest.update(f"{name}\n{len(data)}\n".encode("utf-8", "surrogateescape") + data)
        face = to_face(data)
        if face is None:
            faults.add_named(i, f"{name}: {len(data):,} bytes that do not decode, expected a PNG or JPEG picture")
        else:
            faces_NHW[i] = face
    faults.raise_if_any()
    return faces_NHW, digest.hexdigest()


def to_face(data: bytes) -> NDArray[np.uint8] | None:
    """The middle square of an encoded picture, grey, uint8 [48,48]; None when it does not decode."""
    if not data:
        return None
    try:
        grey_HW = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    if grey_HW is None:
        return None
    high, wide = grey_HW.shape
    side = min(high, wide)
    top, left = (high - side) // 2, (wide - side) // 2
    square = grey_HW[top : top + side, left : left + side]
    if side == SIDE:
        return np.asarray(square, np.uint8)
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=how), np.uint8)
