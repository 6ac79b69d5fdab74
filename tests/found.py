"""Analyses made up for tests: what writers and drawing are given."""

from __future__ import annotations

from mien.detection.boxes import Box
from mien.labels import FER7
from mien.recognition import Analysis, Face
from mien.recognition.quality import FaceQuality

LABELS = FER7.names
HAPPY = (0.0107, 0.0021, 0.0052, 0.8964, 0.0103, 0.0321, 0.0432)
SAD = (0.1, 0.02, 0.05, 0.01, 0.62, 0.01, 0.19)
REASON = "low confidence: 0.2, at least 0.5"
FLAT = (0.2, 0.1, 0.15, 0.1, 0.2, 0.1, 0.15)


def face(
    left: float,
    top: float,
    wide: float,
    high: float,
    probabilities: tuple[float, ...] = HAPPY,
    label: str = "",
    reason: str = "",
) -> Face:
    likeliest = LABELS[probabilities.index(max(probabilities))]
    eyes_and_mouth = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    landmarks = tuple((left + x * wide, top + y * high) for x, y in eyes_and_mouth)
    quality = FaceQuality(max(wide, high), 0.11062, 127.26, -8.26, 0.92)
    return Face(
        Box(left, top, wide, high), 0.9316, landmarks, LABELS, probabilities, label or likeliest, quality=quality,
        uncertain_reason=reason,
    )  # fmt: skip


def analysis(source: str, *faces: Face, size: tuple[int, int] = (640, 480), error: str = "") -> Analysis:
    wide, high = (0, 0) if error else size
    return Analysis(source, wide, high, faces, "nano", "yunet", error)


NONE = analysis("photos/none.png", size=(20, 10))
ONE = analysis("photos/one.jpg", face(10.123, 20, 30, 40))
MANY = analysis(
    'photos/many, "é".png', face(1, 2, 3, 4), face(10, 20, 30, 40, SAD), face(60, 20, 30, 40, FLAT, "uncertain", REASON)
)
ERROR = analysis("photos/cut.jpg", error="photos/cut.jpg: cannot be read, its JPEG data is cut off")
CASES = {"none": [NONE], "one": [ONE], "many": [MANY], "error": [ERROR], "all": [ONE, NONE, MANY, ERROR], "empty": []}
