"""Explanations of a prediction: class activation maps and occlusion.

Sources: Zhou et al. 2016, arXiv 1512.04150 (class activation); Zeiler and Fergus 2014, arXiv 1311.2901 (occlusion).
Both show what the model looks at, not what a person feels. H rows, W columns, C maps, K classes, P patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.imaging.load import ImageSource, read_image
from mien.labels import counterpart
from mien.recognition.annotation import text
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Face, percentage

PATCH, STEP = 12, 4  # side of the patch that is covered and distance between patches, in pixels of the face crop
SIDE, GAP, HEAD = 288, 12, 34  # pixels of the drawing: side of a panel, gap between panels, height of the title
_INK, _FAINT, _PAPER = (255, 255, 255), (190, 196, 204), (20, 23, 28)
_FOR, _AGAINST = (230, 159, 0), (0, 114, 178)  # RGB of two colors that color-blind people can distinguish
_OPACITY = 0.75  # opacity of the strongest color

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Evidence in a face for and against a class.

    Maps are float32 [H,W]: above 0 where a place is evidence for the class, below 0 where it is evidence against it.

    Attributes:
        face: Face with its prediction.
        label: Class that is explained.
        face_HW: Face crop, the input of the model, uint8.
        activation_HW: Contribution of each place to the logit of the class above the mean class; None if the logits are
            not a linear function of the model's feature maps.
        occlusion_HW: Decrease of the log-odds of the class, in nats, when a patch there is covered.
    """

    face: Face
    label: str
    face_HW: Pixels
    activation_HW: Floats | None
    occlusion_HW: Floats

    @property
    def probability(self) -> float:
        """Probability of the class that is explained."""
        return self.face.probabilities[self.face.labels.index(self.label)]


def explain(
    recognizer: Recognizer, image: ImageSource, *, order: str | None = None, label: str | None = None
) -> tuple[Explanation, ...]:
    """Return an explanation for each face in an image, from left to right.

    Args:
        recognizer: Recognizer; its test-time augmentation is not used.
        image: Image as of `Recognizer.analyze`.
        order: Order of the channels of an array as of `Recognizer.analyze`.
        label: Class to explain, in any usual spelling; by default the most probable one of each face.

    Raises:
        ImageError: The image cannot be read.
        MienError: The model has no class `label`.

    Example:
        >>> import mien
        >>> from mien.recognition import sample
        >>> explanations = explain(mien.load("nano"), sample(), label="happiness")
        >>> explanations[0].label, explanations[0].occlusion_HW.shape
        ('happy', (48, 48))
    """
    names = recognizer.labels.names
    chosen = None if label is None else counterpart(label, names)
    if label is not None and chosen is None:
        raise MienError(f"the model {recognizer.model.card.name} has no class {label!r}; it has {', '.join(names)}")
    image_HW3 = read_image(image, order=order, max_pixels=recognizer.max_pixels, max_bytes=recognizer.max_bytes)
    detections = recognizer.pipeline.detect(image_HW3)
    faces_NHW = recognizer.pipeline.crop_faces(image_HW3, detections)
    probs_NK, maps_NCHW = recognizer.model.maps(faces_NHW)
    explanations = []
    for detection, face_HW, probs_K, maps_CHW in zip(detections, faces_NHW, probs_NK, maps_NCHW, strict=True):
        k = int(probs_K.argmax()) if chosen is None else chosen
        explanations.append(
            Explanation(
                recognizer.pipeline.face(detection, probs_K), names[k], face_HW,
                _activation(recognizer, maps_CHW, k, len(face_HW)),
                _occlusion(recognizer, face_HW, float(probs_K[k]), k),
            )
        )  # fmt: skip
    return tuple(explanations)


def _activation(recognizer: Recognizer, maps_CHW: Floats, k: int, side: int) -> Floats | None:
    """Return the class activation map of class `k` minus the mean over classes, which does not change probabilities."""
    weights_KC = recognizer.model.class_weights_KC
    if weights_KC is None:
        return None
    coarse_HW = np.tensordot(weights_KC[k] - weights_KC.mean(0), maps_CHW, 1).astype(np.float32)
    return np.asarray(cv2.resize(coarse_HW, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def _occlusion(recognizer: Recognizer, face_HW: Pixels, prob: float, k: int) -> Floats:
    """Return each pixel's mean over the patches that cover it; a patch is filled with the mean of the face."""
    height, width = face_HW.shape
    corners = [(y, x) for y in range(0, height - PATCH + 1, STEP) for x in range(0, width - PATCH + 1, STEP)]
    covered_PHW = np.repeat(face_HW[None], len(corners), 0)
    for covered_HW, (y, x) in zip(covered_PHW, corners, strict=True):
        covered_HW[y : y + PATCH, x : x + PATCH] = round(float(face_HW.mean()))
    probs_P = recognizer.model.probabilities(covered_PHW)[:, k]
    decrease_P = _log_odds(np.array([prob])) - _log_odds(probs_P)
    sum_HW, count_HW = np.zeros((height, width)), np.zeros((height, width))
    for decrease, (y, x) in zip(decrease_P, corners, strict=True):
        sum_HW[y : y + PATCH, x : x + PATCH] += decrease
        count_HW[y : y + PATCH, x : x + PATCH] += 1
    return np.asarray(sum_HW / np.maximum(count_HW, 1), np.float32)


def _log_odds(probs: NDArray[np.floating]) -> NDArray[np.float64]:
    clipped = np.clip(probs.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def draw(explanations: Sequence[Explanation]) -> Pixels:
    """Return a drawing with a row per face: the face crop, and the crop with each map over it.

    Orange is evidence for the class and blue evidence against it; each map has its own scale. If no face has a class
    activation map, there is no panel for it.

    Args:
        explanations: Explanations as of `explain`.

    Returns:
        Image as BGR, uint8 [H,W,3].

    Example:
        >>> import mien
        >>> from mien.recognition import sample
        >>> draw(explain(mien.load("nano"), sample())).shape
        (334, 912, 3)
    """
    panels = 3 if any(explanation.activation_HW is not None for explanation in explanations) else 2
    rows = [_row(number, explanation, panels) for number, explanation in enumerate(explanations, 1)]
    return np.vstack(rows) if rows else np.full((HEAD, SIDE, 3), _PAPER[::-1], np.uint8)


def _row(number: int, explanation: Explanation, width: int) -> Pixels:
    """Return the row of one face, `width` panels wide."""
    grey_HW3 = _enlarge(cv2.cvtColor(explanation.face_HW, cv2.COLOR_GRAY2BGR))
    title = f"face {number}: {explanation.label} {percentage(explanation.probability)}"
    panels = [(title, grey_HW3)]
    if explanation.activation_HW is not None:
        panels.append(("class activation", _overlay(grey_HW3, explanation.activation_HW)))
    panels.append(("occlusion", _overlay(grey_HW3, explanation.occlusion_HW)))
    row_HW3 = np.full((HEAD + SIDE + GAP, width * (SIDE + GAP) + GAP, 3), _PAPER[::-1], np.uint8)
    for i, (title, panel_HW3) in enumerate(panels):
        left = GAP + i * (SIDE + GAP)
        text.write(row_HW3, title, left, HEAD / 2, 18, _FAINT if i else _INK, bold=not i)
        row_HW3[HEAD : HEAD + SIDE, left : left + SIDE] = panel_HW3
    return row_HW3


def _enlarge(image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def _overlay(grey_HW3: NDArray[Any], map_HW: Floats) -> Pixels:
    share_HW = np.asarray(_enlarge(map_HW), np.float32) / max(float(np.abs(map_HW).max()), 1e-9)
    color_HW3 = np.where(share_HW[..., None] > 0, np.array(_FOR[::-1]), np.array(_AGAINST[::-1]))
    opacity_HW1 = _OPACITY * np.clip(np.abs(share_HW), 0, 1)[..., None]
    return np.asarray(np.rint(grey_HW3 * (1 - opacity_HW1) + color_HW3 * opacity_HW1), np.uint8)
