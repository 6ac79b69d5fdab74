"""Images in class folders, with or without split folders: `train/happy/1.png`, `happy/1.png`, `happy/train/1.png`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mien.data.dataset import SPLITS
from mien.data.folders.class_names import expression_for, number_for, split_for_folder
from mien.data.folders.image_tree import ImageTree
from mien.errors import DataError


@dataclass(frozen=True)
class LabelledImage:
    """An image of a data set before it is read.

    Attributes:
        path: Path of the file.
        label: Class as the source names it.
        split: `train`, `val` or `test`; None if the source has no splits.
        person: Name of the person, if the source tells persons apart; else empty.
    """

    path: Path
    label: str
    split: str | None = None
    person: str = ""


@dataclass
class Listing:
    """The images of a data set in one layout.

    Attributes:
        images: Images with their labels.
        notes: What was decided, one sentence each.
        used: Other files that were read, such as lists of labels.
    """

    images: list[LabelledImage]
    notes: list[str] = field(default_factory=list)
    used: list[Path] = field(default_factory=list)


def list_class_folders(root: ImageTree) -> Listing:
    """Return all images in class folders.

    Args:
        root: Folder that has the split folders or the class folders.

    Raises:
        DataError: There are folders with images that are neither splits nor classes, or a split without classes.
    """
    splits = [(folder, split) for folder in root.filled if (split := split_for_folder(folder.name))]
    if not splits:
        return _without_splits(root)
    others = [folder for folder in root.filled if not split_for_folder(folder.name)]
    copies = [folder for folder in others if any(split_for_folder(child.name) for child in folder.filled)]
    if copies:
        raise DataError(
            f"{root.path}: has the split {_names([folder for folder, _ in splits])}, and so has {copies[0].name}; "
            f"give {copies[0].path}, or move it out of {root.name}"
        )
    if others:
        raise DataError(
            f"{root.path}: has both the split {_names([folder for folder, _ in splits])} and folders with images that "
            f"are not splits ({_names(others)}); rename them to train, val or test, or move them out of {root.name}; "
            f"expected either {root.name}/train/<label>/*.png or {root.name}/<label>/*.png, not both"
        )
    listing = Listing([])
    for folder, split in splits:
        classes = _skip_wrapper(folder)
        if not classes.filled:
            raise DataError(
                f"{classes.path}: has images but no class folders, so their labels are unknown; sort them into "
                f"{folder.name}/<label>/, or give a csv of files and labels with --label-file"
            )
        inside = _without_splits(classes)
        if any(image.split for image in inside.images):
            raise DataError(
                f"{classes.path}: has split folders inside its class folders, but is in the split folder "
                f"{folder.name} itself; keep one of the two"
            )
        listing.images += [replace(image, split=split) for image in inside.images]
        listing.notes += [note for note in inside.notes if note not in listing.notes]
    used = {split for _, split in splits}
    for split in (s for s in SPLITS if s in used):
        names = [folder.name for folder, s in splits if s == split]
        if len(names) > 1:
            listing.notes.append(f"The folders {_quoted(names)} are read as one split, {split}.")
        elif names[0].casefold() != split:
            listing.notes.append(f"The folder '{names[0]}' is read as the split {split}.")
    return listing


def _without_splits(root: ImageTree) -> Listing:
    folders = root.filled
    below = [(folder, child) for folder in folders for child in folder.filled if split_for_folder(child.name)]
    # In `a/train/b` it is `b` that may be the class, unless `a` is one for sure.
    if below and all(not child.filled or (is_class(f.name) and not _expressions(child)) for f, child in below):
        return _splits_below_classes(root)
    others = [folder for folder in folders if not _is_class(folder) and _has_classes(folder)]
    if folders and len(others) == len(folders):
        return _persons_above_classes(root)
    others = others or [folder for folder, child in below if _expressions(child)]
    if others:
        raise _neither_split_nor_class(root, others)
    return _check_persons([LabelledImage(i, f.name, None, _person(i, f)) for f in folders for i in f.all_images()])


def _splits_below_classes(root: ImageTree) -> Listing:
    folders = root.filled
    outside = [folder.path for folder in folders if folder.images]
    outside += [child.path for folder in folders for child in folder.filled if not split_for_folder(child.name)]
    if outside:
        names = [path.relative_to(root.path).as_posix() for path in outside]
        raise DataError(
            f"{root.path}: has split folders inside class folders, and images outside of them in "
            f"{_few(names)}; move these images into {names[0].split('/')[0]}/train, val or test, or out of {root.name}"
        )
    images = [
        LabelledImage(image, label.name, split_for_folder(split.name), _person(image, split))
        for label in folders
        for split in label.filled
        for image in split.all_images()
    ]
    listing = _check_persons(images)
    return replace(listing, notes=["The split folders are inside the class folders.", *listing.notes])


def _persons_above_classes(root: ImageTree) -> Listing:
    """Return images of `person/class/1.png`; folders without a number in their names may be splits or data sets."""
    folders = root.filled
    are_persons = all(
        any(c.isdigit() for c in folder.name) and all(expression_for(child.name) for child in folder.filled)
        for folder in folders
    )
    if not are_persons or len(folders) < 3:
        raise _neither_split_nor_class(root, folders)
    images = [
        LabelledImage(image, label.name, None, person.name)
        for person in folders
        for label in person.filled
        for image in label.all_images()
    ]
    return Listing(images, [f"The class folders are inside {len(folders)} folders of persons, {_examples(folders)}."])


def _expressions(folder: ImageTree) -> list[str]:
    """Return the names of the subfolders that are expressions."""
    return [child.name for child in folder.filled if expression_for(child.name)]


def _has_classes(folder: ImageTree) -> bool:
    """Return whether there are class or split folders in a folder, or one level deeper."""
    below = [*folder.filled, *(deeper for child in folder.filled for deeper in child.filled)]
    return any(expression_for(child.name) or split_for_folder(child.name) for child in below)


def _neither_split_nor_class(root: ImageTree, folders: list[ImageTree]) -> DataError:
    are = "is neither a split (train, val, test) nor a class" if len(folders) == 1 else "are neither splits nor classes"
    return DataError(
        f"{root.path}: {_examples(folders)} {are}, but class folders are inside; rename splits to train, val and test, "
        f"move out what is not part of the data, or give a folder in it, such as {folders[0].path}"
    )


def _skip_wrapper(folder: ImageTree) -> ImageTree:
    """Return the only subfolder of a split, such as `train/images`, if the class folders are inside it."""
    filled = folder.filled
    if len(filled) == 1 and not folder.images and not is_class(filled[0].name) and len(filled[0].filled) > 1:
        return filled[0]
    return folder


def _person(image: Path, label: ImageTree) -> str:
    """Return the folder between a class folder and its image, which usually is a person; empty if there is none."""
    parts = image.relative_to(label.path).parts
    return parts[0] if len(parts) > 1 else ""


def _check_persons(images: list[LabelledImage]) -> Listing:
    """Drop the persons if most are in one class only: then the folders are something else, such as archives."""
    classes: dict[str, set[str]] = {}
    for image in images:
        if image.person:
            classes.setdefault(image.person, set()).add(image.label)
    if not classes or 2 * sum(len(labels) > 1 for labels in classes.values()) >= len(classes):
        return Listing(images)
    names = _few([f"'{name}'" for name in sorted(classes)])
    note = f"Most folders inside the class folders are in one class only, so they are not read as persons: {names}."
    return Listing([replace(image, person="") for image in images], [note])


def is_class(name: str) -> bool:
    """Return whether a folder of this name is a class for sure: an expression or a number."""
    return expression_for(name) is not None or number_for(name) is not None


def _is_class(folder: ImageTree) -> bool:
    """Return whether a folder is a class for sure; one with a number and expressions inside may be a person."""
    return is_class(folder.name) and not (number_for(folder.name) is not None and _expressions(folder))


def _names(folders: list[ImageTree]) -> str:
    return ", ".join(folder.name for folder in folders)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _examples(folders: list[ImageTree]) -> str:
    return _few([f"'{folder.name}'" for folder in folders])


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
