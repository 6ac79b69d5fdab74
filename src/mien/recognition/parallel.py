"""Many images in a row, decoded ahead in threads, in constant memory.

What cannot be read becomes an `Analysis` with its error, in its place, and the rest goes on.
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
from mien.imaging.decode import decode
from mien.imaging.formats import Header
from mien.imaging.load import checked_header, read_encoded
from mien.recognition.inputs import STDIN, Source
from mien.recognition.prefetch import ByteSemaphore
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Analysis
from mien.threads import threads

if TYPE_CHECKING:
    from concurrent.futures import Future

READERS = 4  # threads that decode, at most
AHEAD = 192 << 20  # bytes of images that are being decoded or wait; a larger one has no other beside it
CHANNELS = 3
_JPEG = (  # colors as fine as brightness, else thin colored lines fade
    cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)  # fmt: skip

Pixels = NDArray[np.uint8]


def analyze_sources(
    recognizer: Recognizer, sources: Iterable[Source], *, readers: int | None = None
) -> Iterator[tuple[Source, Analysis]]:
    """Each source with what was read in it, in their order; results come as faces fill a batch.

    Args:
        recognizer: what reads them; its limits hold.
        sources: as `find_sources` gives them.
        readers: threads that fetch and decode; default `mien.threads.threads()`, and 4 at most.
    """
    waiting: deque[tuple[Source, str]] = deque()  # those that are on their way through the models, and the unreadable

    def images() -> Iterator[Pixels]:
        for source, image in _read_ahead(recognizer, sources, readers):
            waiting.append((source, image if isinstance(image, str) else ""))
            if not isinstance(image, str):
                yield image

    for analysis in recognizer.analyze_many(images(), order="bgr"):
        yield from _unread(recognizer, waiting)
        source, _ = waiting.popleft()
        yield source, replace(analysis, source=source.name)
    yield from _unread(recognizer, waiting)


def write_annotated(recognizer: Recognizer, source: Source, analysis: Analysis, out: Path) -> None:
    """Write the image with what was read in it, as JPEG or PNG by the name of `out`; whole or not at all.

    It is read once more, as keeping thousands of images until their batch is done would take the memory.

    Raises:
        ImageError: it has become unreadable.
        MienError: it cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    from mien import files
    from mien.recognition.annotation.panels import annotate, enlarge

    image_HW3, analysis = enlarge(decode(*_found(recognizer, source)), analysis)
    # In a thread, where Ctrl-C is not raised: OpenCV 5.0.0 crashes when it is interrupted among its letters
    # (`prefetch`).
    with ThreadPoolExecutor(1, thread_name_prefix="mien-draw") as pool:
        drawn_HW3 = pool.submit(annotate, image_HW3, analysis).result()
    _, data = cv2.imencode(out.suffix, drawn_HW3, _JPEG if out.suffix.lower() != ".png" else ())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write(out, [data.tobytes()])
    except OSError as error:
        raise MienError(f"cannot write {out}: {error.strerror}") from None


def _unread(recognizer: Recognizer, waiting: deque[tuple[Source, str]]) -> Iterator[tuple[Source, Analysis]]:
    """Those at the head of the line that could not be read."""
    while waiting and waiting[0][1]:
        source, error = waiting.popleft()
        yield source, recognizer.pipeline.unreadable(source.name, error).analysis


def _read_ahead(
    recognizer: Recognizer, sources: Iterable[Source], readers: int | None = None
) -> Iterator[tuple[Source, Pixels | str]]:
    """Each source with its pixels, or with why it has none."""
    from concurrent.futures import ThreadPoolExecutor

    readers, to_come, room = readers or min(READERS, threads()), iter(enumerate(sources)), ByteSemaphore(AHEAD)
    coming: deque[tuple[Source, Future[tuple[Pixels | str, int]]]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="mien-read") as pool:
        try:
            while True:
                for turn, source in itertools.islice(to_come, 2 * readers + 1 - len(coming)):
                    coming.append((source, pool.submit(_pixels, recognizer, source, room, turn)))
                if not coming:
                    return
                source, future = coming.popleft()
                image, taken = future.result()
                del future  # else it holds the image until the next one is there
                room.give(taken)
                yield source, image
        finally:
            room.close()
            for _, future in coming:
                future.cancel()


def _pixels(recognizer: Recognizer, source: Source, room: ByteSemaphore, turn: int) -> tuple[Pixels | str, int]:
    """An image or why there is none, and for how many bytes there had to be room before it was decoded."""
    taken = None
    try:
        data, header, name = _found(recognizer, source)
        taken = CHANNELS * header.pixels
        return (decode(data, header, name) if room.take(turn, taken) else ""), taken
    except ImageError as error:
        if taken is None:
            room.take(turn, 0)  # else those behind it would wait for ever
        return str(error), taken or 0


def _found(recognizer: Recognizer, source: Source) -> tuple[bytes, Header, str]:
    """An image's bytes, what they say of it, and what to call it in errors."""
    if source.error:
        raise ImageError(source.error)
    name = "standard input" if source.name == STDIN else source.name
    if source.fetch is not None:
        data = source.fetch(recognizer.max_bytes)
    else:
        data = read_encoded(Path(source.name) if source.data is None else source.data, name, recognizer.max_bytes)
    return data, checked_header(data, name, recognizer.max_pixels), name
