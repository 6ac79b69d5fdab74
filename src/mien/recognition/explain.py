"""Explanations of a prediction: class activation maps and occlusion.

Sources: Zhou et al. 2016, arXiv 1512.04150 (class activation); Zeiler and Fergus 2014, arXiv 1311.2901 (occlusion).
Both tell what the model looks at, not what a person feels. H rows, W columns, C maps, K classes, P patches.
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
from mien.recognition.results import Face

PATCH, STEP = 12, 4  # pixels of the cut-out face: a patch that is covered, and from one to the next
SIDE, GAP, HEAD = 288, 12, 34  # pixels of the drawing: a panel, what lies between two, and the line above
_INK, _FAINT, _PAPER = (255, 255, 255), (190, 196, 204), (20, 23, 28)
_FOR, _AGAINST = (230, 159, 0), (0, 114, 178)  # as red, green, blue: two that the color-blind tell apart
_COVER = 0.75  # how much of the face the strongest color hides

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Why a face is told to be `label`; maps are float32 [H,W], above 0 where a place speaks for it, below against.

    Attributes:
        face: what was read.
        label: the class that is explained.
        face_HW: the face as the model sees it, uint8.
        activation_HW: what each place adds to the class's logit beyond the mean class; None where the model's logits
            are no linear function of its maps.
        occlusion_HW: how far the class's log-odds fall, in nats, when a patch there is covered.
    """

    face: Face
    label: str
    face_HW: Pixels
    activation_HW: Floats | None
    occlusion_HW: Floats


def explain(
    recognizer: Recognizer, image: ImageSource, *, order: str | None = None, label: str | None = None
) -> tuple[Explanation, ...]:
    """For each face in an image, from left to right, why it is told to be what it is.

    Args:
        recognizer: what reads it; the mirror image is not asked.
        image: as of `Recognizer.analyze`, and so is `order`.
        label: the class to be explained, in any usual spelling; by default each face's likeliest.

    Raises:
        ImageError: the image cannot be read.
        MienError: the model tells no class `label` apart.
    """
    names = recognizer.labels.names
    asked = None if label is None else counterpart(label, names)
    if label is not None and asked is None:
        raise MienError(f"the model {recognizer.model.card.name} knows no class {label!r}; it knows {', '.join(names)}")
    image_HW3 = read_image(image, order=order, max_pixels=recognizer.max_pixels, max_bytes=recognizer.max_bytes)
    found = recognizer.pipeline.detect(image_HW3)
    faces_NHW = recognizer.pipeline.crop_faces(image_HW3, found)
    probs_NK, maps_NCHW = recognizer.model.maps(faces_NHW)
    made = []
    for one, face_HW, probs_K, maps_CHW in zip(found, faces_NHW, probs_NK, maps_NCHW, strict=True):
        k = int(probs_K.argmax()) if asked is None else asked
        made.append(
            Explanation(
                recognizer.pipeline.face(one, probs_K), names[k], face_HW,
                _activation(recognizer, maps_CHW, k, len(face_HW)),
                _occlusion(recognizer, face_HW, float(probs_K[k]), k),
            )
        )  # fmt: skip
    return tuple(made)


def _activation(recognizer: Recognizer, maps_CHW: Floats, k: int, side: int) -> Floats | None:
    """Without the mean over classes, which probabilities do not depend on."""
    weights_KC = recognizer.model.class_weights_KC
    if weights_KC is None:
        return None
    coarse_HW = np.tensordot(weights_KC[k] - weights_KC.mean(0), maps_CHW, 1).astype(np.float32)
    return np.asarray(cv2.resize(coarse_HW, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def _occlusion(recognizer: Recognizer, face_HW: Pixels, likely: float, k: int) -> Floats:
    """Each place's mean over the patches that cover it; a patch is filled with the face's mean."""
    high, wide = face_HW.shape
    corners = [(y, x) for y in range(0, high - PATCH + 1, STEP) for x in range(0, wide - PATCH + 1, STEP)]
    covered_PHW = np.repeat(face_HW[None], len(corners), 0)
    for one_HW, (y, x) in zip(covered_PHW, corners, strict=True):
        one_HW[y : y + PATCH, x : x + PATCH] = round(float(face_HW.mean()))
    predicted_P = recognizer.model.probabilities(covered_PHW)[:, k]
    falls_P = _log_odds(np.array([likely])) - _log_odds(predicted_P)
    sum_HW, count_HW = np.zeros((high, wide)), np.zeros((high, wide))
    for fall, (y, x) in zip(falls_P, corners, strict=True):
        sum_HW[y : y + PATCH, x : x + PATCH] += fall
        count_HW[y : y + PATCH, x : x + PATCH] += 1
    return np.asarray(sum_HW / np.maximum(count_HW, 1), np.float32)


def _log_odds(likely: NDArray[np.floating]) -> NDArray[np.float64]:
    sure = np.clip(likely.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(sure / (1 - sure))


def draw(explanations: Sequence[Explanation]) -> Pixels:
    """A row for each face: as the model sees it, then its maps laid over it; BGR, uint8 [H,W,3].

    Orange speaks for the class and blue against it; each map is drawn to its own scale. Where no face has a class
    activation there is no panel for it.
    """
    panels = 3 if any(one.activation_HW is not None for one in explanations) else 2
    rows = [_row(number, one, panels) for number, one in enumerate(explanations, 1)]
    return np.vstack(rows) if rows else np.full((HEAD, SIDE, 3), _PAPER[::-1], np.uint8)


def _row(number: int, one: Explanation, wide: int) -> Pixels:
    grey_HW3 = _enlarged(cv2.cvtColor(one.face_HW, cv2.COLOR_GRAY2BGR))
    likely = one.face.probabilities[one.face.labels.index(one.label)]
    panels = [(f"face {number}: {one.label} {100 * likely:.0f} %", grey_HW3)]
    if one.activation_HW is not None:
        panels.append(("class activation", _laid_over(grey_HW3, one.activation_HW)))
    panels.append(("a patch covered", _laid_over(grey_HW3, one.occlusion_HW)))
    row_HW3 = np.full((HEAD + SIDE + GAP, wide * (SIDE + GAP) + GAP, 3), _PAPER[::-1], np.uint8)
    for at, (title, panel_HW3) in enumerate(panels):
        left = GAP + at * (SIDE + GAP)
        text.write(row_HW3, title, left, HEAD / 2, 18, _FAINT if at else _INK, bold=not at)
        row_HW3[HEAD : HEAD + SIDE, left : left + SIDE] = panel_HW3
    return row_HW3


def _enlarged(image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def _laid_over(grey_HW3: NDArray[Any], map_HW: Floats) -> Pixels:
    share_HW = np.asarray(_enlarged(map_HW), np.float32) / max(float(np.abs(map_HW).max()), 1e-9)
    color_HW3 = np.where(share_HW[..., None] > 0, np.array(_FOR[::-1]), np.array(_AGAINST[::-1]))
    cover_HW1 = _COVER * np.clip(np.abs(share_HW), 0, 1)[..., None]
    return np.asarray(np.rint(grey_HW3 * (1 - cover_HW1) + color_HW3 * cover_HW1), np.uint8)
