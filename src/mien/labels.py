"""Label sets: class names, their order and their spellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

# Spellings of the eight expressions in other data sets and packages, each with the one used here.
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
    "calm": "neutral",
}


def canonical_name(name: str) -> str:
    """Return the class name used here for `name`; a name that `SPELLINGS` lacks is only lowercased."""
    lowered = _lowered(name)
    return SPELLINGS.get(lowered, lowered)


def counterpart(name: str, names: Sequence[str]) -> int | None:
    """Find the class that `name` means among `names`.

    Args:
        name: A class name in any spelling.
        names: Class names, each in any spelling.

    Returns:
        The index of the same name, else of the same name in another case, else of another spelling of it; None where
        there is none.
    """
    for near_duplicate_pairs in (str, _lowered, canonical_name):
        found = [near_duplicate_pairs(other) for other in names]
        if near_duplicate_pairs(name) in found:
            return found.index(near_duplicate_pairs(name))
    return None


def same_classes(names: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether two lists name the same classes in the same order, whatever the spelling of each."""
    return len(names) == len(others) and all(counterpart(name, others) == k for k, name in enumerate(names))


def _lowered(name: str) -> str:
    return name.strip().lower()


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of class names; a class's index is its place in `names`.

    Raises:
        MienError: fewer than two names, an empty name, or a name that stands there twice.
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
        """Return the index of `name`, in any spelling: `happiness` finds `happy`, and `happy` finds `happiness`.

        Raises:
            MienError: No class of this set is spelled so.
        """
        found = counterpart(name, self.names)
        if found is None:
            raise MienError(f"'{name}' is no class of {self.name}; its classes are {', '.join(self.names)}")
        return found


# The order is that of the `emotion` column of fer2013.csv (Goodfellow et al. 2013, arXiv 1307.0414).
FER7 = LabelSet("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))

# The ten columns of fer2013new.csv in file order (Barsoum et al. 2016, arXiv 1608.01041); the last two are no
# expressions: `unknown` is a rater who could not say, `NF` one who saw no face.
FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip

# The expressions among these columns, named as in FER7.
FERPLUS8 = LabelSet("ferplus8", tuple(canonical_name(column) for column in FERPLUS_COLUMNS[:8]))

# The sets that can be asked for by name; a folder's own comes with the folder.
LABEL_SETS = {labels.name: labels for labels in (FER7, FERPLUS8)}


def label_set_for(folder_names: list[str]) -> LabelSet:
    """FER7 if every name is a usual spelling of one of the seven, else a set of just these names, sorted."""
    known = {canonical_name(n) for n in folder_names}
    if known <= set(FER7.names) and len(known) == len(set(folder_names)):
        return FER7
    return LabelSet("custom", tuple(sorted(set(folder_names))))


def projection(of: LabelSet, onto: LabelSet) -> NDArray[np.float64]:
    """Map the classes of one set to those of another.

    Returns:
        float64 [K_of,K_onto], with a 1 where two names mean the same class. A class without a counterpart, such as
        `contempt` in `FER7`, is a row of zeros.
    """
    over = np.zeros((len(of), len(onto)))
    for row, name in enumerate(of.names):
        column = counterpart(name, onto.names)
        if column is not None:
            over[row, column] = 1
    return over
