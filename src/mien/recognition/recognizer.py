"""`load` opens a model and a detector, and `Recognizer` analyzes images and videos with them."""

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
NANO = "nano"  # the shipped model that is fast enough for videos
DETECTOR = "yunet"
BATCH = 64  # faces in a batch of `analyze_many`, and maximum number of images

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
    """Open a model and a detector.

    Args:
        name_or_path: Name of a shipped model, folder with `model.onnx` and `card.json`, or one of these two files; by
            default the shipped model for photos.
        detector: `yunet`, or `whole` if each image is a face crop.
        min_confidence: Probability from 0 to 1 below which a face is labelled `uncertain`.
        tta: Test-time augmentation: `none`, or `flip` to average with the mirror image, at twice the time.
        prior: Class frequencies of the faces, to which the probabilities are adjusted: `training` for those of the
            training data, `balanced` for equal ones, or fractions by class, as text `CLASS=FRACTION,...` or as a
            mapping. If all classes are named, the fractions are divided by their sum; otherwise the other classes get
            the rest in the proportions of the training data. By default probabilities are not adjusted.
        threshold: Minimum detector confidence of a face, 0 to 1.
        longest_side: Length in pixels to which the longer side of an image is reduced for the detector.
        max_faces: Maximum number of faces per image, the largest ones; by default all.
        max_pixels: Number of pixels above which an image is refused.
        max_bytes: Number of bytes above which an image file is refused.
        threads: Threads of the model and of the detector; by default `mien.threads.threads()`.

    Raises:
        ModelError: The model cannot be found, read or verified, or `prior` is given and its card lacks class
            frequencies.
        MienError: An option is out of its range.

    Example:
        >>> recognizer = load("nano")
        >>> recognizer.labels.names
        ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
        >>> [face.label for face in recognizer.analyze(sample()).faces]
        ['happy']
    """
    model = load_model(DEFAULT if name_or_path is None else name_or_path, threads=threads, prior=prior)
    return build_recognizer(
        model, detector=detector, threshold=threshold, longest_side=longest_side, threads=threads,
        min_confidence=min_confidence, tta=tta, max_faces=max_faces, max_pixels=max_pixels, max_bytes=max_bytes,
    )  # fmt: skip


def build_recognizer(
    model: Model, *, detector: str, threshold: float, longest_side: int, threads: int | None, **rest: Any
) -> Recognizer:
    """Return a recognizer of a model; the options are those of `load` except `prior`, which the model has."""
    return Recognizer(
        model, build_detector(detector, threshold=threshold, longest_side=longest_side, threads=threads), **rest
    )


def sample() -> Path:
    """Return the path of the portrait in the package: the astronaut Eileen Collins, NASA, public domain.

    Example:
        >>> sample().name
        'sample.jpg'
    """
    return SHIPPED / "sample.jpg"


class Recognizer:
    """Finds faces in images and videos and predicts their expressions; it is thread-safe.

    Attributes:
        pipeline: Detector, crop rule and model, on arrays, with `min_confidence`, `tta` and `max_faces` as in `load`.
        max_pixels: Number of pixels above which an image is refused.
        max_bytes: Number of bytes above which an image file is refused.

    Raises:
        MienError: An option is out of its range.

    Example:
        >>> recognizer = load("nano", detector="yunet")
        >>> analysis = recognizer.analyze(sample())
        >>> analysis.faces[0].label, round(analysis.faces[0].score, 2)
        ('happy', 0.93)
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
        """Return the faces in one image, from left to right.

        Args:
            image: Path, content of a file as bytes, PIL image, or array [H,W] or [H,W,C] of uint8 or uint16.
            order: Order of the channels of an array: `bgr`, `rgb` or `grey`.

        Raises:
            ImageError: The image cannot be read.
            MienError: `image` or `order` has an unknown type or value.
        """
        detected = self.detect_and_crop(image, order=order)
        return self.pipeline.result(detected, self.probabilities(detected.faces_NHW))

    def analyze_many(
        self, images: Iterable[ImageSource], *, order: str | None = None, batch: int = BATCH
    ) -> Iterator[Analysis]:
        """Yield the result of `analyze` for each image, in their order; one that cannot be read has its `error` set.

        Faces of several images go through the model together, so results come when `batch` faces or images are
        collected, or at the end. Only one image is in memory.

        Args:
            images: Images, as in `analyze`.
            order: Order of the channels of arrays, as in `analyze`.
            batch: Number of faces, and maximum number of images, in a batch.

        Raises:
            MienError: An image or `order` has an unknown type or value, `images` is one image, or `batch` is not a
                whole number above 0.

        Example:
            >>> [len(result.faces) for result in load("nano").analyze_many([sample(), sample()])]
            [1, 1]
        """
        if isinstance(images, str | Path | bytes | bytearray | memoryview) or not isinstance(images, Iterable):
            raise MienError(f"images must be a list of images, got one {type(images).__name__}; put it in a list")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise MienError(f"batch must be a whole number above 0, got {batch!r}")
        detected: list[DetectedFaces] = []
        faces = 0
        for image in images:
            try:
                detected.append(self.detect_and_crop(image, order=order))
            except ImageError as error:
                detected.append(self.pipeline.unreadable(source_name(image), str(error)))
            faces += len(detected[-1].detections)
            if len(detected) >= batch or faces >= batch:
                yield from self._predict(detected)
                detected, faces = [], 0
        yield from self._predict(detected)

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
        """Yield a `VideoFrame` per analyzed frame of a video; only a few frames are in memory.

        Output files are complete when the iterator ends or is closed; closed early, they have the frames until then.
        Older files stay until the first frame is analyzed.

        Args:
            path: Path of the video.
            every: Interval of the frames to analyze; 1 for all.
            annotate: Path of an annotated copy of the video, .mp4, .m4v, .mov or .mkv, with all frames and the audio.
                Frames that are not analyzed show the last result.
            out: Path of a table with a row per frame and person, .csv, .jsonl or .parquet.
            srt: Path of subtitles with the expressions.
            timeline: Path of a plot of each person's probabilities over time, .png.
            smooth: Time constant in seconds of the smoothing of probabilities; 0 for none.
            longest_side: Length in pixels to which the longer side of a frame is reduced for the detector; that of
                `load` is for photos.
            on_note: Function that is called with a message if the file can be read only in part; by default the message
                is a warning. Results of the readable part are yielded in any case.

        Raises:
            MissingExtra: PyAV is not installed, or matplotlib for `timeline`, or pyarrow for a parquet file.
            VideoError: The file does not exist, has no video that can be decoded, or has frames above `max_pixels`;
                `annotate` cannot be written, or an output is the video itself.
            MienError: `path` is not a path, an option is out of its range, or another output cannot be written.

        Example:
            >>> import tempfile
            >>> from mien.imaging.load import read_image
            >>> from mien.recognition.video.writer import VideoWriter
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     with VideoWriter(f"{folder}/clip.mp4", fps=5) as writer:
            ...         for number in range(3):
            ...             writer.write(read_image(sample()), time=number / 5, duration=0.2)
            ...     for frame in load("nano").analyze_video(f"{folder}/clip.mp4", every=2):
            ...         print(frame.time, [face.label for face in frame.faces])
            0.0 ['happy']
            0.4 ['happy']
        """
        from mien.recognition.video.analyze import analyze_video

        return analyze_video(
            self.pipeline, path, every=every, annotate=annotate, out=out, srt=srt, timeline=timeline, smooth=smooth,
            longest_side=longest_side, max_pixels=self.max_pixels, on_note=on_note,
        )  # fmt: skip

    def probabilities(self, faces_NHW: Pixels, *, tta: str | None = None) -> Floats:
        """Return the probabilities of each class for each face crop, float32 [N,K], whose rows sum to 1.

        Args:
            faces_NHW: Grey face crops, uint8 [N,48,48].
            tta: `none` or `flip`; by default that of `load`.

        Raises:
            ModelError: The crops are not uint8 [N,48,48], or `tta` is unknown.

        Example:
            >>> import numpy as np
            >>> load("nano").probabilities(np.zeros((2, 48, 48), np.uint8)).shape
            (2, 7)
        """
        return self.pipeline.predict(faces_NHW, tta=tta)

    def detect_and_crop(
        self, image: ImageSource, *, order: str | None = None, name: str | None = None
    ) -> DetectedFaces:
        """Return the faces of an image, detected and cropped, before the model predicts their probabilities.

        Args:
            image: Image, as in `analyze`.
            order: Order of the channels of an array, as in `analyze`.
            name: Name in the result and in errors; by default the path of the image.

        Raises:
            ImageError: The image cannot be read.
            MienError: `image` or `order` has an unknown type or value.
        """
        image_HW3 = read_image(image, order=order, max_pixels=self.max_pixels, max_bytes=self.max_bytes, name=name)
        return self.pipeline.detect_and_crop(image_HW3, source_name(image) if name is None else name)

    def _predict(self, batch: list[DetectedFaces]) -> Iterator[Analysis]:
        """Yield the results of several images, whose faces go through the model together."""
        if not batch:
            return
        probs_NK, start = self.probabilities(np.concatenate([detected.faces_NHW for detected in batch])), 0
        for detected in batch:
            end = start + len(detected.detections)
            yield self.pipeline.result(detected, probs_NK[start:end])
            start = end
