"""Batching of the faces of concurrent requests for the model.

The event loop never computes: an image is one job of a thread pool, and the model runs in a separate thread.
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
from mien.model import Model
from mien.recognition.prefetch import ByteSemaphore
from mien.recognition.recognizer import BATCH, Floats, Pixels, Recognizer
from mien.recognition.results import Analysis
from mien.serve.config import MAX_PIXELS
from mien.serve.errors import busy

T = TypeVar("T")
MAX_DECODED_BYTES = 600_000_000  # of all images that are being decoded
MAX_BYTES_PER_PIXEL = 12  # 16 bits of four channels, the 8-bit BGR image made of them, and decoders' buffers
BATCH_DELAY = 0.004  # seconds that faces wait for those of images in which faces are being detected


@dataclass(frozen=True)
class _Pending:
    faces_NHW: Pixels
    tta: str
    result: asyncio.Future[Floats]


class Batcher:
    """Analyzes images of many requests at the same time.

    Attributes:
        max_images: Largest number of images that wait or are analyzed.
        images: Number of images that wait or are analyzed now.
        on_batch: Callback that gets the number of faces of each batch.
    """

    def __init__(
        self, model: Model, *, threads: int, max_images: int, on_batch: Callable[[int], None] | None = None
    ) -> None:
        self.max_images, self.images, self.on_batch = max_images, 0, on_batch
        self._model, self._detecting = model, 0
        self._memory, self._turns = ByteSemaphore(MAX_DECODED_BYTES), itertools.count()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien-detect")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mien-model")
        self._pending: list[_Pending] = []
        self._running: asyncio.Task[None] | None = None

    async def analyze(self, recognizer: Recognizer, data: bytes, name: str) -> Analysis:
        """Analyze an encoded image in a slot reserved before.

        Args:
            recognizer: Recognizer with the model of this batcher.
            data: Bytes of the image file.
            name: Source of the result.

        Raises:
            ImageError: The image cannot be read.
        """
        detected = await self.run_in_pool(lambda: recognizer.detect_and_crop(data, name=name), data)
        probs_NK = await self.probabilities(detected.faces_NHW, recognizer.pipeline.tta)
        return recognizer.pipeline.result(detected, probs_NK)

    @contextmanager
    def reserve(self, images: int) -> Iterator[None]:
        """Reserve slots for a number of images.

        Raises:
            Problem: The queue has no room for all of them.
        """
        if self.images + images > self.max_images:
            raise busy("The queue of images is full.")
        self.images += images
        try:
            yield
        finally:
            self.images -= images

    async def run_in_pool(self, detect: Callable[[], T], data: bytes = b"") -> T:
        """Return the result of `detect`, called in the thread pool.

        Args:
            detect: Function that decodes an image and detects its faces.
            data: Bytes of the image file, by whose header the call waits until there is memory to decode it.
        """
        loop = asyncio.get_running_loop()
        job = self._pool.submit(self._with_memory, detect, data)
        self._detecting += 1
        job.add_done_callback(lambda done: _call_in_loop(loop, self._end_detection))
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:  # the client has gone; the thread stays busy until it is done
            self.images += 1
            job.add_done_callback(lambda done: _call_in_loop(loop, self._free_slot))
            raise

    async def probabilities(self, faces_NHW: Pixels, tta: str) -> Floats:
        """Return what `Model.probabilities` returns, computed in one batch with the faces of other requests."""
        if not len(faces_NHW):
            return np.empty((0, len(self._model.labels)), np.float32)
        result: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(faces_NHW, tta, result))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await result

    def close(self) -> None:
        """End the threads and drop pending work."""
        self._pool.shutdown(cancel_futures=True)
        self._executor.shutdown(cancel_futures=True)

    def _end_detection(self) -> None:
        self._detecting -= 1

    def _free_slot(self) -> None:
        self.images -= 1

    def _with_memory(self, detect: Callable[[], T], data: bytes) -> T:
        """Call `detect` when there is memory for the decoded image, which can be a hundred times the file."""
        header = read_header(data)
        # An image above the limit is rejected by its header and needs no memory.
        size = MAX_BYTES_PER_PIXEL * header.pixels if header is not None and header.pixels <= MAX_PIXELS else 0
        self._memory.acquire(next(self._turns), size)
        try:
            return detect()
        finally:
            self._memory.release(size)

    async def _run(self) -> None:
        """Predict batch after batch until nothing is pending."""
        while self._pending:
            if self._detecting and sum(len(request.faces_NHW) for request in self._pending) < BATCH:
                await asyncio.sleep(BATCH_DELAY)
            batch: list[_Pending] = []
            faces = 0
            while self._pending and (not batch or faces + len(self._pending[0].faces_NHW) <= BATCH):
                batch.append(self._pending.pop(0))
                faces += len(batch[-1].faces_NHW)
            for tta in sorted({request.tta for request in batch}):
                await self._predict([req for req in batch if req.tta == tta and not req.result.cancelled()], tta)

    async def _predict(self, batch: list[_Pending], tta: str) -> None:
        if not batch:
            return
        loop, start = asyncio.get_running_loop(), 0
        try:
            faces_NHW = np.concatenate([request.faces_NHW for request in batch])
            probs_NK = await loop.run_in_executor(self._executor, lambda: self._model.probabilities(faces_NHW, tta=tta))
        except Exception as error:  # any error must reach the requests, which would wait for ever
            for request in batch:
                if not request.result.done():
                    request.result.set_exception(error)
            return
        if self.on_batch is not None:
            self.on_batch(len(faces_NHW))
        for request in batch:
            if not request.result.done():
                request.result.set_result(probs_NK[start : start + len(request.faces_NHW)])
            start += len(request.faces_NHW)


def _call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call `function` in the event loop, unless the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
