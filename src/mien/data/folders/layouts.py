"""Layouts of published data sets, recognized by their structure: RAF-DB, AffectNet, CK+48, JAFFE and FER2013.

- RAF-DB (Li et al. 2017): `EmoLabel/list_patition_label.txt` beside `Image/aligned`; on Kaggle `DATASET/train/1`
  to `7`.
- AffectNet (Mollahosseini et al. 2017): `train_set/images/1.jpg` with `train_set/annotations/1_exp.npy`; or folders
  `0` to `7`.
- CK+48 (Lucey et al. 2010): class folders with files `S010_004_00000017.png`, whose first part is the person.
- JAFFE (Lyons et al. 1998): files `KA.AN1.39.tiff`, whose parts are the person and the expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.data.dataset import TRAIN
from mien.data.folders.class_folders import LabelledImage, Listing, is_class, list_class_folders
from mien.data.folders.class_names import NUMBERS, describe_numbers, expression_for, number_for, split_for_folder
from mien.data.folders.image_tree import ImageTree
from mien.errors import DataError

AUTO = "auto"
FOLDERS = "folders"  # class folders whose names are the classes, even if they are numbers
LAYOUTS = (AUTO, FOLDERS, "raf-db", "affectnet", "ck+48", "jaffe", "fer2013")
TITLES = {"raf-db": "RAF-DB", "affectnet": "AffectNet", "ck+48": "CK+48", "jaffe": "JAFFE", "fer2013": "FER2013"}
MAX_WRAPPERS = 3  # folders with a single subfolder above the data set
_USUAL_FRACTION = 0.8  # of the file names that have the form of a published data set

_RAF_LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the first is the spelling of the original
_RAF_FILE = re.compile(r"(train|test)_\d+(_aligned)?\.\w+", re.IGNORECASE)
_RAF_NAME = re.compile(r"(?<![a-z])raf([-_ ]?db|(?![a-z]))")
_AFFECTNET_NAME = re.compile(r"(?<![a-z])affect[-_ ]?net(?![a-z])")
_CK_FILE = re.compile(r"(S\d{3})_\d{3}_\d{6,8}", re.IGNORECASE)
_JAFFE_FILE = re.compile(r"([A-Z]{2})[._-](AN|DI|FE|HA|NE|SA|SU)\d+[._-]\d+", re.IGNORECASE)
_JAFFE = {"AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise"}


def list_images(tree: ImageTree, layout: str = AUTO) -> Listing:
    """Return all images of a folder with their labels and splits.

    Args:
        tree: The folder.
        layout: One of `LAYOUTS`.

    Raises:
        DataError: The layout is unknown or another one, or folders contradict each other.
    """
    if layout not in LAYOUTS:
        raise DataError(f"--layout must be one of {', '.join(LAYOUTS)}, got '{layout}'")
    root = _find_root(tree)
    for name, reader in _READERS.items():
        if layout in (AUTO, name):
            listing = reader(root)
            if listing is not None:
                meaning = f": {describe_numbers(name)}" if name in NUMBERS else ""
                listing.notes.insert(0, f"Read as {TITLES[name]}{meaning}.")
                break
    else:
        if layout == "jaffe":
            raise DataError(f"{root.path}: has no files with names like KA.AN1.39.tiff, so it is not JAFFE")
        listing = _with_persons(_name_numbers(list_class_folders(root), root, tree, layout), layout)
    empty = [folder.path.relative_to(root.path).as_posix() for folder in root.walk() if not _is_filled(folder)]
    if empty:
        listing.notes.append(f"There are no images in {_few(empty)}.")
    if root is not tree:
        listing.notes.insert(0, f"Read from the folder '{root.path.relative_to(tree.path).as_posix()}'.")
    return listing


def _find_root(tree: ImageTree) -> ImageTree:
    """Return the folder in which the data set begins, at most `MAX_WRAPPERS` levels below."""
    for folder in tree.walk():
        if any(file.name in _RAF_LISTS for file in folder.other_files) and "compound" not in folder.path.parts:
            root = next((f for f in tree.walk() if any(child is folder for child in f.folders)), tree)
            outside = [i for i in tree.all_images() if not i.is_relative_to(root.path) and "compound" not in i.parts]
            if not outside:
                return root
    root = tree
    for _ in range(MAX_WRAPPERS):
        filled = root.filled
        if (
            len(filled) != 1
            or split_for_folder(filled[0].name)
            or _fraction(root.images, _JAFFE_FILE) >= _USUAL_FRACTION
        ):
            break
        if not filled[0].filled and _fraction(filled[0].images, _JAFFE_FILE) < _USUAL_FRACTION:
            break
        root = filled[0]
    return root


def _raf_db(root: ImageTree) -> Listing | None:
    """Read RAF-DB's list of files and labels; the images are `train_00001_aligned.jpg` or `train_00001.jpg`."""
    files = [file for folder in (root, *root.folders) for file in folder.other_files if file.name in _RAF_LISTS]
    if not files:
        return None
    images = {image.name.replace("_aligned", "").casefold(): image for image in reversed(_raf_images(root))}
    listing = Listing([], used=[files[0]])
    missing = []
    for number, line in enumerate(files[0].read_text("utf-8-sig").splitlines(), 1):
        name, _, label = line.strip().partition(" ")
        if not name:
            continue
        expression = NUMBERS["raf-db"].get(int(label)) if label.strip().isdigit() else None
        if expression is None:
            raise DataError(f"{files[0]}: line {number}: '{line[:60]}', expected a file name and a label from 1 to 7")
        image = _by_stem(images, name)
        if image is None:
            missing.append(name)
        else:
            listing.images.append(LabelledImage(image, expression, split_for_folder(name.split("_")[0]) or TRAIN))
    if missing:
        listing.notes.append(f"{len(missing):,} files of {files[0].name} are missing, the first is {missing[0]}.")
    return listing


def _raf_images(root: ImageTree) -> list[Path]:
    """Return RAF-DB's face crops, else its photos."""
    aligned = root.get("Image", "aligned") or root.get("aligned")
    return aligned.all_images() if aligned is not None and aligned.has_images else root.all_images()


def _by_stem(images: dict[str, Path], name: str) -> Path | None:
    key = name.casefold()
    return images.get(key) or next((images[k] for e in (".jpg", ".png") if (k := Path(key).stem + e) in images), None)


def _affectnet(root: ImageTree) -> Listing | None:
    """Read AffectNet's folders of images and annotations; faces without one of the eight expressions are left out."""
    splits = [folder for folder in root.filled if split_for_folder(folder.name) and folder.get("annotations")]
    if not splits:
        return None
    listing, left_out = Listing([]), 0
    for folder in splits:
        images, annotations = folder.get("images") or folder, folder.get("annotations")
        assert annotations is not None
        for image in images.all_images():
            file = annotations.path / f"{image.stem}_exp.npy"
            try:
                number = int(np.load(file, allow_pickle=False).item())
            except FileNotFoundError:
                raise DataError(f"{file}: no such file, so the label of {image.name} is unknown") from None
            except (ValueError, OSError) as error:
                raise DataError(f"{file}: cannot be read as a number ({error}); unpack the archive again") from None
            label = NUMBERS["affectnet"].get(number)
            if label is None:
                left_out += 1
            else:
                listing.images.append(LabelledImage(image, label, split_for_folder(folder.name)))
        listing.used += annotations.other_files
    if left_out:
        listing.notes.append(f"{left_out:,} images labelled none, uncertain or not a face are left out.")
    return listing


def _jaffe(root: ImageTree) -> Listing | None:
    """Read the expression and the person from JAFFE's file names."""
    images = root.all_images()
    if any(expression_for(folder.name) for folder in root.walk()) or _fraction(images, _JAFFE_FILE) < _USUAL_FRACTION:
        return None
    matches = [(image, match) for image in images if (match := _JAFFE_FILE.match(image.name))]
    return Listing([LabelledImage(i, _JAFFE[match[2].upper()], None, match[1].upper()) for i, match in matches])


_READERS: dict[str, Callable[[ImageTree], Listing | None]] = {
    "raf-db": _raf_db, "affectnet": _affectnet, "jaffe": _jaffe,
}  # fmt: skip


def _name_numbers(listing: Listing, root: ImageTree, tree: ImageTree, layout: str) -> Listing:
    """Replace numbers by the expressions that they mean in the layout."""
    numbers = {image.label: number_for(image.label) for image in listing.images}
    if layout == FOLDERS or not any(number is not None for number in numbers.values()):
        return listing
    if None in numbers.values():
        raise DataError(
            f"{root.path}: some class folders are called by names and some by numbers: {_few(sorted(numbers))}; "
            "rename those with numbers"
        )
    known = {number for number in numbers.values() if number is not None}
    table = layout if layout in NUMBERS else _recognize(known, listing, root, tree)
    if table is None:
        choices = "; ".join(f"--layout {name} ({describe_numbers(name)})" for name in NUMBERS)
        raise DataError(
            f"{root.path}: the class folders are called {_few(sorted(numbers))}, and numbers mean different classes in "
            f"different data sets; name the data set: {choices}; or rename the folders"
        )
    unknown = known - set(NUMBERS[table])
    if unknown:
        raise DataError(
            f"{root.path}: has a class folder {min(unknown)}, but the classes of {TITLES[table]} are "
            f"{describe_numbers(table)}; use another --layout or rename the folders"
        )
    meaning = NUMBERS[table]
    images = [replace(image, label=meaning[numbers[image.label] or 0]) for image in listing.images]
    return replace(
        listing, images=images, notes=[f"Read as {TITLES[table]}: {describe_numbers(table)}.", *listing.notes]
    )


def _recognize(numbers: set[int], listing: Listing, root: ImageTree, tree: ImageTree) -> str | None:
    """Return the data set whose structure the folder has; None if only the numbers speak for it.

    Folders above the given one, `tree`, have names of any kind.
    """
    names = "/".join((tree.path.absolute().name, *root.path.relative_to(tree.path).parts)).casefold()
    if numbers == set(NUMBERS["raf-db"]) and all(image.split for image in listing.images):
        by_files = _fraction([image.path for image in listing.images], _RAF_FILE) >= _USUAL_FRACTION
        lists = {file.name.casefold() for folder in tree.walk() for file in folder.other_files}
        if by_files or "train_labels.csv" in lists or _RAF_NAME.search(names):
            return "raf-db"
    if numbers == set(NUMBERS["affectnet"]) and _AFFECTNET_NAME.search(names):
        return "affectnet"
    return None


def _with_persons(listing: Listing, layout: str) -> Listing:
    """Take the persons from file names like those of CK+48."""
    paths = [image.path for image in listing.images]
    if layout not in (AUTO, "ck+48") or _fraction(paths, _CK_FILE) < _USUAL_FRACTION:
        if layout == "ck+48":
            raise DataError(
                "the files have no names like S010_004_00000017.png, so this is not CK+48; leave out --layout"
            )
        return listing
    images = [replace(image, person="") for image in listing.images]
    return replace(listing, images=persons_from_names(images), notes=[f"Read as {TITLES['ck+48']}.", *listing.notes])


def persons_from_names(images: list[LabelledImage]) -> list[LabelledImage]:
    """Return images with the persons in their file names, if these have the form of CK+48 or JAFFE.

    Args:
        images: Images; if there is a person in any of them, they are returned as they are.

    Example:
        >>> persons_from_names([LabelledImage(Path("S010_004_00000017.png"), "happy")])[0].person
        'S010'
    """
    for form in (_CK_FILE, _JAFFE_FILE):
        if not any(i.person for i in images) and _fraction([i.path for i in images], form) >= _USUAL_FRACTION:
            matches = [form.match(image.path.name) for image in images]
            return [
                replace(image, person=match[1].upper() if match else image.path.stem)
                for image, match in zip(images, matches, strict=True)
            ]
    return images


def _is_filled(folder: ImageTree) -> bool:
    """Return whether a folder has images, or is neither a split nor a class."""
    named = split_for_folder(folder.name) or is_class(folder.name)
    return folder.has_images or not named or bool(folder.other_files)


def _fraction(images: list[Path], form: re.Pattern[str]) -> float:
    """Return the fraction of file names that have a form; 0 without images."""
    return sum(form.match(image.name) is not None for image in images) / len(images) if images else 0.0


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
