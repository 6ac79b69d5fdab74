"""Reader of image folders: `train/<label>/*.png` beside `val` and `test`, or `<label>/*.png`.

Images may be of any size and color. They become grey, the middle square is cut out, and that is brought to 48x48 (by
area when it shrinks). Their order is that of their paths, sorted, so that a copy of the folder is the same data set.

Where there are labels without splits, a fifth of each label is held out as `val`; `data.holdout` says which.

Label folders that differ only in case, surrounding spaces or Unicode form are one label, spelled as in `train`. FER7's
seven are also known by their usual other names, so `train/happy` may go with `test/happiness`.

Kaggle's copy of FER2013 as images has only `train` and `test`, and its `test` mixes two splits; its files are called
`PublicTest_123.jpg` and the like, and that name, where an image in a split folder has it, says which split it is of.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE, SPLITS, TEST, TRAIN, USAGE, VAL, Dataset, Split
from mien.data.holdout import holdout_mask
from mien.data.row_errors import RowErrors, unreadable
from mien.errors import DataError
from mien.labels import FER7, LabelSet, canonical_name, label_set_for
from mien.threads import threads_from_environment

ENDINGS = (".png", ".jpg", ".jpeg")
SPLIT_FOLDERS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
HELD_OUT = "There are no split folders, so val is a fifth of each label's images, chosen by content; the rest is train."
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.")


def is_image_folder(path: Path) -> bool:
    """Whether `path` has a folder inside that is named like a split or has images of its own."""
    return path.is_dir() and any(f.name in SPLIT_FOLDERS or _has_images(f) for f in _folders(path))


def read_folder(path: Path) -> Dataset:
    """The images under `path` as grey faces of 48x48.

    The labels are the folders' names: FER7 when they are usual spellings of those seven, else a set of their own.

    Raises:
        DataError: no images there, folders that contradict each other, a label that only `val` or `test` has, or
            images that do not decode; names the first few of them.
    """
    cv2.setNumThreads(threads_from_environment() or cv2.getNumThreads())
    try:
        flat = not any(f.name in SPLIT_FOLDERS for f in _folders(path))
        found = _list_labels(path) if flat else _list_splits(path)
        if not found:
            raise DataError(
                f"{path}: has no images; expected {path.name}/train/<label>/*.png (or .jpg, .jpeg), and beside "
                f"train, if there are any, val (or validation) and test; or only {path.name}/<label>/*.png"
            )
        images = _in_one_spelling(path, found)
        labels = _labels(path, images)
        faces_NHW, digest, keys = _decode(path, images)
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from None
    index = {label: labels.index(label) for label in {p.label for p in images}}
    labels_N = np.array([index[p.label] for p in images], np.int64)
    here_N = np.array([p.split for p in images])
    note = None
    if flat:
        here_N = np.where(holdout_mask(faces_NHW, labels_N, keys), VAL, TRAIN)
        note = HELD_OUT if (here_N == VAL).any() else None
    splits = {}
    for name in SPLITS:
        rows_N = np.flatnonzero(here_N == name)
        if len(rows_N):
            splits[name] = Split(name, faces_NHW[rows_N], labels_N[rows_N], rows_N.astype(np.int64))
    return Dataset("folder", path, digest, labels, splits, note=note)


@dataclass(frozen=True)
class _Image:
    path: Path
    split: str
    label: str


def _list_splits(root: Path) -> list[_Image]:
    """All images under the split folders of `root`, sorted by split folder, label and name."""
    splits = [f for f in _folders(root) if f.name in SPLIT_FOLDERS]
    beside = [f for f in _folders(root) if f.name not in SPLIT_FOLDERS and _has_images(f)]
    if beside:
        raise DataError(
            f"{root}: has the split {_names(splits)} beside folders with images of their own ({_names(beside)}); "
            f"expected either {root.name}/train/<label>/*.png or {root.name}/<label>/*.png, not both"
        )
    found = []
    for folder in splits:
        for label in _folders(folder):
            for file in _images(label):
                kaggle = _KAGGLE_NAME.match(file.name)
                split = USAGE[kaggle[1]] if kaggle else SPLIT_FOLDERS[folder.name]
                found.append(_Image(file, split, label.name))
    return found


def _list_labels(root: Path) -> list[_Image]:
    """All images under the label folders of `root`, sorted by label and name; all to train on, as yet."""
    return [_Image(file, TRAIN, label.name) for label in _folders(root) for file in _images(label)]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in ENDINGS and not f.name.startswith("."))


def _has_images(folder: Path) -> bool:
    try:
        return bool(_images(folder))
    except PermissionError:  # such as the lost+found at the top of a disk; a label that is closed fails when it is read
        return False


def _names(folders: list[Path]) -> str:
    return ", ".join(f.name for f in folders)


def _in_one_spelling(root: Path, images: list[_Image]) -> list[_Image]:
    """The images with each label spelled as in the first split that has it."""
    near_duplicate_pairs: dict[tuple[Path, str], Path] = {}
    for folder in dict.fromkeys(p.path.parent for p in images):
        other = near_duplicate_pairs.setdefault((folder.parent, _plain(folder.name)), folder)
        if other != folder:
            one, two = (f"'{f.relative_to(root).as_posix()}'" for f in (other, folder))
            raise DataError(
                f"{root}: {one} and {two} differ only in case, spaces or Unicode form; expected one folder per label"
            )
    spellings: dict[str, str] = {}
    for image in sorted(images, key=lambda p: SPLITS.index(p.split)):
        spellings.setdefault(_plain(image.label), image.label.strip())
    return [replace(p, label=spellings[_plain(p.label)]) for p in images]


def _plain(label: str) -> str:
    """What spellings of one label have in common."""
    return unicodedata.normalize("NFC", label.strip().casefold())


def _labels(root: Path, images: list[_Image]) -> LabelSet:
    """FER7 when each split spells the seven in its own way, consistently; else the names of the training images."""
    names = {split: {p.label for p in images if p.split == split} for split in SPLITS}
    if all(_spells_fer7(mine) for mine in names.values()):
        return FER7
    everywhere = sorted(set().union(*names.values()))
    if len(everywhere) < 2:
        raise DataError(f"{root}: has images of one label only, '{everywhere[0]}'; expected two or more")
    # Images to test on may come alone; where there are some to train on, a model learns no label but theirs.
    unseen = [name for name in everywhere if name not in names[TRAIN]] if names[TRAIN] else []
    if unseen:
        raise DataError(
            f"{root}: train has no images labelled {_quoted(unseen)}, so no model can learn to tell them; expected in "
            f"val and test only labels of train, which are {_quoted(sorted(names[TRAIN]))}"
        )
    return label_set_for(everywhere)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _spells_fer7(names: set[str]) -> bool:
    """Whether these are spellings of some of the seven, no two of them of the same one."""
    usual = [canonical_name(name) for name in names]
    return set(usual) <= set(FER7.names) and len(set(usual)) == len(usual)


def _decode(root: Path, images: list[_Image]) -> tuple[NDArray[np.uint8], str, list[bytes]]:
    """Faces uint8 [N,48,48], the MD5 of all names and bytes, and the SHA-256 of each image's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    faces_NHW = np.empty((len(images), SIDE, SIDE), np.uint8)
    keys = []
    faults = RowErrors(root, "image")
    for i, image in enumerate(images):
        name = image.path.relative_to(root).as_posix()
        try:
            data = image.path.read_bytes()
        except OSError as error:
            faults.add_named(i, f"{name}: {error.strerror or error}")
            continue
        digest.update(f"{name}\n{len(data)}\n".encode("utf-8", "surrogateescape") + data)
        keys.append(hashlib.sha256(data).digest())
        face = decode_face(data)
        if face is None:
            faults.add_named(i, f"{name}: {len(data):,} bytes that do not decode, expected a PNG or JPEG image")
        else:
            faces_NHW[i] = face
    faults.raise_if_any()
    return faces_NHW, digest.hexdigest(), keys


def decode_face(data: bytes) -> NDArray[np.uint8] | None:
    """The middle square of an encoded image, grey, uint8 [48,48]; None when it does not decode."""
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
