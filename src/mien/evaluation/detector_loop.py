"""Accuracy when faces are detected and cropped again from larger images.

A data set's faces are crops already, cut by its own rule. What a model is worth on photos it is worth at the detector's
box, so each face is enlarged three to six times, turned a little and laid somewhere on a canvas, half of them on flat
grey and half before their own blurred rim. That is easier than a photo for the detector and leaves out whatever else a
photo brings; it measures what the box alone costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.detection.boxes import Box
from mien.detection.detectors import build_detector
from mien.errors import MienError
from mien.evaluation.robustness import Ask
from mien.evaluation.statistics.intervals import Interval, faces_interval
from mien.imaging.crop import CropRule, crop

CANVAS = 448  # pixels a side
TURNED = 15.0  # degrees to either side, at most
DETECTOR = "yunet"
Grey = NDArray[np.uint8]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PastedFace:
    """A face on its canvas, and what the detector tells of it."""

    row: int
    canvas_HW: Grey
    box: Box
    points: Points
    truth: Box  # the original crop's square, before it was turned
    angle: float  # by how much, clockwise, in radians


def canvas(face_HW: Grey, scale: float, angle: float, middle: tuple[float, float], blurred: bool) -> Grey:
    """The face, enlarged and turned, on a canvas [448,448]."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array(middle) - turn @ [SIDE / 2, SIDE / 2]
    matrix = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])  # OpenCV counts from pixels' middles
    rim = np.concatenate([face_HW[0], face_HW[-1], face_HW[:, 0], face_HW[:, -1]])
    if not blurred:
        level = int(np.median(rim))
        flat = cv2.warpAffine(
            face_HW, matrix, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=level
        )
        return np.asarray(flat, np.uint8)
    near = cv2.warpAffine(face_HW, matrix, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.GaussianBlur(cv2.resize(near, (56, 56), interpolation=cv2.INTER_AREA), (0, 0), scale)
    inside = cv2.warpAffine(np.full((SIDE, SIDE), 255, np.uint8), matrix, (CANVAS, CANVAS)) > 127
    return np.where(inside, near, cv2.resize(small, (CANVAS, CANVAS)))


def paste_and_detect(
    faces_NHW: Grey, rows_N: NDArray[np.integer[Any]], seed: int, turned: float = TURNED
) -> Iterator[PastedFace]:
    """The faces that the detector finds on their canvases, each by the box nearest to it; turned by so many degrees."""
    detector, rng = build_detector(DETECTOR), np.random.default_rng(seed)
    for row in rows_N:
        scale, angle = float(rng.uniform(3, 6)), float(np.radians(rng.uniform(-turned, turned)))
        middle, blurred = (float(m) for m in rng.uniform(CANVAS / 2 - 40, CANVAS / 2 + 40, 2)), bool(rng.random() < 0.5)
        x, y = middle
        made = canvas(faces_NHW[row], scale, angle, (x, y), blurred)
        side = SIDE * scale
        truth = Box(x - side / 2, y - side / 2, side, side)
        near = [
            (abs(d.box.left + d.box.width / 2 - x) + abs(d.box.top + d.box.height / 2 - y), d)
            for d in detector(np.dstack([made] * 3))
            if max(d.box.width, d.box.height) > 0.4 * side
        ]
        if near and (best := min(near, key=lambda pair: pair[0]))[0] < 0.5 * side:
            yield PastedFace(int(row), made, best[1].box, best[1].landmarks, truth, angle)


@dataclass(frozen=True)
class DetectorLoop:
    """What the detector's box costs a model.

    Attributes:
        detector: its name.
        n: faces that were laid into images.
        found: how many the detector found.
        turned: by up to how many degrees they were turned.
        original: accuracy of the data set's own crops, on the faces that were found, 0 to 1.
        accuracy: accuracy at the detector's box, on the same faces.
        through: accuracy at the detector's box on all faces, one that was not found counting as a mistake.
        lost: `original` minus `accuracy`, paired by face, with its 95 % interval.
    """

    detector: str
    n: int
    found: int
    turned: float
    original: float
    accuracy: float
    through: float
    lost: Interval

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        return asdict(self)


def run_detector_loop(
    ask: Ask,
    rule: CropRule,
    faces_NHW: Grey,
    labels_N: NDArray[np.integer[Any]],
    *,
    turned: float = TURNED,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> DetectorLoop:
    """Judge a model on faces as the detector finds them, beside the same faces as the data set cut them out.

    Args:
        ask: what asks the model.
        rule: how faces are cut out for it.
        faces_NHW: uint8 [N,48,48].
        labels_N: the true classes, as the model tells them.
        turned: degrees to either side, at most.
        seed: of places, sizes, turns and grounds.
        step: called after each face that was found.

    Raises:
        MienError: the detector finds fewer than two of the faces.
    """
    crops, rows = [], []
    for one in paste_and_detect(faces_NHW, np.arange(len(faces_NHW)), seed, turned):
        crops.append(crop(one.canvas_HW, one.box, one.points, rule, SIDE))
        rows.append(one.row)
        step()
    if len(rows) < 2:
        raise MienError(f"the detector found {len(rows)} of {len(faces_NHW)} faces, too few to judge a model by")
    true_M = np.asarray(labels_N)[rows]
    before_M, after_M = (ask(of).argmax(1) == true_M for of in (faces_NHW[rows], np.stack(crops)))
    return DetectorLoop(
        detector=DETECTOR,
        n=len(faces_NHW),
        found=len(rows),
        turned=turned,
        original=float(before_M.mean()),
        accuracy=float(after_M.mean()),
        through=float(after_M.sum() / len(faces_NHW)),
        lost=faces_interval((before_M.astype(float) - after_M.astype(float))[None]),
    )
