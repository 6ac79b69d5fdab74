"""`/v1/stream`: a webcam over a WebSocket; if the service is slower, the newest frame is used.

The client's first message is JSON, `{"token": ...}`; each later one is a frame, four bytes with its number and then the
bytes of an image. Docs: docs/serve.md.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from mien.errors import MienError
from mien.imaging.load import read_image
from mien.recognition.results import Analysis
from mien.recognition.video.stream import FaceStream, FrameFaces
from mien.serve.errors import BUSY, as_problem
from mien.serve.middleware.security import bearer, is_token
from mien.serve.state import Service

PIXELS = 3840 * 2160  # of a frame
HELLO = 10  # seconds in which the first message must come
IDLE = 120  # seconds without a frame after which a stream is closed
MALFORMED, UNAUTHORIZED, TOO_SLOW, FULL = 4400, 4401, 4408, 1013  # why it is closed

router = APIRouter()


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """One webcam, until it is switched off."""
    service: Service = socket.app.state.service
    with suppress(WebSocketDisconnect):  # switched off
        await socket.accept()
        if not await _authenticate(socket, service):
            return
        # Counted only now, so that nobody without the token takes a place from those who have it.
        if service.streams >= service.settings.streams:
            await socket.close(FULL, "as many webcams as this service takes are being watched; try again later")
            return
        service.streams += 1
        service.service_metrics.streams.set(service.streams)
        try:
            model = service.photos.model
            await socket.send_json({"ready": True, "model": model.card.name, "labels": list(model.labels.names)})
            await _Stream(socket, service).run()
        finally:
            service.streams -= 1
            service.service_metrics.streams.set(service.streams)


async def _authenticate(socket: WebSocket, service: Service) -> bool:
    """Whether the first message is as it must be; else the stream is closed."""
    try:
        async with asyncio.timeout(HELLO):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return False
        hello = json.loads(message.get("text") or "")
        token = hello.get("token")
        if not isinstance(token, str | None):
            raise ValueError
    except TimeoutError:
        await socket.close(TOO_SLOW, "the first message did not come in time")
        return False
    except (ValueError, AttributeError, RecursionError):
        await socket.close(MALFORMED, 'the first message must be JSON: {"token": "..."} or {"token": null}')
        return False
    if not is_token(service.settings.token, token or bearer(socket.headers)):
        await socket.close(UNAUTHORIZED, "this service wants a token, and this is not it")
        return False
    return True


class _Stream:
    """A greeted webcam: one task takes what comes, another reads the newest of it."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._watcher = FaceStream(service.photos.pipeline)
        self._newest: tuple[int, bytes, float] | None = None
        self._skipped = 0
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Until the client leaves, sends what is no frame, or nothing."""
        tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._answer())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> None:
        """Keep the newest frame."""
        while True:
            try:
                async with asyncio.timeout(IDLE):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(TOO_SLOW, "no frame came for a long time")
                return
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or b""
            if len(data) <= 4:
                await self._socket.close(MALFORMED, "a frame is four bytes with its number, and then an image")
                return
            if self._newest is not None:
                self._skipped += 1
                self._service.service_metrics.frames.labels("skipped").inc()
            self._newest = (struct.unpack_from(">I", data)[0], data[4:], time.monotonic())
            self._came.set()

    async def _answer(self) -> None:
        """Read the newest frame and tell what it shows, again and again."""
        while True:
            await self._came.wait()
            self._came.clear()
            assert self._newest is not None
            (number, data, at), self._newest = self._newest, None
            skipped, self._skipped = self._skipped, 0
            try:
                told: dict[str, Any] = {"analysis": (await self._read(data, at)).to_dict()}
                outcome = "read"
            except MienError as error:
                problem = as_problem(error)
                told, outcome = problem.to_dict(), "busy" if problem.status == BUSY else "unreadable"
            self._service.service_metrics.frames.labels(outcome).inc()
            with suppress(WebSocketDisconnect, RuntimeError):  # it left while its frame was read
                await self._socket.send_json({"frame": number, "skipped": skipped, **told})

    async def _read(self, data: bytes, at: float) -> Analysis:
        watcher, batcher = self._watcher, self._service.batcher
        size = [0, 0]

        def look() -> FrameFaces:
            image_HW3 = read_image(data, max_pixels=PIXELS, name="the frame")
            size[:] = image_HW3.shape[:2]
            return watcher.detect_and_crop(image_HW3, at)

        with batcher.places(1):
            glance = await batcher.see(look, data)
            faces = watcher.smooth(glance, await batcher.probabilities(glance.faces_NHW, watcher.pipeline.tta))
        self._service.service_metrics.faces.inc(len(faces))
        high, wide = size
        pipeline = watcher.pipeline
        return Analysis("", wide, high, faces, pipeline.model_name, pipeline.detector.name)
