"""Reader of image folders, in the layouts that people use (see `data.folders.layouts`).

Images have any size, color and format that `mien analyze` reads. Faces in photos are detected and cropped (see
`data.folders.face_crops`); of face crops the middle square is resized to 48x48 in gray. Images are sorted by path, so
that a copy of the folder is the same data set.

If there is no validation split, a fifth of the training images is held out as `val` (see `data.holdout`).

Kaggle's copy of FER2013 as images has only `train` and `test`, and its `test` mixes two splits. In such a folder,
`PublicTest_123.jpg` is read as `val`; in other folders the names of files say nothing about splits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from mien.data.dataset import SPLITS, TEST, TRAIN, VAL, Dataset, Split
from mien.data.folders.class_folders import Listing
from mien.data.folders.class_names import expression_for, normalize
from mien.data.folders.classes import class_index, class_notes, label_set_of, unify_labels
from mien.data.folders.face_crops import AUTO, FaceCropper
from mien.data.folders.faces import FolderFaces, count, read_faces, some
from mien.data.folders.image_tree import ImageTree, count_by_ending, has_images, scan
from mien.data.folders.label_file import LabelFile, majority_labels, read_label_file
from mien.data.folders.layouts import AUTO as AUTO_LAYOUT
from mien.data.folders.layouts import list_images, persons_from_names
from mien.data.holdout import holdout_mask, holdout_persons
from mien.data.reading import Ratings, Reading
from mien.data.row_errors import unreadable
from mien.errors import DataError
from mien.labels import LabelSet
from mien.threads import threads_from_environment

WARN, FAIL = "warn", "fail"
HELD_OUT = (
    "There is no validation split, so val is a fifth of each label's images, chosen by content; the rest is train."
)
HELD_OUT_PERSONS = (
    "There is no validation split, so val has the images of a fifth of the persons, and train the others."
)
PERSONS_IN_BOTH = " Persons are in both splits, as without any one of them a class would have no training images."
MAX_WITHOUT_FACE = 0.5  # fraction of images without a detected face above which something is wrong
MIN_PERSONS = 5  # with fewer persons, images are held out by content
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.")


@dataclass(frozen=True)
class FolderOptions:
    """How an image folder is read.

    Attributes:
        layout: Layout of the folder, one of `data.folders.layouts.LAYOUTS`.
        crop: Whether faces are detected and cropped: `auto`, `always` or `never`.
        on_error: `warn` to leave out images that cannot be read, `fail` to raise an error.
        labels: Path of a csv with file, label and optionally rater and split; None for labels by folder.
        progress: Function that is called with the number of images read and of all images.
    """

    layout: str = AUTO_LAYOUT
    crop: str = AUTO
    on_error: str = WARN
    labels: Path | None = None
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.on_error not in (WARN, FAIL):
            raise DataError(f"--on-error must be {WARN} or {FAIL}, got '{self.on_error}'")


def is_image_folder(path: Path) -> bool:
    """Return whether there is an image in the folder `path` or below it."""
    return path.is_dir() and has_images(path)


def read_folder(path: Path, options: FolderOptions | None = None) -> Dataset:
    """Read the images under `path` as gray faces of 48x48.

    The labels are the names of the class folders, or those in a csv: FER7 if they are spellings of its classes, else a
    new label set.

    Args:
        path: Folder of the images.
        options: How it is read.

    Raises:
        DataError: There are no images, folders contradict each other, `val` or `test` has a label that `train` lacks,
            or images cannot be read; names the first few of them.
    """
    options = options or FolderOptions()
    cv2.setNumThreads(threads_from_environment() or cv2.getNumThreads())
    cropper = FaceCropper(options.crop)
    try:
        tree = scan(path)
        label_file = None if options.labels is None else read_label_file(options.labels, tree, options.layout)
        listing = list_images(tree, options.layout) if label_file is None else _list(label_file, options.labels)
        if not any(image.label for image in listing.images):
            raise _no_class_folders(path, tree)
        if label_file is None:
            listing = _separate_tests(listing)
        listing.images.sort(key=lambda image: image.path)
        listing = unify_labels(listing)
        labels = label_set_of(path, listing)
        faces = read_faces(path, listing.images, cropper, strict=options.on_error == FAIL, progress=options.progress)
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from None
    if len(faces.faceless) > MAX_WITHOUT_FACE * len(listing.images):
        raise DataError(
            f"{path}: no face was found in {len(faces.faceless):,} of {len(listing.images):,} images, such as "
            f"{faces.faceless[0]}; if they are face crops already, use --crop never"
        )
    digest, losses = faces.digest, list(faces.losses)
    notes = [*listing.notes]
    if label_file is not None:
        digest = hashlib.md5(f"{digest} {label_file.digest}".encode(), usedforsecurity=False).hexdigest()
        losses, notes = [*label_file.losses, *losses, *_tied(path, listing)], [*notes, *label_file.notes]
    splits, note = _splits(faces, labels)
    notes += class_notes(labels, splits)
    if faces.photos:
        notes.append(f"Faces were detected and cropped in {faces.photos:,} of {len(listing.images):,} images.")
    reading = Reading(tuple(notes), tuple(losses), _unread(tree, listing, options.labels))
    ratings = None if label_file is None else _ratings(label_file, faces, labels)
    return Dataset("folder", path, digest, labels, splits, note=note, reading=reading, ratings=ratings)


def _no_class_folders(path: Path, tree: ImageTree) -> DataError:
    images = tree.all_images()
    tables = [file for folder in tree.walk() for file in folder.other_files if file.suffix.lower() == ".csv"]
    problem = f"has {count(len(images), 'image')}, but not in class folders" if images else "has no images"
    return DataError(
        f"{path}: {problem}; expected {path.name}/train/<label>/*.png (or .jpg, .jpeg), optionally with val (or "
        f"validation) and test beside train; or only {path.name}/<label>/*.png; or a csv of files and labels with "
        f"--label-file {tables[0] if tables else 'labels.csv'}"
    )


def _list(label_file: LabelFile, file: Path | None) -> Listing:
    """Return the images with the labels in a csv; those without a majority of the raters have an empty one."""
    images = persons_from_names(majority_labels(label_file.ratings))
    without = [image for image in images if not image.split]
    if 0 < len(without) < len(images):
        raise DataError(
            f"{file}: some rows have no split, the first is {without[0].path.name}; fill it in for all rows or leave "
            "out the column"
        )
    return Listing(images, used=[file] if file else [])


def _tied(root: Path, listing: Listing) -> list[str]:
    names = [image.path.relative_to(root).as_posix() for image in listing.images if not image.label]
    return [f"Left out {count(len(names), 'image')} without a majority of the raters: {some(names)}."] if names else []


def _separate_tests(listing: Listing) -> Listing:
    """Read `PublicTest` as `val` where the splits are those of Kaggle's copy of FER2013: `test` has both tests."""
    names: dict[str | None, set[str]] = {}
    for image in listing.images:
        match = _KAGGLE_NAME.match(image.path.name)
        names.setdefault(image.split, set()).add(match[1] if match else "")
    if set(names) - {TRAIN, TEST} or names.get(TEST) != {"PublicTest", "PrivateTest"}:
        return listing
    if names.get(TRAIN, {"Training"}) != {"Training"}:
        return listing
    is_public = [i.split == TEST and i.path.name.startswith("PublicTest") for i in listing.images]
    images = [replace(i, split=VAL) if p else i for i, p in zip(listing.images, is_public, strict=True)]
    note = f"{sum(is_public):,} images of test are read as val, because they are called PublicTest_... as in FER2013."
    return replace(listing, images=images, notes=[*listing.notes, note])


def _splits(faces: FolderFaces, labels: LabelSet) -> tuple[dict[str, Split], str | None]:
    """Return the splits, and where the validation split comes from if the folder has none.

    Images without a label, whose raters have no majority, are in no split.
    """
    row_N = np.flatnonzero([bool(image.label) for image in faces.images])
    images, faces_NHW = [faces.images[row] for row in row_N], faces.faces_NHW[row_N]
    labels_N = np.array([labels.index(image.label) for image in images], np.int64)
    split_N = np.array([image.split or TRAIN for image in images])
    train_M = np.flatnonzero(split_N == TRAIN)
    note: str | None = None
    if VAL not in split_N and len(train_M):
        persons = [images[i].person for i in train_M]
        held_M, note = np.zeros(len(train_M), np.bool_), HELD_OUT_PERSONS
        has_persons = all(persons) and len(set(persons)) >= MIN_PERSONS
        if has_persons:
            held_M = holdout_persons(persons, labels_N[train_M])
        if not held_M.any():
            held_M = holdout_mask(faces_NHW[train_M], labels_N[train_M], [faces.keys[row_N[i]] for i in train_M])
            note = f"{HELD_OUT}{PERSONS_IN_BOTH if has_persons else ''}" if held_M.any() else None
        split_N[train_M[held_M]] = VAL
    splits = {}
    for name in SPLITS:
        in_N = split_N == name
        if in_N.any():
            splits[name] = Split(name, faces_NHW[in_N], labels_N[in_N], row_N[in_N].astype(np.int64))
    return splits, note


def _ratings(label_file: LabelFile, faces: FolderFaces, labels: LabelSet) -> Ratings | None:
    """Return the ratings of all images that have a face; None if the file names no raters."""
    index_of = {image.path: index for index, image in enumerate(faces.images)}
    raters = sorted({rating.rater for rating in label_file.ratings})
    if raters == [""]:
        return None
    numbers: dict[str, int | None] = {}
    others: dict[str, str] = {}  # by what all spellings have in common
    for label in sorted({rating.label for rating in label_file.ratings}):
        numbers[label] = class_index(label, labels)
        if numbers[label] is None:
            others.setdefault(expression_for(label) or normalize(label), label)
    for label, number in numbers.items():
        if number is None:
            numbers[label] = len(labels) + list(others).index(expression_for(label) or normalize(label))
    rated = [
        (index_of[rating.image], raters.index(rating.rater), numbers[rating.label])
        for rating in label_file.ratings
        if rating.image in index_of
    ]
    faces_M, raters_M, labels_M = np.array(rated, np.int64).reshape(-1, 3).T
    return Ratings(tuple(raters), faces.faces_NHW, faces_M, raters_M, labels_M, tuple(others.values()))


def _unread(tree: ImageTree, listing: Listing, labels: Path | None) -> str:
    """Return the files of the folder that were not read, by ending."""
    read = {image.path for image in listing.images} | set(listing.used) | {labels}
    files = [file for folder in tree.walk() for file in (*folder.images, *folder.other_files) if file not in read]
    return count_by_ending(files)
