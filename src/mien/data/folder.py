"""Reader of image folders: `train/<label>/*.png` beside `val` and `test`, or `<label>/*.png`.

Images may have any size and color. They are converted to grey, cropped to the middle square and resized to 48x48 (by
area if they shrink). They are sorted by path, so that a copy of the folder is the same data set.

If there are labels without splits, a fifth of each label is held out as `val` (see `data.holdout`).

Label folders that differ only in case, surrounding spaces or Unicode form are one label, spelled as in `train`. FER7's
seven classes also have their usual other names, so `train/happy` and `test/happiness` are one class.

Kaggle's copy of FER2013 as images has only `train` and `test`, and its `test` mixes two splits. Its files are called
`PublicTest_123.jpg` and the like; an image in a split folder with such a name belongs to the split in its name.
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
from mien.errors import DataError, ImageError
from mien.imaging.load import read_image_and_notes
from mien.labels import FER7, LabelSet, canonical_name, label_set_for
from mien.threads import threads_from_environment

ENDINGS = (".png", ".jpg", ".jpeg")
SPLIT_FOLDERS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
HELD_OUT = "There are no split folders, so val is a fifth of each label's images, chosen by content; the rest is train."
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.")


def is_image_folder(path: Path) -> bool:
    """Return whether `path` contains a folder that is named like a split or directly contains images."""
    return path.is_dir() and any(f.name in SPLIT_FOLDERS or _has_images(f) for f in _folders(path))


def read_folder(path: Path) -> Dataset:
    """Read the images under `path` as grey faces of 48x48.

    The labels are the names of the folders: FER7 if they are usual spellings of those seven, else a new label set.

    Args:
        path: Folder with split or label folders.

    Raises:
        DataError: There are no images, folders contradict each other, only `val` or `test` has a label, or images
            cannot be decoded; names the first few of them.
    """
    cv2.setNumThreads(threads_from_environment() or cv2.getNumThreads())
    try:
        flat = not any(f.name in SPLIT_FOLDERS for f in _folders(path))
        listed = _list_labels(path) if flat else _list_splits(path)
        if not listed:
            raise DataError(
                f"{path}: has no images; expected {path.name}/train/<label>/*.png (or .jpg, .jpeg), optionally with "
                f"val (or validation) and test beside train; or only {path.name}/<label>/*.png"
            )
        images = _unify_spelling(path, listed)
        labels = _labels(path, images)
        faces_NHW, digest, keys = _decode(path, images)
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from None
    index = {label: labels.index(label) for label in {p.label for p in images}}
    labels_N = np.array([index[p.label] for p in images], np.int64)
    split_N = np.array([p.split for p in images])
    note = None
    if flat:
        split_N = np.where(holdout_mask(faces_NHW, labels_N, keys), VAL, TRAIN)
        note = HELD_OUT if (split_N == VAL).any() else None
    splits = {}
    for name in SPLITS:
        rows_N = np.flatnonzero(split_N == name)
        if len(rows_N):
            splits[name] = Split(name, faces_NHW[rows_N], labels_N[rows_N], rows_N.astype(np.int64))
    return Dataset("folder", path, digest, labels, splits, note=note)


@dataclass(frozen=True)
class _Image:
    path: Path
    split: str
    label: str


def _list_splits(root: Path) -> list[_Image]:
    """Return all images under the split folders of `root`, sorted by split folder, label and name."""
    splits = [f for f in _folders(root) if f.name in SPLIT_FOLDERS]
    others = [f for f in _folders(root) if f.name not in SPLIT_FOLDERS and _has_images(f)]
    if others:
        raise DataError(
            f"{root}: has both the split {_names(splits)} and folders with images ({_names(others)}); "
            f"expected either {root.name}/train/<label>/*.png or {root.name}/<label>/*.png, not both"
        )
    images = []
    for folder in splits:
        for label in _folders(folder):
            for file in _images(label):
                kaggle = _KAGGLE_NAME.match(file.name)
                split = USAGE[kaggle[1]] if kaggle else SPLIT_FOLDERS[folder.name]
                images.append(_Image(file, split, label.name))
    return images


def _list_labels(root: Path) -> list[_Image]:
    """Return all images under the label folders of `root`, sorted by label and name; all of them as `train`."""
    return [_Image(file, TRAIN, label.name) for label in _folders(root) for file in _images(label)]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in ENDINGS and not f.name.startswith("."))


def _has_images(folder: Path) -> bool:
    try:
        return bool(_images(folder))
    except PermissionError:  # such as lost+found at the root of a disk; an unreadable label fails when it is read
        return False


def _names(folders: list[Path]) -> str:
    return ", ".join(f.name for f in folders)


def _unify_spelling(root: Path, images: list[_Image]) -> list[_Image]:
    """Return the images with each label spelled as in the first split that has it."""
    first_folders: dict[tuple[Path, str], Path] = {}
    for folder in dict.fromkeys(p.path.parent for p in images):
        other = first_folders.setdefault((folder.parent, _normalized(folder.name)), folder)
        if other != folder:
            first, second = (f"'{f.relative_to(root).as_posix()}'" for f in (other, folder))
            raise DataError(
                f"{root}: {first} and {second} differ only in case, spaces or Unicode form; "
                "expected one folder per label"
            )
    spellings: dict[str, str] = {}
    for image in sorted(images, key=lambda p: SPLITS.index(p.split)):
        spellings.setdefault(_normalized(image.label), image.label.strip())
    return [replace(p, label=spellings[_normalized(p.label)]) for p in images]


def _normalized(label: str) -> str:
    """Return the form that all spellings of one label have in common."""
    return unicodedata.normalize("NFC", label.strip().casefold())


def _labels(root: Path, images: list[_Image]) -> LabelSet:
    """Return FER7 if each split spells the seven classes consistently, else a label set of the training images."""
    names = {split: {p.label for p in images if p.split == split} for split in SPLITS}
    if all(_spells_fer7(labels) for labels in names.values()):
        return FER7
    all_names = sorted(set().union(*names.values()))
    if len(all_names) < 2:
        raise DataError(f"{root}: has images of one label only, '{all_names[0]}'; expected two or more")
    # A folder may have only test images; if it has training images, a model can learn only their labels.
    unseen = [name for name in all_names if name not in names[TRAIN]] if names[TRAIN] else []
    if unseen:
        raise DataError(
            f"{root}: train has no images labelled {_quoted(unseen)}, so no model can learn these labels; expected in "
            f"val and test only labels of train, which are {_quoted(sorted(names[TRAIN]))}"
        )
    return label_set_for(all_names)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _spells_fer7(names: set[str]) -> bool:
    """Return whether these are spellings of different classes of FER7."""
    canonical = [canonical_name(name) for name in names]
    return set(canonical) <= set(FER7.names) and len(set(canonical)) == len(canonical)


def _decode(root: Path, images: list[_Image]) -> tuple[NDArray[np.uint8], str, list[bytes]]:
    """Return faces uint8 [N,48,48], the MD5 of all names and bytes, and the SHA-256 of each image's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    faces_NHW = np.empty((len(images), SIDE, SIDE), np.uint8)
    keys = []
    errors = RowErrors(root, "image")
    for i, image in enumerate(images):
        name = image.path.relative_to(root).as_posix()
        try:
            data = image.path.read_bytes()
        except OSError as error:
            errors.add_message(i, f"{name}: {error.strerror or error}")
            continue
        digest.update(f"{name}\n{len(data)}\n".encode("utf-8", "surrogateescape") + data)
        keys.append(hashlib.sha256(data).digest())
        face = decode_face(data)
        if face is None:
            errors.add_message(i, f"{name}: {len(data):,} bytes that cannot be decoded, expected a PNG or JPEG image")
        else:
            faces_NHW[i] = face
    errors.raise_if_any()
    return faces_NHW, digest.hexdigest(), keys


def decode_face(data: bytes) -> NDArray[np.uint8] | None:
    """Return the middle square of an encoded image, grey, uint8 [48,48], or None if it cannot be decoded completely.

    Alpha, bit depth and orientation are treated as in recognition.

    Args:
        data: Bytes of a PNG or JPEG file.
    """
    try:
        image_HW3, _, complete = read_image_and_notes(data)
    except ImageError:
        return None
    if not complete:
        return None
    grey_HW = cv2.cvtColor(image_HW3, cv2.COLOR_BGR2GRAY)
    height, width = grey_HW.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = grey_HW[top : top + side, left : left + side]
    if side == SIDE:
        return np.asarray(square, np.uint8)
    interpolation = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=interpolation), np.uint8)
