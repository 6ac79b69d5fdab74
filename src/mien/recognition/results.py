"""Results as plain data: `Face`, `Analysis`, `PersonFace`, `VideoFrame`.

Pixels are those of the image as it is seen, EXIF turned; (0, 0) is its upper left corner, x goes right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.detection.boxes import Box
from mien.errors import MienError

SMOOTH = 0.5  # seconds over which the probabilities of a video are smoothed
UNCERTAIN = "uncertain"  # the label of a face whose likeliest class is not likely enough


@dataclass(frozen=True)
class Face:
    """One face and what its expression is told to be.

    Attributes:
        box: where it is.
        score: how sure the detector is that it is a face, 0 to 1.
        landmarks: (x, y) of right eye, left eye, nose tip, right and left corner of the mouth, the person's own right
            and left; empty where the detector gives none.
        labels: the classes, in the order of `probabilities`.
        probabilities: of each class, in all 1.
        label: the likeliest class, or `uncertain` where that is less likely than what was asked for.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    label: str

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.probabilities):
            raise MienError(f"a face has {len(self.labels)} labels and {len(self.probabilities)} probabilities")
        if self.label not in (*self.labels, UNCERTAIN):
            raise MienError(f"a face's label is one of {', '.join(self.labels)}, or {UNCERTAIN}, got {self.label!r}")

    @property
    def confidence(self) -> float:
        """The probability of the likeliest class."""
        return max(self.probabilities)

    def to_dict(self) -> dict[str, Any]:
        return {
            "box": self.box.to_dict(),
            "score": round(self.score, 4),
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in self.landmarks],
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "probabilities": {n: round(p, 4) for n, p in zip(self.labels, self.probabilities, strict=True)},
        }


@dataclass(frozen=True)
class Analysis:
    """What was read in one image.

    Attributes:
        source: the image's name, empty where it has none.
        width, height: of the image in pixels; 0 where it could not be read.
        faces: from left to right; empty where there is none.
        model, detector: what read it; a model that was asked about the mirror image too is NAME+flip.
        error: why it could not be read, empty where it could.
    """

    source: str
    width: int
    height: int
    faces: tuple[Face, ...]
    model: str
    detector: str
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types: the wire form everywhere, on the command line, in files and over HTTP."""
        return {
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "model": self.model,
            "detector": self.detector,
            "faces": [face.to_dict() for face in self.faces],
            "error": self.error or None,
        }


@dataclass(frozen=True)
class PersonFace(Face):
    """One face of a frame, and whose it is; the probabilities are smoothed over time.

    Attributes:
        person: a number from 1 on, the same as long as the person is seen; who comes back later gets a new one.
    """

    person: int

    def to_dict(self) -> dict[str, Any]:
        return {"person": self.person, **super().to_dict()}


@dataclass(frozen=True)
class VideoFrame:
    """What was read in one frame.

    Attributes:
        index: the frame's number in the file, from 0 on.
        time: when it is shown, in seconds from the beginning.
        width, height: of the image as it is seen, in pixels.
        faces: from left to right; empty where there is none.
    """

    index: int
    time: float
    width: int
    height: int
    faces: tuple[PersonFace, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "index": self.index,
            "time": round(self.time, 4),
            "width": self.width,
            "height": self.height,
            "faces": [face.to_dict() for face in self.faces],
        }


def escape_surrogates(name: str) -> str:
    """`name` without what is no Unicode, as file names may be: its bytes become escapes that JSON reads back."""
    return name.encode("utf-8", "backslashreplace").decode()
