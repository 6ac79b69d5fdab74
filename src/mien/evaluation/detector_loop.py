"""Accuracy when faces are detected and cropped again from larger images.

The faces of a data set are already cropped, by a rule of its own; in photos the detector's box decides the crop. To
measure the difference, each face is enlarged three to six times, rotated a little and pasted on a canvas, half of them
on a flat gray background and half on their own blurred border. This is easier for the detector than a photo and leaves
out everything else that photos change; it measures the effect of the box alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.detection.boxes import Box
from mien.detection.detectors import build_detector
from mien.errors import MienError
from mien.evaluation.robustness import PredictFunction
from mien.evaluation.statistics.intervals import Interval, faces_interval
from mien.imaging.crop import CropRule, crop

CANVAS = 448  # pixels per side
MAX_ROTATION = 15.0  # degrees to either side
DETECTOR = "yunet"
Gray = NDArray[np.uint8]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PastedFace:
    """A face pasted on a canvas, with the box and landmarks that the detector returns.

    Attributes:
        row: Index of the face.
        canvas_HW: The canvas, uint8 [448,448].
        box: Detected box, in pixels of the canvas.
        points: Detected landmarks.
        truth: Square of the original crop, before rotation.
        angle: Clockwise rotation, in radians.
    """

    row: int
    canvas_HW: Gray
    box: Box
    points: Points
    truth: Box
    angle: float


def canvas(face_HW: Gray, scale: float, angle: float, center: tuple[float, float], blurred: bool) -> Gray:
    """Return a canvas [448,448] with the enlarged and rotated face.

    Args:
        face_HW: Face, uint8 [48,48].
        scale: Scale factor.
        angle: Clockwise rotation, in radians.
        center: Center (x, y) of the face on the canvas.
        blurred: Whether the background is the blurred border of the face instead of a flat gray.
    """
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array(center) - turn @ [SIDE / 2, SIDE / 2]
    matrix = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])  # OpenCV's coordinates refer to pixel centers
    border = np.concatenate([face_HW[0], face_HW[-1], face_HW[:, 0], face_HW[:, -1]])
    if not blurred:
        level = int(np.median(border))
        flat = cv2.warpAffine(
            face_HW, matrix, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=level
        )
        return np.asarray(flat, np.uint8)
    near = cv2.warpAffine(face_HW, matrix, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.GaussianBlur(cv2.resize(near, (56, 56), interpolation=cv2.INTER_AREA), (0, 0), scale)
    inside = cv2.warpAffine(np.full((SIDE, SIDE), 255, np.uint8), matrix, (CANVAS, CANVAS)) > 127
    return np.where(inside, near, cv2.resize(small, (CANVAS, CANVAS)))


def paste_and_detect(
    faces_NHW: Gray, rows_N: NDArray[np.integer[Any]], seed: int, max_rotation: float = MAX_ROTATION
) -> Iterator[PastedFace]:
    """Yield the pasted faces that the detector finds, each with the detected box nearest to it.

    Args:
        faces_NHW: Faces uint8 [N,48,48].
        rows_N: Indices of the faces to paste.
        seed: Seed of positions, sizes, rotations and backgrounds.
        max_rotation: Largest rotation to either side, in degrees.
    """
    detector, rng = build_detector(DETECTOR), np.random.default_rng(seed)
    for row in rows_N:
        scale, angle = float(rng.uniform(3, 6)), float(np.radians(rng.uniform(-max_rotation, max_rotation)))
        center, blurred = (float(m) for m in rng.uniform(CANVAS / 2 - 40, CANVAS / 2 + 40, 2)), bool(rng.random() < 0.5)
        x, y = center
        canvas_HW = canvas(faces_NHW[row], scale, angle, (x, y), blurred)
        side = SIDE * scale
        truth = Box(x - side / 2, y - side / 2, side, side)
        near = [
            (abs(d.box.left + d.box.width / 2 - x) + abs(d.box.top + d.box.height / 2 - y), d)
            for d in detector(np.dstack([canvas_HW] * 3))
            if max(d.box.width, d.box.height) > 0.4 * side
        ]
        if near and (best := min(near, key=lambda candidate: candidate[0]))[0] < 0.5 * side:
            yield PastedFace(int(row), canvas_HW, best[1].box, best[1].landmarks, truth, angle)


@dataclass(frozen=True)
class DetectorLoop:
    """Accuracy of a model on the data set's own crops and on crops at the detector's box.

    Attributes:
        detector: Name of the detector.
        n: Faces that were pasted.
        found: Faces that the detector found.
        max_rotation: Largest rotation to either side, in degrees.
        original: Accuracy on the data set's own crops of the detected faces, 0 to 1.
        accuracy: Accuracy on crops at the detector's box, of the same faces.
        accuracy_of_all: Accuracy on crops at the detector's box, of all faces; a face not found counts as a mistake.
        accuracy_loss: `original` minus `accuracy`, paired by face, with its 95 % interval.
    """

    detector: str
    n: int
    found: int
    max_rotation: float
    original: float
    accuracy: float
    accuracy_of_all: float
    accuracy_loss: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return all values as JSON types."""
        return {
            "detector": self.detector,
            "n": self.n,
            "found": self.found,
            "turned": self.max_rotation,
            "original": self.original,
            "accuracy": self.accuracy,
            "through": self.accuracy_of_all,
            "lost": self.accuracy_loss.to_dict(),
        }


def run_detector_loop(
    predict: PredictFunction,
    rule: CropRule,
    faces_NHW: Gray,
    labels_N: NDArray[np.integer[Any]],
    *,
    max_rotation: float = MAX_ROTATION,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> DetectorLoop:
    """Evaluate a model on faces at the detector's box and on the same faces as the data set crops them.

    Args:
        predict: Predict function of the model.
        rule: Crop rule of the model.
        faces_NHW: Faces uint8 [N,48,48].
        labels_N: True class indices, int [N], in the class order of the model.
        max_rotation: Largest rotation to either side, in degrees.
        seed: Seed of positions, sizes, rotations and backgrounds.
        step: Callback after each detected face.

    Raises:
        MienError: The detector finds fewer than two of the faces.
    """
    crops, rows = [], []
    for pasted in paste_and_detect(faces_NHW, np.arange(len(faces_NHW)), seed, max_rotation):
        crops.append(crop(pasted.canvas_HW, pasted.box, pasted.points, rule, SIDE))
        rows.append(pasted.row)
        step()
    if len(rows) < 2:
        raise MienError(
            f"the detector found {len(rows)} of {len(faces_NHW)} faces, too few to evaluate a model; "
            "run again without --detector"
        )
    true_M = np.asarray(labels_N)[rows]
    before_M, after_M = (predict(x_NHW).argmax(1) == true_M for x_NHW in (faces_NHW[rows], np.stack(crops)))
    return DetectorLoop(
        detector=DETECTOR,
        n=len(faces_NHW),
        found=len(rows),
        max_rotation=max_rotation,
        original=float(before_M.mean()),
        accuracy=float(after_M.mean()),
        accuracy_of_all=float(after_M.sum() / len(faces_NHW)),
        accuracy_loss=faces_interval((before_M.astype(float) - after_M.astype(float))[None]),
    )
