"""Batches faces of concurrent requests for the model.

The event loop never computes: an image is one job of the pool, and the model has a thread of its own.
N faces, K classes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mien.imaging.formats import read_header
from mien.imaging.load import MAX_PIXELS
from mien.model import Model
from mien.recognition.prefetch import ByteSemaphore
from mien.recognition.recognizer import BATCH, Floats, Pixels, Recognizer
from mien.recognition.results import Analysis
from mien.serve.errors import busy

T = TypeVar("T")
MAX_DECODED_BYTES = 600_000_000  # bytes that images may take at one time while they are decoded
MAX_BYTES_PER_PIXEL = (
    12  # bytes a pixel: 16 bits of four channels, the 8 of three that become of them, and what decoders keep
)
WAIT = 0.004  # seconds that faces wait for those of other images, while any are being searched


@dataclass(frozen=True)
class _Waiting:
    faces_NHW: Pixels
    tta: str
    result: asyncio.Future[Floats]


class Batcher:
    """Reads images for many requests at a time.

    Attributes:
        most: images that wait or are read at one time.
        held: places that are taken now.
        on_batch: is told the number of faces of each batch.
    """

    def __init__(self, model: Model, *, threads: int, most: int, on_batch: Callable[[int], None] | None = None) -> None:
        self.most, self.held, self.on_batch = most, 0, on_batch
        self._model, self._searched = model, 0
        self._room, self._turns = ByteSemaphore(MAX_DECODED_BYTES), itertools.count()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien-see")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mien-net")
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def analyze(self, recognizer: Recognizer, data: bytes, name: str) -> Analysis:
        """What `recognizer`, whose model must be this batcher's, reads in an image's bytes, in a place taken before.

        Raises:
            ImageError: it cannot be read.
        """
        detected = await self.see(lambda: recognizer.detect_and_crop(data, name=name), data)
        probs_NK = await self.probabilities(detected.faces_NHW, recognizer.pipeline.tta)
        return recognizer.pipeline.result(detected, probs_NK)

    @contextmanager
    def places(self, images: int) -> Iterator[None]:
        """Take places for so many, until they are read to their end; a `Problem` where they would be too many."""
        if self.held + images > self.most:
            raise busy("More images are waiting than this service takes at a time.")
        self.held += images
        try:
            yield
        finally:
            self.held -= images

    async def see(self, look: Callable[[], T], data: bytes = b"") -> T:
        """What `look` gives, called in the pool.

        Args:
            data: of the image that it decodes, for which it waits until there is room.
        """
        loop = asyncio.get_running_loop()
        job = self._pool.submit(self._in_room, look, data)
        self._searched += 1
        job.add_done_callback(lambda done: _tell(loop, self._found))
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:  # whoever waited has given up; the thread is taken until it is done
            self.held += 1
            job.add_done_callback(lambda done: _tell(loop, self._release))
            raise

    async def probabilities(self, faces_NHW: Pixels, tta: str) -> Floats:
        """As `Model.probabilities`, with the faces of others in one batch."""
        if not len(faces_NHW):
            return np.empty((0, len(self._model.labels)), np.float32)
        told: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(faces_NHW, tta, told))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await told

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(cancel_futures=True)
        self._executor.shutdown(cancel_futures=True)

    def _found(self) -> None:
        self._searched -= 1

    def _release(self) -> None:
        self.held -= 1

    def _in_room(self, look: Callable[[], T], data: bytes) -> T:
        """In a thread of the pool: a few megabytes, well compressed, can be an image of hundreds."""
        header = read_header(data)
        # One that is too large is refused unread, and keeps nobody waiting.
        amount = MAX_BYTES_PER_PIXEL * header.pixels if header is not None and header.pixels <= MAX_PIXELS else 0
        self._room.acquire(next(self._turns), amount)
        try:
            return look()
        finally:
            self._room.release(amount)

    async def _run(self) -> None:
        """Batch after batch, until nothing waits."""
        while self._waiting:
            if self._searched and sum(len(one.faces_NHW) for one in self._waiting) < BATCH:
                await asyncio.sleep(WAIT)
            batch: list[_Waiting] = []
            faces = 0
            while self._waiting and (not batch or faces + len(self._waiting[0].faces_NHW) <= BATCH):
                batch.append(self._waiting.pop(0))
                faces += len(batch[-1].faces_NHW)
            for tta in sorted({one.tta for one in batch}):
                await self._ask([one for one in batch if one.tta == tta and not one.result.cancelled()], tta)

    async def _ask(self, batch: list[_Waiting], tta: str) -> None:
        if not batch:
            return
        loop, at = asyncio.get_running_loop(), 0
        try:
            faces_NHW = np.concatenate([one.faces_NHW for one in batch])
            probs_NK = await loop.run_in_executor(self._executor, lambda: self._model.probabilities(faces_NHW, tta=tta))
        except Exception as error:  # whatever it is, those who wait must hear of it
            for one in batch:
                if not one.result.done():
                    one.result.set_exception(error)
            return
        if self.on_batch is not None:
            self.on_batch(len(faces_NHW))
        for one in batch:
            if not one.result.done():
                one.result.set_result(probs_NK[at : at + len(one.faces_NHW)])
            at += len(one.faces_NHW)


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call it in the event loop, unless that has ended in the meantime."""
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(call)
