"""Many pictures, one after another: read ahead in threads, so that decoding and the nets overlap, in flat memory.

What cannot be read becomes an `Analysis` with its error, in its place, and the rest goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, PictureError
from mien.images import read_picture
from mien.read.drawing import annotate, enlarged
from mien.read.recognizer import Recognizer
from mien.read.results import Analysis
from mien.read.sources import STDIN, Source
from mien.threads import threads

if TYPE_CHECKING:
    from concurrent.futures import Future

READERS = 4  # threads that decode, at most
AHEAD = 192 << 20  # bytes of decoded pictures that wait, above which no more are read
_JPEG = (  # colours as fine as brightness, else thin coloured lines fade
    cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)  # fmt: skip

Pixels = NDArray[np.uint8]


def analyze_sources(recognizer: Recognizer, sources: Iterable[Source]) -> Iterator[tuple[Source, Analysis]]:
    """Each source with what was read in it, in their order; results come as faces fill a batch.

    Args:
        recognizer: what reads them; its limits hold.
        sources: as `find_sources` gives them.
    """
    waiting: deque[tuple[Source, str]] = deque()  # those that are on their way through the nets, and the unreadable

    def pictures() -> Iterator[Pixels]:
        for source, picture in _read_ahead(recognizer, sources):
            waiting.append((source, picture if isinstance(picture, str) else ""))
            if not isinstance(picture, str):
                yield picture

    for analysis in recognizer.analyze_many(pictures(), order="bgr"):
        yield from _unread(recognizer, waiting)
        source, _ = waiting.popleft()
        yield source, replace(analysis, source=source.name)
    yield from _unread(recognizer, waiting)


def write_annotated(recognizer: Recognizer, source: Source, analysis: Analysis, out: Path) -> None:
    """Write the picture with what was read in it, as JPEG or PNG by the name of `out`; whole or not at all.

    It is read once more, as keeping thousands of pictures until their batch is done would take the memory.

    Raises:
        PictureError: it has become unreadable.
        MienError: it cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    from mien.data import atomic

    picture_HW3, analysis = enlarged(_read(recognizer, source), analysis)
    # In a thread, where Ctrl-C is not raised: OpenCV 5.0.0 crashes when it is interrupted among its letters (`ahead`).
    with ThreadPoolExecutor(1, thread_name_prefix="mien-draw") as pool:
        drawn_HW3 = pool.submit(annotate, picture_HW3, analysis).result()
    _, data = cv2.imencode(out.suffix, drawn_HW3, _JPEG if out.suffix.lower() != ".png" else ())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(out, [data.tobytes()])
    except OSError as why:
        raise MienError(f"cannot write {out}: {why.strerror}") from None


def _unread(recognizer: Recognizer, waiting: deque[tuple[Source, str]]) -> Iterator[tuple[Source, Analysis]]:
    """Those at the head of the line that could not be read."""
    while waiting and waiting[0][1]:
        source, error = waiting.popleft()
        yield source, Analysis(source.name, 0, 0, (), recognizer.model.card.name, recognizer.detector.name, error)


def _read_ahead(recognizer: Recognizer, sources: Iterable[Source]) -> Iterator[tuple[Source, Pixels | str]]:
    """Each source with its pixels, or with why it has none."""
    from concurrent.futures import ThreadPoolExecutor

    readers, to_come = min(READERS, threads()), iter(sources)
    coming: deque[tuple[Source, Future[Pixels | str]]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="mien-read") as pool:
        try:
            while True:
                while len(coming) <= 2 * readers and _bytes(coming) < AHEAD:
                    source = next(to_come, None)
                    if source is None:
                        break
                    coming.append((source, pool.submit(_pixels, recognizer, source)))
                if not coming:
                    return
                source, pixels = coming.popleft()
                yield source, pixels.result()
        finally:
            for _, pixels in coming:
                pixels.cancel()


def _bytes(coming: Iterable[tuple[Source, Future[Pixels | str]]]) -> int:
    """Of the pictures that are decoded already."""
    done = (future.result() for _, future in coming if future.done())
    return sum(0 if isinstance(pixels, str) else pixels.nbytes for pixels in done)


def _pixels(recognizer: Recognizer, source: Source) -> Pixels | str:
    try:
        return _read(recognizer, source)
    except PictureError as why:
        return str(why)


def _read(recognizer: Recognizer, source: Source) -> Pixels:
    if source.error:
        raise PictureError(source.error)
    return read_picture(
        Path(source.name) if source.data is None else source.data,
        name="standard input" if source.name == STDIN else source.name,
        max_pixels=recognizer.max_pixels,
        max_bytes=recognizer.max_bytes,
    )
