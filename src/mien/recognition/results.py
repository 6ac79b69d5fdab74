"""Results as plain data: `Face`, `Analysis`, `PersonFace`, `VideoFrame`.

Pixels are those of the upright image, turned by its EXIF orientation; (0, 0) is the upper left corner, x goes right,
y goes down.

`to_dict` gives the JSON of a result, which is the same in JSON Lines, in JSON files and in HTTP responses. An image and
a frame of a video share one shape and one set of key names:

    source          name of the image or of the video
    index, time     only for a frame: its number from 0 on, and its time in seconds
    width, height   size in pixels; 0 if the image could not be read
    model, detector names of the model and of the detector
    faces           list of faces, from left to right:
        person          only for a frame: number of the person, from 1 on
        box             left, top, width, height in pixels
        score           score of the detector, 0 to 1
        landmarks       five points [x, y] in pixels, or an empty list
        label           most probable class, or `uncertain`
        confidence      probability of the most probable class
        probabilities   probability of each class, by its name
    error           why the image could not be read, or null

Columns of csv and parquet have the same names; there a row is a face, and `p_CLASS` is the probability of a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.detection.boxes import Box
from mien.errors import MienError

SMOOTH = 0.5  # seconds over which the probabilities of a video are smoothed
UNCERTAIN = "uncertain"  # label of a face whose confidence is below `min_confidence`


def percentage(probability: float, digits: int = 0) -> str:
    """Return a probability as text, `93 %`; one below 1 that would be rounded to 100 % is `> 99 %`.

    Args:
        probability: Probability, 0 to 1.
        digits: Number of decimal places.

    Example:
        >>> percentage(0.934), percentage(0.99998), percentage(0.99998, digits=1)
        ('93 %', '> 99 %', '> 99.9 %')
    """
    text = f"{100 * probability:.{digits}f}"
    if probability < 1 and float(text) == 100:
        return f"> {100 - 10**-digits:.{digits}f} %"
    return f"{text} %"


@dataclass(frozen=True)
class Face:
    """One face and its predicted expression.

    Attributes:
        box: Bounding box.
        score: Score of the detector, 0 to 1: how certain it is that this is a face.
        landmarks: Points (x, y) of right eye, left eye, nose tip, right and left corner of the mouth; right and left
            are the person's own. Empty if the detector has no landmarks.
        labels: Classes, in the order of `probabilities`.
        probabilities: Probability of each class; they sum to 1.
        label: Most probable class, or `uncertain` if its probability is below `min_confidence`.

    Example:
        >>> from mien.detection.boxes import Box
        >>> face = Face(Box(10, 20, 64, 80), 0.93, (), ("happy", "sad"), (0.75, 0.25), "happy")
        >>> face.confidence
        0.75
        >>> face.to_dict()["probabilities"]
        {'happy': 0.75, 'sad': 0.25}
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
            raise MienError(
                f"the label of a face must be one of {', '.join(self.labels)} or {UNCERTAIN}, got {self.label!r}"
            )

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return max(self.probabilities)

    def to_dict(self) -> dict[str, Any]:
        """Return the face as JSON types, rounded."""
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
    """The faces of one image.

    Attributes:
        source: Name of the image, empty if it has none.
        width, height: Size of the image in pixels; 0 if it could not be read.
        faces: Faces, from left to right.
        model, detector: Names of the model and of the detector; with test-time augmentation the model is `NAME+flip`.
        error: Reason why the image could not be read; empty if it could.

    Example:
        >>> Analysis("photo.jpg", 640, 480, (), "nano", "yunet").to_dict()["faces"]
        []
    """

    source: str
    width: int
    height: int
    faces: tuple[Face, ...]
    model: str
    detector: str
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types, in the shape that `mien.recognition.results` describes."""
        return _record(self, {})


@dataclass(frozen=True)
class PersonFace(Face):
    """One face of a frame, with the number of its person and probabilities smoothed over time.

    Attributes:
        person: Number of the person from 1 on, the same while the person is tracked; a person who comes back later
            gets a new number.

    Example:
        >>> from mien.detection.boxes import Box
        >>> face = PersonFace(Box(10, 20, 64, 80), 0.93, (), ("happy", "sad"), (0.75, 0.25), "happy", person=1)
        >>> face.person, face.label
        (1, 'happy')
    """

    person: int

    def to_dict(self) -> dict[str, Any]:
        """Return the face as JSON types, rounded."""
        return {"person": self.person, **super().to_dict()}


@dataclass(frozen=True)
class VideoFrame:
    """The faces of one frame of a video.

    Attributes:
        index: Number of the frame in the file, from 0 on.
        time: Presentation time in seconds from the beginning.
        width, height: Size of the upright frame in pixels.
        faces: Faces, from left to right.
        source: Name of the video, empty if it has none.
        model, detector: Names of the model and of the detector, as in `Analysis`.

    Example:
        >>> frame = VideoFrame(25, 1.0, 640, 480, (), "clip.mp4", "nano", "yunet")
        >>> record = frame.to_dict()
        >>> record["source"], record["index"], record["time"]
        ('clip.mp4', 25, 1.0)
    """

    index: int
    time: float
    width: int
    height: int
    faces: tuple[PersonFace, ...]
    source: str = ""
    model: str = ""
    detector: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types: that of an image, with `index` and `time`, and faces with `person`."""
        return _record(self, {"index": self.index, "time": round(self.time, 4)})


def _record(result: Analysis | VideoFrame, position: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": result.source,
        **position,
        "width": result.width,
        "height": result.height,
        "model": result.model,
        "detector": result.detector,
        "faces": [face.to_dict() for face in result.faces],
        "error": (result.error if isinstance(result, Analysis) else "") or None,
    }


def escape_surrogates(text: str) -> str:
    r"""Return `text` as valid Unicode; bytes of a file name that are not UTF-8 become escapes such as `\udcff`.

    Example:
        >>> escape_surrogates("caf\udce9.jpg")
        'caf\\udce9.jpg'
    """
    return text.encode("utf-8", "backslashreplace").decode()
