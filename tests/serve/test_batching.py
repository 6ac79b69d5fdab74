"""Batches of faces of several requests, and limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import numpy as np
import pytest

import mien
from mien.model import Model
from mien.recognition import sample
from mien.serve.batching import MAX_BYTES_PER_PIXEL, Batcher
from mien.serve.errors import Problem
from served import running
from waiting import LONGEST

T = TypeVar("T")


@pytest.fixture(scope="module")
def model() -> Model:
    return mien.load("nano", threads=1).model


@pytest.fixture
def batcher(model: Model) -> Iterator[Batcher]:
    one = Batcher(model, threads=2, max_images=3)
    yield one
    one.close()


async def run_job(batcher: Batcher, detect: Callable[[], T]) -> T:
    with batcher.reserve(1):
        return await batcher.run_in_pool(detect)


def faces(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48), np.uint8)


def test_batch_returns_each_request_its_faces(batcher: Batcher, model: Model) -> None:
    sizes: list[int] = []
    batcher.on_batch = sizes.append
    requests = [(faces(n, n), tta) for n, tta in ((3, "none"), (0, "none"), (1, "flip"), (5, "none"))]

    async def ask() -> list[np.ndarray]:
        return await asyncio.gather(*(batcher.probabilities(f, tta) for f, tta in requests))

    results = asyncio.run(ask())
    assert sorted(sizes) == [1, 8]  # `flip` has a separate batch
    for (f, tta), probs_NK in zip(requests, results, strict=True):
        np.testing.assert_allclose(probs_NK, model.probabilities(f, tta=tta), atol=1e-5)


def test_faces_wait_for_running_detections(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.batching.BATCH_DELAY", 0.5)  # long enough for a busy machine
    sizes: list[int] = []
    batcher.on_batch = sizes.append
    release = threading.Event()

    async def ask() -> None:
        async def late() -> None:
            found = await batcher.run_in_pool(lambda: (release.wait(LONGEST), faces(2, 1))[1])
            await batcher.probabilities(found, "none")

        other = asyncio.create_task(late())
        await asyncio.sleep(0)
        early = asyncio.create_task(batcher.probabilities(faces(1, 0), "none"))
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(other, early)

    asyncio.run(ask())
    assert sizes == [3]


def test_full_queue_rejects_further_images(batcher: Batcher) -> None:
    release = threading.Event()

    async def ask() -> list[object]:
        jobs = [asyncio.create_task(run_job(batcher, lambda: release.wait(LONGEST))) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="queue"):
            await jobs[3]
        release.set()
        return await asyncio.gather(*jobs[:3])

    assert asyncio.run(ask()) == [True] * 3
    assert asyncio.run(run_job(batcher, lambda: 1)) == 1


def test_request_reserves_all_slots_or_none() -> None:
    """Of two requests that fit one after the other but not together, one is rejected before it starts."""
    release, image = threading.Event(), sample().read_bytes()
    two = [("files", ("a.jpg", image))] * 2
    with running(queue=3) as served, ThreadPoolExecutor(2) as clients:
        batcher = served.service.batcher
        blocked = asyncio.run_coroutine_threadsafe(batcher.run_in_pool(lambda: release.wait(LONGEST)), served.loop)
        requests = [clients.submit(served.http.post, "/v1/analyze", files=two) for _ in range(2)]
        first = next(as_completed(requests)).result()
        assert (first.status_code, batcher.images) == (503, 2)
        release.set()
        assert sorted(one.result().status_code for one in requests) == [200, 503]
        assert blocked.result()
        assert batcher.images == 0


def test_canceled_job_keeps_slot_until_thread_ends(batcher: Batcher) -> None:
    release, began = threading.Event(), threading.Semaphore(0)

    def detect() -> None:
        began.release()
        release.wait(LONGEST)

    async def holds(places: int) -> None:
        while batcher.images != places:
            await asyncio.sleep(0.001)

    async def ask() -> None:
        jobs = [asyncio.create_task(run_job(batcher, detect)) for _ in range(3)]
        await asyncio.wait_for(holds(3), LONGEST)
        for _ in range(2):  # two threads are busy, the third job waits
            assert await asyncio.to_thread(began.acquire, timeout=LONGEST)
        for job in jobs:
            job.cancel()
        await asyncio.wait_for(holds(2), LONGEST)
        release.set()
        await asyncio.wait_for(holds(0), LONGEST)

    asyncio.run(ask())


def test_large_images_wait_for_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.batching.MAX_DECODED_BYTES", 2 * MAX_BYTES_PER_PIXEL * 8 * 8)
    batcher, lock, inside, most = Batcher(model, threads=3, max_images=9), threading.Lock(), 0, 0
    both = threading.Barrier(2)

    def detect() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(LONGEST)
        with lock:
            inside -= 1

    async def ask() -> None:
        await asyncio.gather(*(batcher.run_in_pool(detect, b"P5 8 8 255 ") for _ in range(6)))

    asyncio.run(ask())
    batcher.close()
    assert most == 2


def test_image_over_the_limit_needs_no_memory(model: Model) -> None:
    """It is rejected by its header, also while the memory is full."""
    batcher, inside, release = Batcher(model, threads=2, max_images=9), threading.Event(), threading.Event()

    async def ask() -> None:
        job = asyncio.create_task(batcher.run_in_pool(lambda: (inside.set(), release.wait(LONGEST))[1], b"P5 8 8 255 "))
        await asyncio.to_thread(inside.wait, 10)
        async with asyncio.timeout(10):
            await batcher.run_in_pool(lambda: None, b"P5 60000 60000 255 ")
        assert not job.done()
        release.set()
        assert await job

    asyncio.run(ask())
    batcher.close()


def test_model_error_reaches_all_requests(batcher: Batcher) -> None:
    async def ask(*sides: int) -> list[object]:
        async with asyncio.timeout(10):
            wrong = [batcher.probabilities(np.zeros((1, side, side), np.uint8), "none") for side in sides]
            return await asyncio.gather(*wrong, return_exceptions=True)

    for sides, kind in (((40, 40), "ModelError"), ((40, 48), "ValueError")):  # different sizes cannot be batched
        assert [type(one).__name__ for one in asyncio.run(ask(*sides))] == [kind] * 2


def test_full_queue_gets_503_with_retry_after() -> None:
    with running(queue=2) as served:
        image = sample().read_bytes()
        with served.service.batcher.reserve(2):
            got = served.http.post("/v1/analyze", content=image)
            assert (got.status_code, got.json()["error"]["code"]) == (503, "busy")
            assert int(got.headers["Retry-After"]) > 0
            assert served.http.get("/readyz").status_code == 503
            assert served.http.get("/healthz").status_code == 200
        assert served.http.post("/v1/analyze", content=image).status_code == 200
        three = [("files", ("a.jpg", image))] * 3
        assert served.http.post("/v1/analyze", files=three).status_code == 503


def test_faces_do_not_wait_without_detections(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.batching.BATCH_DELAY", 3600)

    async def ask() -> np.ndarray:
        async with asyncio.timeout(20):
            return await batcher.probabilities(faces(1, 0), "none")

    assert len(asyncio.run(ask())) == 1
