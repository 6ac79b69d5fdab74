"""Labels of images in a csv file: the file, its label, and optionally the rater and the split.

The columns may have any usual names (`file`, `image`, `path`; `label`, `emotion`, `expression`; `rater`, `user.id`,
`annotator`; `person`, `subject`; `split`, `usage`), and the separator may be a comma, a semicolon or a tab. Without a
header the columns are file and label, or file, label and rater.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.data.folders.class_folders import LabelledImage
from mien.data.folders.class_names import (
    NUMBERS,
    describe_numbers,
    expression_for,
    normalize,
    number_for,
    split_for_folder,
)
from mien.data.folders.faces import count, some
from mien.data.folders.image_finder import ImageFinder, tidy
from mien.data.folders.image_tree import ImageTree
from mien.data.row_errors import RowErrors, unreadable
from mien.errors import DataError
from mien.imaging.suffixes import SUFFIXES

_COLUMNS = {
    "file": ("file", "filename", "filepath", "image", "imagename", "imagepath", "imagefile", "img", "path", "pth",
             "name", "photo"),
    "label": ("label", "labels", "emotion", "emotions", "expression", "class", "classname", "category", "target",
              "annotation"),
    "rater": ("rater", "raterid", "user", "userid", "annotator", "annotatorid", "labeler", "labeller", "worker",
              "workerid", "coder", "observer"),
    "person": ("person", "personid", "subject", "subjectid", "participant", "participantid", "identity", "actor"),
    "split": ("split", "usage", "subset", "set", "partition"),
}  # fmt: skip
_ENCODINGS = ("utf-8-sig", "utf-16")


@dataclass(frozen=True)
class Rating:
    """One row of a csv of labels.

    Attributes:
        image: Path of the image.
        label: Class as the file names it.
        rater: Name of the rater, or empty.
        split: `train`, `val` or `test`; None if the file does not say.
        person: Name of the person in the image, or empty.
    """

    image: Path
    label: str
    rater: str = ""
    split: str | None = None
    person: str = ""


@dataclass(frozen=True)
class LabelFile:
    """Labels of the images of a folder.

    Attributes:
        ratings: One for each row whose image exists, in the order of the file.
        digest: MD5 of the file as hex.
        losses: What was left out, one sentence each.
        notes: What was decided, one sentence each.
    """

    ratings: tuple[Rating, ...]
    digest: str
    losses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_label_file(file: Path, tree: ImageTree, layout: str) -> LabelFile:
    """Read a csv of labels and find its images in a folder.

    Args:
        file: Path of the csv file.
        tree: Folder of the images; paths in the file are found as in `image_finder.ImageFinder`.
        layout: Data set that says what numbers mean: `raf-db`, `affectnet` or `fer2013`; others have no numbers.

    Raises:
        DataError: The file cannot be read, has no such columns, or none of its images exists; or its labels are
            numbers and `layout` does not say what they mean.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from None
    rows, columns = _parse(file, data)
    names = [row[columns["file"]].strip() for row in rows if len(row) > columns["file"]]
    try:
        find = ImageFinder(tree, filter(None, names))
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    errors, ratings, missing = RowErrors(file, "row"), [], []
    name_of: dict[Path, str] = {}
    split_of: dict[Path, str | None] = {}
    for index, row in enumerate(rows):
        if not any(row):
            continue
        cells = {name: row[column].strip() if column < len(row) else "" for name, column in columns.items()}
        split = split_for_folder(cells["split"]) if cells.get("split") else None
        if not cells["file"] or not cells["label"]:
            errors.add(index, f"no {'file' if not cells['file'] else 'label'} in '{','.join(row)[:60]}'")
        elif cells.get("split") and split is None:
            errors.add(index, f"split '{cells['split']}', expected train, val or test")
        elif (image := find(cells["file"])) is None:
            missing.append(cells["file"])
        elif name_of.setdefault(image, tidy(cells["file"])) != tidy(cells["file"]):
            errors.add(
                index, f"'{cells['file']}' and '{name_of[image]}' both mean {image}; write the full name of each file"
            )
        elif split_of.setdefault(image, split) != split and split and split_of[image]:
            errors.add(index, f"'{cells['file']}' is in {split}, and in {split_of[image]} in a row before")
        else:
            ratings.append(Rating(image, cells["label"], cells.get("rater", ""), split, cells.get("person", "")))
    errors.raise_if_any()
    if not ratings:
        first = f", the first is '{missing[0]}'" if missing else ""
        raise DataError(
            f"{file}: none of its {len(missing):,} files is in {tree.path}{first}; give the folder that these paths "
            "start from"
        )
    losses = []
    if missing:
        losses.append(
            f"Left out {count(len(missing), 'row')} of {file.name} without an image in {tree.path}: {some(missing)}."
        )
    without = len(set(tree.all_images()) - {rating.image for rating in ratings})
    if without:
        losses.append(f"Left out {count(without, 'image')} without a label in {file.name}.")
    named, notes = _name_numbers(ratings, file, layout)
    return LabelFile(named, hashlib.md5(data, usedforsecurity=False).hexdigest(), tuple(losses), notes)


def majority_labels(ratings: Sequence[Rating]) -> list[LabelledImage]:
    """Return each image with its most frequent label; with an empty one if two labels are equally frequent.

    Args:
        ratings: Labels of the images, by one or more raters.

    Example:
        >>> a, b = Path("a.png"), Path("b.png")
        >>> images = majority_labels([Rating(a, "sad", "x"), Rating(b, "sad", "x"), Rating(b, "happy", "y")])
        >>> [image.label for image in images]
        ['sad', '']
    """
    labels: dict[Path, Counter[str]] = {}
    splits: dict[Path, str | None] = {}
    persons: dict[Path, str] = {}
    spelling: dict[str, str] = {}
    for rating in ratings:
        label = spelling.setdefault(expression_for(rating.label) or normalize(rating.label), rating.label)
        labels.setdefault(rating.image, Counter())[label] += 1
        splits[rating.image] = rating.split or splits.get(rating.image)
        persons[rating.image] = rating.person or persons.get(rating.image, "")
    images = []
    for image in sorted(labels):
        (label, most), *others = labels[image].most_common()
        is_tied = bool(others) and others[0][1] == most
        images.append(LabelledImage(image, "" if is_tied else label, splits[image], persons[image]))
    return images


def _parse(file: Path, data: bytes) -> tuple[list[list[str]], dict[str, int]]:
    """Return the rows below the header, and the number of each column."""
    text = _decode(file, data)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if not rows or len(rows[0]) < 2:
        raise DataError(f"{file}: expected a csv with the columns file and label, got '{first[:60].strip()}'")
    header = ["".join(c for c in name.casefold() if c.isalnum()) for name in rows[0]]
    columns = {
        column: header.index(name)
        for column, names in _COLUMNS.items()
        if (name := next((name for name in names if name in header), None)) is not None
    }
    if "file" in columns and "label" in columns:
        return rows[1:], columns
    if rows[0][0].strip().lower().endswith(SUFFIXES) and len(rows[0]) <= 3:
        return rows, dict(zip(("file", "label", "rater"), range(len(rows[0])), strict=False))
    missing = " and ".join(name for name in ("file", "label") if name not in columns)
    raise DataError(
        f"{file}: has no column {missing}; its columns are {', '.join(rows[0])}; name them file, label and, if there "
        "are several raters, rater"
    )


def _decode(file: Path, data: bytes) -> str:
    encodings = reversed(_ENCODINGS) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS[:1]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{file}: is not text in UTF-8 or UTF-16; save it as csv in UTF-8")


def _name_numbers(ratings: list[Rating], file: Path, layout: str) -> tuple[tuple[Rating, ...], tuple[str, ...]]:
    """Replace numbers by the expressions that they mean."""
    numbers = {rating.label: number_for(rating.label.removesuffix(".0")) for rating in ratings}
    if all(number is None for number in numbers.values()):
        return tuple(ratings), ()
    if layout not in NUMBERS:
        choices = "; ".join(f"--layout {name} ({describe_numbers(name)})" for name in NUMBERS)
        raise DataError(
            f"{file}: has the labels {', '.join(sorted(numbers)[:8])}, and numbers mean different classes in different "
            f"data sets; name the data set: {choices}; or write the names of the classes"
        )
    meaning, errors = NUMBERS[layout], RowErrors(file, "row")
    for index, rating in enumerate(ratings):
        if numbers[rating.label] not in meaning:
            errors.add_message(
                index, f"{rating.image.name}: label '{rating.label}', expected {describe_numbers(layout)}"
            )
    errors.raise_if_any()
    named = (replace(r, label=meaning[numbers[r.label] or 0]) for r in ratings)
    return tuple(named), (f"Labels of {file.name} are read as {layout}: {describe_numbers(layout)}.",)
