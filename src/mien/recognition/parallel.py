"""Many images in a row, decoded in parallel and in constant memory.

An image that cannot be read gives an `Analysis` with its error, in its place, and the others go on.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError, MienError
from mien.imaging.decode import DecodedImage, decode
from mien.imaging.formats import Header
from mien.imaging.load import checked_header, read_encoded
from mien.recognition.inputs import STDIN, Source
from mien.recognition.prefetch import ByteSemaphore
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Analysis
from mien.threads import threads

if TYPE_CHECKING:
    from concurrent.futures import Future

READERS = 4  # maximum number of threads that decode
PREFETCH_BYTES = 192 << 20  # bytes of images that are being decoded or wait; a larger image is alone
CHANNELS = 3
# JPEG without chroma subsampling, in which thin colored lines would fade.
_JPEG = (
    cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)  # fmt: skip

Pixels = NDArray[np.uint8]
_Pending = tuple[Source, str, tuple[str, ...]]  # a source with its error, or with the notes on its file


def analyze_sources(
    recognizer: Recognizer, sources: Iterable[Source], *, readers: int | None = None
) -> Iterator[tuple[Source, Analysis]]:
    """Yield each source with its analysis, in the order of the sources; results come when a batch is full.

    Args:
        recognizer: Recognizer, whose limits on images apply.
        sources: Images, as from `find_sources`.
        readers: Number of threads that read and decode; by default `mien.threads.threads()`, at most 4.

    Example:
        >>> import mien
        >>> from mien.recognition import find_sources, sample
        >>> for source, analysis in analyze_sources(mien.load("nano"), find_sources([sample()])):
        ...     print(source.relative, len(analysis.faces))
        sample.jpg 1
    """
    pending: deque[_Pending] = deque()  # sources in the batch

    def images() -> Iterator[Pixels]:
        for source, image in _decode_ahead(recognizer, sources, readers):
            if isinstance(image, str):
                pending.append((source, image, ()))
            else:
                pending.append((source, "", image.notes))
                yield image.image_HW3

    for analysis in recognizer.analyze_many(images(), order="bgr"):
        yield from _unreadable(recognizer, pending)
        source, _, notes = pending.popleft()
        yield source, replace(analysis, source=source.name, notes=notes + analysis.notes)
    yield from _unreadable(recognizer, pending)


def write_annotated(recognizer: Recognizer, source: Source, analysis: Analysis, out: Path) -> None:
    """Write a copy of an image with its faces marked, as JPEG or PNG by the suffix of `out`, atomically.

    The image is decoded again, since the images of a whole batch would take too much memory.

    Args:
        recognizer: Recognizer, whose limits on images apply.
        source: Image.
        analysis: Result of the image.
        out: Path of the copy.

    Raises:
        ImageError: The image can no longer be read.
        MienError: The copy cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    from mien import files
    from mien.recognition.annotation.panels import annotate, enlarge

    image_HW3, analysis = enlarge(decode(*_read(recognizer, source)).image_HW3, analysis)
    # In a thread, where Ctrl-C is not raised: OpenCV 5.0.0 crashes when it is interrupted while it draws text
    # (see `prefetch`).
    with ThreadPoolExecutor(1, thread_name_prefix="mien-draw") as pool:
        annotated_HW3 = pool.submit(annotate, image_HW3, analysis).result()
    _, data = cv2.imencode(out.suffix, annotated_HW3, _JPEG if out.suffix.lower() != ".png" else ())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write(out, [data.tobytes()])
    except OSError as error:
        raise MienError(f"cannot write {out}: {error.strerror}") from None


def _unreadable(
    recognizer: Recognizer, pending: deque[tuple[Source, str, tuple[str, ...]]]
) -> Iterator[tuple[Source, Analysis]]:
    """Yield the unreadable sources at the head of the queue."""
    while pending and pending[0][1]:
        source, error, _ = pending.popleft()
        yield source, recognizer.pipeline.unreadable(source.name, error).analysis


def _decode_ahead(
    recognizer: Recognizer, sources: Iterable[Source], readers: int | None = None
) -> Iterator[tuple[Source, DecodedImage | str]]:
    """Yield each source with its image, or with the error."""
    from concurrent.futures import ThreadPoolExecutor

    readers, remaining = readers or min(READERS, threads()), iter(enumerate(sources))
    memory = ByteSemaphore(PREFETCH_BYTES)
    decoding: deque[tuple[Source, Future[tuple[DecodedImage | str, int]]]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="mien-read") as pool:
        try:
            while True:
                for turn, source in itertools.islice(remaining, 2 * readers + 1 - len(decoding)):
                    decoding.append((source, pool.submit(_decode, recognizer, source, memory, turn)))
                if not decoding:
                    return
                source, future = decoding.popleft()
                image, size = future.result()
                del future  # it would hold the image until the next one is decoded
                memory.release(size)
                yield source, image
        finally:
            memory.close()
            for _, future in decoding:
                future.cancel()


def _decode(recognizer: Recognizer, source: Source, memory: ByteSemaphore, turn: int) -> tuple[DecodedImage | str, int]:
    """Return an image or the error, and the number of bytes that were acquired before it was decoded."""
    size = None
    try:
        data, header, name = _read(recognizer, source)
        size = CHANNELS * header.pixels
        return (decode(data, header, name) if memory.acquire(turn, size) else ""), size
    except ImageError as error:
        if size is None:
            memory.acquire(turn, 0)  # otherwise later turns would wait forever
        return str(error), size or 0


def _read(recognizer: Recognizer, source: Source) -> tuple[bytes, Header, str]:
    """Return the content of an image file, its header, and its name in errors."""
    if source.error:
        raise ImageError(source.error)
    name = "standard input" if source.name == STDIN else source.name
    if source.fetch is not None:
        data = source.fetch(recognizer.max_bytes)
    else:
        data = read_encoded(Path(source.name) if source.data is None else source.data, name, recognizer.max_bytes)
    return data, checked_header(data, name, recognizer.max_pixels), name
