"""Reader of image folders, in the layouts that people use (see `data.layouts`).

Images have any size, color and format that `mien analyze` reads. Faces in photos are detected and cropped (see
`data.face_crops`); of face crops the middle square is resized to 48x48 in grey. Images are sorted by path, so that a
copy of the folder is the same data set.

If there is no validation split, a fifth of the training images is held out as `val` (see `data.holdout`).

Kaggle's copy of FER2013 as images has only `train` and `test`, and its `test` mixes two splits. Its files are called
`PublicTest_123.jpg` and the like; an image in a split folder with such a name belongs to the split in its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.class_folders import LabelledImage, Listing
from mien.data.dataset import SPLITS, TRAIN, USAGE, VAL, Dataset, Split
from mien.data.face_crops import AUTO, FaceCropper
from mien.data.folder_classes import class_index, class_notes, label_set_of, unify_labels
from mien.data.folder_faces import count, read_faces, some
from mien.data.holdout import holdout_mask, holdout_persons
from mien.data.image_tree import ImageTree, count_by_ending, has_images, scan
from mien.data.label_file import LabelFile, majority_labels, read_label_file
from mien.data.layouts import AUTO as AUTO_LAYOUT
from mien.data.layouts import list_images
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
MAX_WITHOUT_FACE = 0.5  # share of images without a detected face above which something is wrong
MIN_PERSONS = 5  # with fewer persons, images are held out by content
_KAGGLE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.")


@dataclass(frozen=True)
class FolderOptions:
    """How an image folder is read.

    Attributes:
        layout: Layout of the folder, one of `layouts.LAYOUTS`.
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
    """Read the images under `path` as grey faces of 48x48.

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
        listing, tied = _list(tree, options, label_file)
        if not listing.images:
            raise DataError(
                f"{path}: has no images; expected {path.name}/train/<label>/*.png (or .jpg, .jpeg), optionally with "
                f"val (or validation) and test beside train; or only {path.name}/<label>/*.png"
            )
        listing = replace(listing, images=[replace(i, split=_split(i)) for i in listing.images])
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
    if label_file is not None:
        digest = hashlib.md5(f"{digest} {label_file.digest}".encode(), usedforsecurity=False).hexdigest()
        losses = [*label_file.losses, *losses]
    if tied:
        names = some([image.relative_to(path).as_posix() for image in tied])
        losses.append(f"{count(len(tied), 'image')} without a majority of the raters left out: {names}.")
    images, faces_NHW = faces.images, faces.faces_NHW
    labels_N = np.array([labels.index(image.label) for image in images], np.int64)
    split_N, note = _hold_out(images, faces_NHW, labels_N, faces.keys)
    splits = {}
    for name in SPLITS:
        rows_N = np.flatnonzero(split_N == name)
        if len(rows_N):
            splits[name] = Split(name, faces_NHW[rows_N], labels_N[rows_N], rows_N.astype(np.int64))
    notes = [*listing.notes, *(label_file.notes if label_file else ()), *class_notes(labels, splits)]
    if faces.photos:
        notes.append(f"Faces were detected and cropped in {faces.photos:,} of {len(listing.images):,} images.")
    reading = Reading(tuple(notes), tuple(losses), _unread(tree, listing, options.labels))
    ratings = None if label_file is None else _ratings(label_file, images, labels)
    return Dataset("folder", path, digest, labels, splits, note=note, reading=reading, ratings=ratings)


def _list(tree: ImageTree, options: FolderOptions, label_file: LabelFile | None) -> tuple[Listing, list[Path]]:
    """Return the images with their labels, and those whose raters have no majority."""
    if label_file is None:
        return list_images(tree, options.layout), []
    images, tied = majority_labels(label_file.ratings)
    with_split = [image for image in images if image.split]
    if with_split and len(with_split) < len(images):
        missing = next(image.path for image in images if not image.split)
        raise DataError(
            f"{options.labels}: some rows have no split, the first is {missing.name}; fill it in for all rows"
        )
    return Listing(images, used=[options.labels] if options.labels else []), tied


def _split(image: LabelledImage) -> str | None:
    """Return the split of an image; in a split folder, that of a file name of Kaggle's copy of FER2013."""
    kaggle = _KAGGLE_NAME.match(image.path.name)
    return USAGE[kaggle[1]] if kaggle and image.split else image.split


def _hold_out(
    images: list[LabelledImage], faces_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64], keys: list[bytes]
) -> tuple[NDArray[np.str_], str | None]:
    """Return the split of each image and where the validation split comes from, if the folder has none."""
    split_N = np.array([image.split or TRAIN for image in images])
    train_M = np.flatnonzero(split_N == TRAIN)
    if VAL in split_N or not len(train_M):
        return split_N, None
    persons = [images[i].person for i in train_M]
    by_person = all(persons) and len(set(persons)) >= MIN_PERSONS
    if by_person:
        held_M = holdout_persons(persons)
    else:
        held_M = holdout_mask(faces_NHW[train_M], labels_N[train_M], [keys[i] for i in train_M])
    split_N[train_M[held_M]] = VAL
    return split_N, (HELD_OUT_PERSONS if by_person else HELD_OUT) if held_M.any() else None


def _ratings(label_file: LabelFile, images: list[LabelledImage], labels: LabelSet) -> Ratings | None:
    """Return the ratings of the images that are in the data set; None if the file names no raters."""
    row_of = {image.path: row for row, image in enumerate(images)}
    rated = [
        (r, k) for r in label_file.ratings if r.image in row_of and (k := class_index(r.label, labels)) is not None
    ]
    raters = sorted({rating.rater for rating, _ in rated})
    if raters in ([], [""]):
        return None
    return Ratings(
        tuple(raters),
        np.array([row_of[rating.image] for rating, _ in rated], np.int64),
        np.array([raters.index(rating.rater) for rating, _ in rated], np.int64),
        np.array([label for _, label in rated], np.int64),
    )


def _unread(tree: ImageTree, listing: Listing, labels: Path | None) -> str:
    """Return the files of the folder that were not read, by ending."""
    read = {image.path for image in listing.images} | set(listing.used) | {labels}
    files = [file for folder in tree.walk() for file in (*folder.images, *folder.other_files) if file not in read]
    return count_by_ending(files)
