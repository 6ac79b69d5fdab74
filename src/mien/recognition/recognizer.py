"""The public interface: `load` opens a model and a detector, `Recognizer` analyzes images and videos with them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.detection.detectors import LONGEST_SIDE, THRESHOLD, VIDEO_LONGEST_SIDE, Detector, build_detector
from mien.errors import ImageError, MienError
from mien.imaging.load import MAX_BYTES, MAX_PIXELS, ImageSource, read_image, source_name
from mien.labels import LabelSet
from mien.model import SHIPPED, Model
from mien.model import load as load_model
from mien.recognition.pipeline import DetectedFaces, Pipeline
from mien.recognition.results import SMOOTH, Analysis, VideoFrame

DEFAULT = "photo"  # the shipped model that `mien.load()` opens
NANO = "nano"  # the one that keeps up with a video
DETECTOR = "yunet"
BATCH = 64  # faces that `analyze_many` gathers, and at most as many images

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def load(
    name_or_path: str | Path | None = None,
    *,
    detector: str = DETECTOR,
    min_confidence: float = 0.0,
    tta: str = "none",
    prior: str | Mapping[str, float] | None = None,
    threshold: float = THRESHOLD,
    longest_side: int = LONGEST_SIDE,
    max_faces: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    threads: int | None = None,
) -> Recognizer:
    """Open a model and a detector, to read faces with.

    Args:
        name_or_path: a shipped model's name, or a folder with `model.onnx` and `card.json`, or one of these two files;
            default the shipped model for photos.
        detector: `yunet`, or `whole` for images that are each a face already.
        min_confidence: a face whose likeliest class is less likely is labelled `uncertain`, 0 to 1.
        tta: `none`, or `flip`, averaged with the mirror image, at twice the time.
        prior: class frequencies of the faces, which the probabilities are adjusted to: `training`, those of the
            training data; `balanced`, equal ones; or shares by class, as text `CLASS=SHARE,...` or as a mapping. Shares
            of all classes are divided by their sum; classes that are not named divide what the others leave in the
            proportions of the training data. Default the probabilities as the model gives them.
        threshold: the score that the detector wants of a face, 0 to 1.
        longest_side: pixels of an image's longer side, above which faces are looked for in a smaller copy.
        max_faces: of an image, the largest; default all.
        max_pixels, max_bytes: of an image; what has more is refused.
        threads: of one forward; default `mien.threads.threads()`.

    Raises:
        ModelError: the model cannot be found, read or trusted, or `prior` is given and its card lacks class
            frequencies.
        MienError: an option is out of its range.
    """
    model = load_model(DEFAULT if name_or_path is None else name_or_path, threads=threads, prior=prior)
    return build_recognizer(
        model, detector=detector, threshold=threshold, longest_side=longest_side, threads=threads,
        min_confidence=min_confidence, tta=tta, max_faces=max_faces, max_pixels=max_pixels, max_bytes=max_bytes,
    )  # fmt: skip


def build_recognizer(
    model: Model, *, detector: str, threshold: float, longest_side: int, threads: int | None, **rest: Any
) -> Recognizer:
    """Return a recognizer of an open model and all the options of `load` but `prior`, which is the model's."""
    return Recognizer(
        model, build_detector(detector, threshold=threshold, longest_side=longest_side, threads=threads), **rest
    )


def sample() -> Path:
    """The portrait that comes with the package: the astronaut Eileen Collins, NASA, public domain."""
    return SHIPPED / "sample.jpg"


class Recognizer:
    """Finds the faces in images and tells what they express. Several threads may use one at the same time.

    Attributes:
        pipeline: Detector, crop rule and model, on arrays, with `min_confidence`, `tta` and `max_faces` as in `load`.
        max_pixels: Number of pixels above which an image is refused.
        max_bytes: Number of bytes above which an image file is refused.

    Raises:
        MienError: an option is out of its range.
    """

    def __init__(
        self,
        model: Model,
        detector: Detector,
        *,
        min_confidence: float = 0.0,
        tta: str = "none",
        max_faces: int | None = None,
        max_pixels: int = MAX_PIXELS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        for name, value in (("max_pixels", max_pixels), ("max_bytes", max_bytes)):
            if not isinstance(value, int) or value < 1:
                raise MienError(f"{name} must be a whole number above 0, got {value!r}")
        self.pipeline = Pipeline(model, detector, min_confidence, tta, max_faces)
        self.max_pixels, self.max_bytes = max_pixels, max_bytes

    @property
    def model(self) -> Model:
        """Model that predicts the probabilities."""
        return self.pipeline.model

    @property
    def labels(self) -> LabelSet:
        """Classes of the model, in the order of the probabilities."""
        return self.pipeline.labels

    @property
    def detector(self) -> Detector:
        """Detector that finds the faces."""
        return self.pipeline.detector

    def __repr__(self) -> str:
        return f"<mien.Recognizer '{self.model.card.name}' with {self.detector.name}: {', '.join(self.labels.names)}>"

    def analyze(self, image: ImageSource, *, order: str | None = None) -> Analysis:
        """The faces in one image, from left to right; none in an image without any.

        Args:
            image: a path, the bytes of a file, a PIL image, or an array [H,W] or [H,W,C] of uint8 or uint16.
            order: of an array's colors: `bgr`, `rgb` or `grey`.

        Raises:
            ImageError: the image cannot be read.
            MienError: `image` or `order` is of no known kind.
        """
        detected = self.detect_and_crop(image, order=order)
        return self.pipeline.result(detected, self.probabilities(detected.faces_NHW))

    def analyze_many(
        self, images: Iterable[ImageSource], *, order: str | None = None, batch: int = BATCH
    ) -> Iterator[Analysis]:
        """As `analyze` for each image, in their order; one that cannot be read has its `error` set.

        Faces of several images go through the model together, so an analysis comes once `batch` faces or images are
        gathered, or none are left. No more images than the one at hand are held.

        Raises:
            MienError: an image or `order` is of no known kind, `images` is one image instead of several, or `batch`
                is no whole number above 0.
        """
        if isinstance(images, str | Path | bytes | bytearray | memoryview) or not isinstance(images, Iterable):
            raise MienError(f"analyze_many reads a list of images, got one {type(images).__name__}; put it in a list")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise MienError(f"batch is a whole number above 0, got {batch!r}")
        gathered: list[DetectedFaces] = []
        faces = 0
        for image in images:
            try:
                gathered.append(self.detect_and_crop(image, order=order))
            except ImageError as error:
                gathered.append(self.pipeline.unreadable(source_name(image), str(error)))
            faces += len(gathered[-1].detections)
            if len(gathered) >= batch or faces >= batch:
                yield from self._predict(gathered)
                gathered, faces = [], 0
        yield from self._predict(gathered)

    def analyze_video(
        self,
        path: str | Path,
        *,
        every: int = 1,
        annotate: str | Path | None = None,
        out: str | Path | None = None,
        srt: str | Path | None = None,
        timeline: str | Path | None = None,
        smooth: float = SMOOTH,
        longest_side: int = VIDEO_LONGEST_SIDE,
        on_note: Callable[[str], None] | None = None,
    ) -> Generator[VideoFrame]:
        """The faces in a video, one `VideoFrame` after another; no more than a few frames are held.

        Args:
            path: of the video.
            every: read every so many-th frame; 1 reads all.
            annotate: write the video there with what was read drawn into it; .mp4, .m4v, .mov or .mkv. All frames are
                in it, with the sound; those between two that were read show what was read last.
            out: write a table there, a row for each frame and person; .csv, .jsonl or .parquet.
            srt: write subtitles there, which tell who expresses what.
            timeline: draw each person's probabilities over time there, .png.
            smooth: seconds over which probabilities are smoothed, 0 for not at all.
            longest_side: pixels of a frame's longer side, above which faces are looked for in a smaller copy; that of
                `load` is for photos.
            on_note: is given a sentence for what was wrong with a file that could be read in part; by default it
                becomes a warning. What was read before is yielded all the same.

        What is written is whole when the iterator ends or is closed; closed early, it holds what was read until then.
        Files that were there stay as they are until the first frame is read.

        Raises:
            MissingExtra: PyAV is not installed, or what draws the timeline or writes parquet.
            VideoError: the file is not there, holds no video that can be decoded, or one of frames above `max_pixels`;
                `annotate` cannot be written, or what is to be written is the video itself.
            MienError: `path` is none, an option is out of its range, or another file cannot be written.
        """
        from mien.recognition.video.analyze import analyze_video

        return analyze_video(
            self.pipeline, path, every=every, annotate=annotate, out=out, srt=srt, timeline=timeline, smooth=smooth,
            longest_side=longest_side, max_pixels=self.max_pixels, on_note=on_note,
        )  # fmt: skip

    def probabilities(self, faces_NHW: Pixels, *, tta: str | None = None) -> Floats:
        """How likely each class is for each cut-out face, float32 [N,K]; `tta` as in `load`, by default its own.

        Raises:
            ModelError: faces that are not uint8 [N,48,48], or an unknown `tta`.
        """
        return self.pipeline.predict(faces_NHW, tta=tta)

    def detect_and_crop(
        self, image: ImageSource, *, order: str | None = None, name: str | None = None
    ) -> DetectedFaces:
        """Return the faces of an image, detected and cropped, before the model predicts their probabilities.

        Args:
            image: Image as of `analyze`.
            order: Order of an array's colors as of `analyze`.
            name: Name in the result and in errors; by default the path of the image.

        Raises:
            ImageError: The image cannot be read.
            MienError: `image` or `order` is of no known kind.
        """
        image_HW3 = read_image(image, order=order, max_pixels=self.max_pixels, max_bytes=self.max_bytes, name=name)
        return self.pipeline.detect_and_crop(image_HW3, source_name(image) if name is None else name)

    def _predict(self, gathered: list[DetectedFaces]) -> Iterator[Analysis]:
        """Yield the results of several images, whose faces go through the model together."""
        if not gathered:
            return
        probs_NK, at = self.probabilities(np.concatenate([detected.faces_NHW for detected in gathered])), 0
        for detected in gathered:
            yield self.pipeline.result(detected, probs_NK[at : at + len(detected.detections)])
            at += len(detected.detections)
