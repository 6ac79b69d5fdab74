"""The steps from an image to expressions, on arrays: detect faces, crop them, predict probabilities.

H rows, W columns, N faces, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.detection.boxes import Detection
from mien.detection.detectors import ConfigurableDetector, Detector
from mien.errors import MienError
from mien.imaging.crop import CropRule, crop
from mien.labels import LabelSet
from mien.model import Model
from mien.model_card import TTAS
from mien.recognition.quality import FaceQuality, measure_quality
from mien.recognition.results import UNCERTAIN, Analysis, Face

SMALL = 100  # pixels of the shorter side; smaller images are often face crops, in which YuNet finds no face
WHOLE_HINT = '--detector whole (in Python detector="whole")'

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class DetectedFaces:
    """The faces of one image after detection and before prediction.

    Attributes:
        analysis: Result without faces.
        detections: Detected faces, from left to right.
        faces_NHW: Their crops, uint8 [N,48,48].
        qualities: Their qualities; None for each face if they are not measured.
    """

    analysis: Analysis
    detections: tuple[Detection, ...]
    faces_NHW: Pixels
    qualities: tuple[FaceQuality | None, ...]


@dataclass(frozen=True)
class Pipeline:
    """A detector, a crop rule and a model; it is thread-safe.

    Attributes:
        model: Model that predicts the probabilities; its card has the crop rule.
        detector: Detector that finds the faces.
        min_confidence: Confidence from 0 to 1 below which a face is labelled `uncertain`.
        tta: `none`, or `flip` to average the probabilities with those of the mirror image.
        max_faces: Number of faces to keep of an image, the largest ones; None for all.
        quality: Whether the quality of faces is measured, and too low a quality makes a label `uncertain`.

    Raises:
        MienError: An option is out of its range.

    Example:
        >>> import numpy as np
        >>> from mien.model import load
        >>> from mien.detection.detectors import build_detector
        >>> pipeline = Pipeline(load("nano"), build_detector("whole"))
        >>> image_HW3 = np.zeros((60, 80, 3), np.uint8)
        >>> detections = pipeline.detect(image_HW3)
        >>> faces_NHW = pipeline.crop_faces(image_HW3, detections)
        >>> faces_NHW.shape, pipeline.predict(faces_NHW).shape
        ((1, 48, 48), (1, 7))
    """

    model: Model
    detector: Detector
    min_confidence: float = 0.0
    tta: str = "none"
    max_faces: int | None = None
    quality: bool = True

    def __post_init__(self) -> None:
        confidence = self.min_confidence
        if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
            raise MienError(f"min_confidence must be a number from 0 to 1, got {confidence!r}")
        if self.tta not in TTAS:
            raise MienError(f"tta must be one of {', '.join(TTAS)}, got {self.tta!r}")
        if self.max_faces is not None and (not isinstance(self.max_faces, int) or self.max_faces < 1):
            raise MienError(f"max_faces must be a whole number above 0, got {self.max_faces!r}")
        if not isinstance(self.quality, bool):
            raise MienError(f"quality must be True or False, got {self.quality!r}")

    @property
    def labels(self) -> LabelSet:
        """Classes of the model, in the order of the probabilities."""
        return self.model.labels

    @property
    def model_name(self) -> str:
        """Name of the model in results, `+prior(...)` with a prior, `+flip` where the mirror image is averaged in."""
        prior = "" if self.model.prior is None else f"+prior({self.model.prior.name})"
        return self.model.card.name + prior + (f"+{self.tta}" if self.tta != "none" else "")

    def detect(self, image_HW3: Pixels) -> tuple[Detection, ...]:
        """Return the faces in a BGR image, uint8 [H,W,3], from left to right; at most the `max_faces` largest."""
        detections = self.detector(image_HW3)
        if self.max_faces is None or len(detections) <= self.max_faces:
            return detections
        by_area = sorted(detections, key=lambda detection: -detection.box.width * detection.box.height)
        return tuple(detection for detection in detections if detection in by_area[: self.max_faces])

    def crop_faces(self, image_HW3: Pixels, detections: Sequence[Detection]) -> Pixels:
        """Return the detected faces of a BGR image as grey crops for the model, uint8 [N,48,48]."""
        side = self.model.card.side
        rule = CropRule() if self.detector.boxes_are_crops else self.model.card.crop
        faces_NHW = np.empty((len(detections), side, side), np.uint8)
        for i, detection in enumerate(detections):
            faces_NHW[i] = crop(image_HW3, detection.box, detection.landmarks, rule, side)
        return faces_NHW

    def predict(self, faces_NHW: Pixels, *, tta: str | None = None) -> Floats:
        """Return the probabilities of each class for each face crop, float32 [N,K], whose rows sum to 1.

        Args:
            faces_NHW: Grey face crops, uint8 [N,48,48].
            tta: `none` or `flip`; by default that of the pipeline.

        Raises:
            ModelError: The crops are not uint8 [N,48,48], or `tta` is unknown.
        """
        return self.model.probabilities(faces_NHW, tta=self.tta if tta is None else tta)

    def measure(self, detections: Sequence[Detection], faces_NHW: Pixels) -> tuple[FaceQuality | None, ...]:
        """Return the quality of each face, given the crops as uint8 [N,48,48]; None for each without `quality`."""
        if not self.quality:
            return (None,) * len(detections)
        return tuple(measure_quality(*pair) for pair in zip(detections, faces_NHW, strict=True))

    def face(self, detection: Detection, probs_K: Floats, quality: FaceQuality | None = None) -> Face:
        """Return a detection together with its probabilities, float [K], and its quality as a result."""
        probs = [float(p) for p in probs_K]
        confidence = max(probs)
        reason = quality.defect if quality is not None else ""
        if not reason and confidence < self.min_confidence:
            reason = f"low confidence: {math.floor(1e4 * confidence) / 1e4:g}, at least {self.min_confidence:g}"
        label = UNCERTAIN if reason else self.labels.names[probs.index(confidence)]
        return Face(
            detection.box, detection.score, detection.landmarks, self.labels.names, tuple(probs), label,
            quality=quality, uncertain_reason=reason,
        )  # fmt: skip

    def detect_and_crop(self, image_HW3: Pixels, source: str, notes: tuple[str, ...] = ()) -> DetectedFaces:
        """Return the faces of a BGR image, uint8 [H,W,3], before the model predicts their probabilities.

        Args:
            image_HW3: Image.
            source: Name of the image in the result.
            notes: Notes on its file; one is added for a small image without a face.
        """
        height, width = image_HW3.shape[:2]
        detections = self.detect(image_HW3)
        if not detections and min(height, width) < SMALL:
            notes = (*notes, f"no face found in {width} x {height} pixels; for a face crop use {WHOLE_HINT}")
        analysis = Analysis(source, width, height, (), self.model_name, self.detector.name, notes=notes)
        faces_NHW = self.crop_faces(image_HW3, detections)
        return DetectedFaces(analysis, detections, faces_NHW, self.measure(detections, faces_NHW))

    def unreadable(self, source: str, error: str) -> DetectedFaces:
        """Return the result of an image that cannot be read: no faces, and the error."""
        side = self.model.card.side
        analysis = Analysis(source, 0, 0, (), self.model_name, self.detector.name, error)
        return DetectedFaces(analysis, (), np.empty((0, side, side), np.uint8), ())

    def result(self, detected: DetectedFaces, probs_NK: Floats) -> Analysis:
        """Return detected faces together with their probabilities, float32 [N,K], as a result."""
        faces = (self.face(*one) for one in zip(detected.detections, probs_NK, detected.qualities, strict=True))
        return replace(detected.analysis, faces=tuple(faces))

    def with_threads(self, threads: int) -> Pipeline:
        """Return the same pipeline whose model and detector use `threads` threads each."""
        detector = (
            self.detector.with_threads(threads) if isinstance(self.detector, ConfigurableDetector) else self.detector
        )
        return replace(self, model=self.model.with_threads(threads), detector=detector)

    def with_detector(self, detector: Detector) -> Pipeline:
        """Return the same pipeline with another detector."""
        return replace(self, detector=detector)
