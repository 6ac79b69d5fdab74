"""Label sets: class names, their order, and their spellings in other data sets and packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

# Other spellings of the eight expressions -> the class name used here.
SPELLINGS = {
    "anger": "angry",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "disgusting": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "surprising": "surprise",
    "suprise": "surprise",
    "suprised": "surprise",
    "surprize": "surprise",
    "calm": "neutral",
    "neutrality": "neutral",
}


def canonical_name(name: str) -> str:
    """Return the class name used here for another spelling of it; an unknown name is converted to lower case.

    >>> canonical_name("Happiness"), canonical_name("Bored")
    ('happy', 'bored')
    """
    lower = _lower(name)
    return SPELLINGS.get(lower, lower)


def counterpart(name: str, names: Sequence[str]) -> int | None:
    """Find the class that `name` means in a list of class names.

    Args:
        name: Class name in any spelling.
        names: Class names, each in any spelling.

    Returns:
        Index of the same name, else of the same name in another case, else of another spelling of it; None where there
        is none.

    >>> counterpart("happiness", ["sad", "happy"])
    1
    """
    for normalize in (str, _lower, canonical_name):
        normalized = [normalize(other) for other in names]
        if normalize(name) in normalized:
            return normalized.index(normalize(name))
    return None


def same_classes(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two lists name the same classes in the same order, in any spelling.

    >>> same_classes(["happy", "sad"], ["happiness", "sadness"]), same_classes(["happy", "sad"], ["sad", "happy"])
    (True, False)
    """
    return len(names) == len(others) and all(counterpart(name, others) == k for k, name in enumerate(names))


def _lower(name: str) -> str:
    return name.strip().lower()


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of class names.

    Attributes:
        name: Name of the set, such as `fer7`.
        names: Class names; the position of a name is the index of its class.

    Raises:
        MienError: There are fewer than two names, or a name is empty or repeated.

    Example:
        >>> labels = LabelSet("mood", ("good", "bad"))
        >>> len(labels), labels.index("bad")
        (2, 1)
    """

    name: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise MienError(f"label set '{self.name}' needs at least two classes, got {list(self.names)}")
        if len(set(self.names)) != len(self.names) or not all(self.names):
            raise MienError(f"label set '{self.name}' has an empty or repeated class name: {list(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the index of a class, whose name may be in any spelling.

        Args:
            name: Class name; `happiness` finds `happy`, and `happy` finds `happiness`.

        Raises:
            MienError: No class of this set has this name.

        >>> FER7.index("happiness")
        3
        """
        k = counterpart(name, self.names)
        if k is None:
            raise MienError(f"'{name}' is not a class of {self.name}; its classes are {', '.join(self.names)}")
        return k


# In the order of the `emotion` column of fer2013.csv (Goodfellow et al. 2013, arXiv 1307.0414).
FER7 = LabelSet("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))

# The ten vote columns of fer2013new.csv, in the order of the file (Barsoum et al. 2016, arXiv 1608.01041). The last two
# are not expressions: `unknown` is a rater who could not decide, `NF` ("not a face") one who saw no face.
FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip

# The expressions among these columns, with the names of FER7.
FERPLUS8 = LabelSet("ferplus8", tuple(canonical_name(column) for column in FERPLUS_COLUMNS[:8]))

# The label sets that a recipe can name.
LABEL_SETS = {labels.name: labels for labels in (FER7, FERPLUS8)}


def label_set_for(folder_names: list[str]) -> LabelSet:
    """Return the label set for a data set with one folder per class.

    Args:
        folder_names: Names of the folders.

    Returns:
        `FER7` if every name is a spelling of one of its classes, else a set of these names, sorted.

    >>> label_set_for(["anger", "happiness"]).name
    'fer7'
    >>> label_set_for(["bored", "awake"]).names
    ('awake', 'bored')
    """
    known = {canonical_name(name) for name in folder_names}
    if known <= set(FER7.names) and len(known) == len(set(folder_names)):
        return FER7
    return LabelSet("custom", tuple(sorted(set(folder_names))))


def projection(of: LabelSet, onto: LabelSet) -> NDArray[np.float64]:
    """Return the matrix that maps the classes of one label set to those of another.

    Args:
        of: Label set with K classes.
        onto: Label set with L classes.

    Returns:
        float64 [K,L], with a 1 where two names mean the same class. A class without a counterpart, such as `contempt`
        in `FER7`, is a row of zeros.

    >>> projection(FERPLUS8, FER7).shape, projection(FERPLUS8, FER7).sum(axis=1).tolist()
    ((8, 7), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    """
    matrix_KL = np.zeros((len(of), len(onto)))
    for row, name in enumerate(of.names):
        column = counterpart(name, onto.names)
        if column is not None:
            matrix_KL[row, column] = 1
    return matrix_KL
