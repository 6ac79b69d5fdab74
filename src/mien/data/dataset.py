"""`Dataset` and `Split`: what every reader returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.reading import Ratings, Reading
from mien.errors import DataError, MissingSplit
from mien.labels import LabelSet

SIDE = 48  # FER2013's faces are 48x48; everything is brought to this size when it is read
NO_LABEL = -1  # in `labels_N` of a split without labels (Kaggle's test.csv)

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
# Number of faces in each split of FER2013, as published.
PUBLISHED = {TRAIN: 28_709, VAL: 3_589, TEST: 3_589}
# Values of fer2013.csv's column Usage.
USAGE = {"Training": TRAIN, "PublicTest": VAL, "PrivateTest": TEST}
# Other names of splits, in lower case without blanks, `_` and `-`.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trainset", "trainingset"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development", "eval", "evaluation", "publictest"), VAL),
    **dict.fromkeys(("test", "testing", "testset", "privatetest"), TEST),
}


def split_for(name: str) -> str | None:
    """Return the split that a name means, in any usual spelling and case; None if it means none.

    >>> split_for("Training"), split_for("PublicTest"), split_for("Fold 1")
    ('train', 'val', None)
    """
    return _SPLIT_NAMES.get(name.strip().lower().replace("_", "").replace("-", "").replace(" ", ""))


@dataclass(frozen=True, eq=False)
class Split:
    """The faces of one split, in file order.

    Attributes:
        name: `train`, `val` or `test`.
        pixels_NHW: Grey faces, uint8 [N,48,48].
        labels_N: Class index per face, int64 [N]; all `NO_LABEL` (-1) if the source has none.
        rows_N: Row of each face in its source, counted from 0, int64 [N]; unique over all splits of a data set.
        votes_NV: FER+ votes, uint8 [N,10] in the order of `labels.FERPLUS_COLUMNS`, or None.

    Raises:
        DataError: The name is not one of these, or an array has another shape or type.

    Example:
        >>> from mien.data import sketch
        >>> split = sketch(train=3, val=0, test=0)["train"]
        >>> len(split), split.pixels_NHW.shape, split.labelled
        (3, (3, 48, 48), True)
    """

    name: str
    pixels_NHW: NDArray[np.uint8]
    labels_N: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    votes_NV: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        n = len(self.pixels_NHW)
        if self.name not in SPLITS:
            raise DataError(f"a split is one of {', '.join(SPLITS)}, not '{self.name}'")
        if self.pixels_NHW.shape != (n, SIDE, SIDE) or self.pixels_NHW.dtype != np.uint8:
            raise DataError(
                f"split '{self.name}': pixels must be uint8 [N,{SIDE},{SIDE}], "
                f"got {self.pixels_NHW.dtype} {list(self.pixels_NHW.shape)}"
            )
        for field_name, array in (("labels", self.labels_N), ("rows", self.rows_N)):
            if array.shape != (n,) or array.dtype != np.int64:
                raise DataError(
                    f"split '{self.name}': {field_name} must be int64 [{n}], got {array.dtype} {list(array.shape)}"
                )
        if self.votes_NV is not None and self.votes_NV.shape != (n, 10):
            raise DataError(f"split '{self.name}': votes must be [{n},10], got {list(self.votes_NV.shape)}")

    def __len__(self) -> int:
        return len(self.pixels_NHW)

    @property
    def labelled(self) -> bool:
        """Whether every face has a label."""
        return bool((self.labels_N != NO_LABEL).all())

    @property
    def has_ground_truth(self) -> bool:
        """Whether models can be evaluated on this split: it has labels or votes."""
        return self.labelled or self.votes_NV is not None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Splits that share a label set and a source.

    Attributes:
        name: Kind of data for titles and records: `fer2013`, `sketch`, `folder`.
        source: File or folder that was read.
        digest: MD5 of the csv, or of a folder's names and bytes, as hex.
        labels: Label set of all splits.
        splits: Splits by name: those of `train`, `val` and `test` that have at least one face.
        known_as: Name of the published original that has this digest, or None.
        note: Origin of a split that the source itself does not have, as a sentence, or None.
        reading: What was decided and left out while the source was read.
        ratings: Labels by several raters, or None.

    Raises:
        DataError: A split is empty, its key is not its name, or a label is not an index of a class.

    Example:
        >>> from mien.data import sketch
        >>> data = sketch(train=8, val=4, test=4)
        >>> data.name, list(data.splits), data.labels.names[3]
        ('sketch', ['train', 'val', 'test'], 'happy')
        >>> "val" in data, len(data["val"])
        (True, 4)
    """

    name: str
    source: Path
    digest: str
    labels: LabelSet
    splits: Mapping[str, Split] = field(default_factory=dict)
    known_as: str | None = None
    note: str | None = None
    reading: Reading = field(default_factory=Reading)
    ratings: Ratings | None = None

    def __post_init__(self) -> None:
        for key, split in self.splits.items():
            if key != split.name or not len(split):
                raise DataError(f"data set '{self.name}': split '{key}' is empty or named '{split.name}'")
            if split.labels_N.min() < NO_LABEL or split.labels_N.max() >= len(self.labels):
                raise DataError(
                    f"split '{key}' has a label outside the {len(self.labels)} classes of {self.labels.name}"
                )

    @property
    def is_fer2013(self) -> bool:
        """Whether these are the faces of FER2013, recognized by their digest or by the published size of a split."""
        if self.name != "fer2013":
            return False
        return self.known_as is not None or any(len(split) == PUBLISHED[s] for s, split in self.splits.items())

    @property
    def title(self) -> str:
        """Name for titles; the file name for a csv in FER2013's format that is not FER2013."""
        return self.source.name if self.name == "fer2013" and not self.is_fer2013 else self.name

    def __contains__(self, name: str) -> bool:
        return name in self.splits

    def __getitem__(self, name: str) -> Split:
        """Return the split `name`; raise `MissingSplit` with the names of the existing splits if it is missing."""
        if name not in self.splits:
            existing = ", ".join(f"{s} ({len(self.splits[s])} faces)" for s in SPLITS if s in self.splits) or "none"
            raise MissingSplit(f"{self.source} has no split '{name}'; existing splits: {existing}")
        return self.splits[name]
