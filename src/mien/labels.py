"""Label sets: which expressions there are, in which order, under which spellings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError


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
        """The index of `name`, any usual spelling of it included (`happiness` for `happy`)."""
        wanted = name.strip().lower()
        for spelling in (wanted, SPELLINGS.get(wanted, wanted)):
            lowered = [n.lower() for n in self.names]
            if spelling in lowered:
                return lowered.index(spelling)
        raise MienError(f"'{name}' is no class of {self.name}; its classes are {', '.join(self.names)}")


# The order is that of the `emotion` column of fer2013.csv (Goodfellow et al. 2013, arXiv 1307.0414).
FER7 = LabelSet("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))

# The ten columns of fer2013new.csv in file order (Barsoum et al. 2016, arXiv 1608.01041); the last two are no
# expressions: `unknown` is a rater who could not say, `NF` one who saw no face.
FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip

# What FER+ tells apart: its columns but for the two that are no expressions.
FERPLUS8 = LabelSet("ferplus8", FERPLUS_COLUMNS[:8])

# The sets that can be asked for by name; a folder's own comes with the folder.
LABEL_SETS = {labels.name: labels for labels in (FER7, FERPLUS8)}

# Spellings of the seven that folders and other packages use, each with our name.
SPELLINGS = {
    "anger": "angry",
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


def label_set_for(folder_names: list[str]) -> LabelSet:
    """FER7 if every name is a usual spelling of one of the seven, else a set of just these names, sorted."""
    known = {_usual(n) for n in folder_names}
    if known <= set(FER7.names) and len(known) == len(set(folder_names)):
        return FER7
    return LabelSet("custom", tuple(sorted(set(folder_names))))


def projection(of: LabelSet, onto: LabelSet) -> NDArray[np.float64]:
    """How the classes of one set go over into another's, float64 [K_of,K_onto]: a 1 where two names mean the same.

    A class without a counterpart, such as FER+'s `contempt` among the seven, is a row of zeros.
    """
    over = np.zeros((len(of), len(onto)))
    for row, name in enumerate(of.names):
        same = [n for n in onto.names if n == name] or [n for n in onto.names if _usual(n) == _usual(name)]
        if same:
            over[row, onto.names.index(same[0])] = 1
    return over


def _usual(name: str) -> str:
    """`name` as we spell it, where it is a spelling of one of the seven."""
    lowered = name.strip().lower()
    return SPELLINGS.get(lowered, lowered)
