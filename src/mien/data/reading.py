"""What was decided while a data set was read, and its labels by several raters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reading:
    """What was decided and left out while a source was read.

    Attributes:
        notes: Decisions, such as the layout or merged classes, one sentence each.
        losses: Images that were left out, one sentence for each reason.
        unread: Number of other files that were not read, by ending, in words; or empty.

    Example:
        >>> Reading(notes=("Read as CK+48.",), unread="2 .txt").to_dict()
        {'notes': ['Read as CK+48.'], 'losses': [], 'unread': '2 .txt'}
    """

    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    unread: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types."""
        return {"notes": list(self.notes), "losses": list(self.losses), "unread": self.unread}


@dataclass(frozen=True, eq=False)
class Ratings:
    """Labels by several raters: M ratings of N faces. Faces without a majority are among them.

    Attributes:
        raters: Names of the raters.
        faces_NHW: Rated faces, uint8 [N,48,48].
        faces_M: Index of the rated face, int64 [M].
        raters_M: Index of the rater, int64 [M].
        labels_M: Class index, int64 [M]: first the classes of the data set, then those of `others`.
        others: Classes that raters use and the data set has not, as no image has a majority for them.
    """

    raters: tuple[str, ...]
    faces_NHW: NDArray[np.uint8]
    faces_M: NDArray[np.int64]
    raters_M: NDArray[np.int64]
    labels_M: NDArray[np.int64]
    others: tuple[str, ...] = ()
