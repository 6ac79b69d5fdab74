"""The classes of an image folder: spellings that are merged, and the label set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mien.data.dataset import SPLITS, TRAIN, Split
from mien.data.folders.class_folders import Listing
from mien.data.folders.class_names import expression_for, misspelled, normalize, unify_names
from mien.errors import DataError
from mien.labels import FER7, LabelSet, canonical_name, label_set_for


def unify_labels(listing: Listing) -> Listing:
    """Return the images with one name for each class, and a note on names that were merged.

    Args:
        listing: Images with the class names of the source.
    """
    names = {s: [i.label for i in listing.images if i.label and (i.split or TRAIN) == s] for s in SPLITS}
    unified = unify_names({s: dict.fromkeys(labels) for s, labels in names.items()})
    notes = list(listing.notes)
    merged = set()
    for labels in names.values():
        for name in set(unified.values()):
            spellings = tuple(sorted({label for label in labels if unified[label] == name}))
            if len(spellings) > 1:
                merged.add(spellings)
    notes += [f"{quoted_list(spellings)} are read as one class." for spellings in sorted(merged)]
    for name, similar in misspelled(sorted(set(unified.values()))).items():
        notes.append(f"'{name}' is read as a class of its own; rename it if it is {similar}.")
    return replace(
        listing, images=[replace(i, label=unified.get(i.label, i.label)) for i in listing.images], notes=notes
    )


def label_set_of(root: Path, listing: Listing) -> LabelSet:
    """Return FER7 if all classes are among its classes, else a label set of the training images.

    Args:
        root: Folder that is read, for errors.
        listing: Images with unified class names.

    Raises:
        DataError: There is one class only, or `val` or `test` has a class that `train` lacks.
    """
    names = {split: {i.label for i in listing.images if i.label and (i.split or TRAIN) == split} for split in SPLITS}
    all_names = sorted(set().union(*names.values()))
    if {canonical_name(name) for name in all_names} <= set(FER7.names):
        return FER7
    if len(all_names) < 2:
        raise DataError(f"{root}: has images of one label only, '{all_names[0]}'; expected two or more")
    # A folder may have only test images; if it has training images, a model can learn only their labels.
    unseen = [name for name in all_names if name not in names[TRAIN]] if names[TRAIN] else []
    if unseen:
        raise DataError(
            f"{root}: train has no images labelled {quoted_list(unseen)}, so no model can learn these labels; "
            f"expected in val and test only labels of train, which are {quoted_list(sorted(names[TRAIN]))}"
        )
    return label_set_for(all_names)


def class_index(name: str, labels: LabelSet) -> int | None:
    """Return the index of the class that a name in any spelling means, or None.

    Args:
        name: Name of a class, possibly with a number before it.
        labels: Classes of the data set.

    Example:
        >>> class_index("3_Happiness", FER7), class_index("bored", FER7)
        (3, None)
    """
    keys = [expression_for(other) or normalize(other) for other in labels.names]
    key = expression_for(name) or normalize(name)
    return keys.index(key) if key in keys else None


def class_notes(labels: LabelSet, splits: Mapping[str, Split]) -> list[str]:
    """Return notes on classes that validation or test have and training lacks.

    Args:
        labels: Classes of the data set.
        splits: Splits of the data set.
    """
    if TRAIN not in splits:
        return []
    known = set(splits[TRAIN].labels_N.tolist())
    notes = []
    for name, split in splits.items():
        unseen = sorted(set(split.labels_N.tolist()) - known)
        if unseen:
            classes = quoted_list([labels.names[k] for k in unseen])
            notes.append(f"train has no images labelled {classes}, but {name} has, so they will all be mistakes.")
    return notes


def quoted_list(names: Iterable[str]) -> str:
    """Return names in quotation marks, separated by commas."""
    return ", ".join(f"'{name}'" for name in names)
