"""`/v1/stream`: a webcam over a WebSocket; if the service is slower, the newest frame is used.

The first message of the client is JSON, `{"token": ...}`; each later one is a frame: four bytes with its number, then
the bytes of an image. See docs/serve.md.
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

MAX_PIXELS = 3840 * 2160  # of a frame
HELLO_SECONDS = 10  # until the first message
IDLE_SECONDS = 120  # without a frame, after which a stream is closed
MALFORMED, UNAUTHORIZED, TOO_SLOW, FULL = 4400, 4401, 4408, 1013  # close codes

router = APIRouter()


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Analyze the frames of one webcam until the client disconnects."""
    service: Service = socket.app.state.service
    with suppress(WebSocketDisconnect):
        await socket.accept()
        if not await _authenticate(socket, service):
            return
        # Counted after authentication, so that clients without the token cannot use up the streams.
        if service.streams >= service.settings.streams:
            await socket.close(FULL, "too many webcams; try again later")
            return
        service.streams += 1
        service.service_metrics.streams.set(service.streams)
        try:
            model = service.photos.model
            prior = None if model.prior is None else model.prior.option
            await socket.send_json(
                {"ready": True, "model": model.card.name, "labels": list(model.labels.names), "prior": prior}
            )
            await _Webcam(socket, service).run()
        finally:
            service.streams -= 1
            service.service_metrics.streams.set(service.streams)


async def _authenticate(socket: WebSocket, service: Service) -> bool:
    """Return whether the first message is valid; close the stream otherwise."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return False
        hello = json.loads(message.get("text") or "")
        token = hello.get("token")
        if not isinstance(token, str | None):
            raise ValueError
    except TimeoutError:
        await socket.close(TOO_SLOW, "timeout while waiting for the first message")
        return False
    except (ValueError, AttributeError, RecursionError):
        await socket.close(MALFORMED, 'the first message must be JSON: {"token": "..."} or {"token": null}')
        return False
    if not is_token(service.settings.token, token or bearer(socket.headers)):
        await socket.close(UNAUTHORIZED, "missing or wrong token")
        return False
    return True


class _Webcam:
    """An authenticated webcam: one task receives frames, another analyzes the newest one."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._stream = FaceStream(service.photos.pipeline)
        self._newest: tuple[int, bytes, float] | None = None
        self._skipped = 0
        self._received = asyncio.Event()

    async def run(self) -> None:
        """Run until the client disconnects, sends an invalid frame or sends nothing for too long."""
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._respond())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> None:
        """Receive frames and keep the newest."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(TOO_SLOW, "no frame received for too long")
                return
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or b""
            if len(data) <= 4:
                await self._socket.close(MALFORMED, "a frame must be four bytes with its number, then an image")
                return
            if self._newest is not None:
                self._skipped += 1
                self._service.service_metrics.frames.labels("skipped").inc()
            self._newest = (struct.unpack_from(">I", data)[0], data[4:], time.monotonic())
            self._received.set()

    async def _respond(self) -> None:
        """Analyze the newest frame and send its result, repeatedly."""
        while True:
            await self._received.wait()
            self._received.clear()
            assert self._newest is not None
            (number, data, time_received), self._newest = self._newest, None
            skipped, self._skipped = self._skipped, 0
            try:
                result: dict[str, Any] = {"analysis": (await self._analyze(data, time_received)).to_dict()}
                outcome = "read"
            except MienError as error:
                problem = as_problem(error)
                result, outcome = problem.to_dict(), "busy" if problem.status == BUSY else "unreadable"
            self._service.service_metrics.frames.labels(outcome).inc()
            with suppress(WebSocketDisconnect, RuntimeError):  # the client disconnected
                await self._socket.send_json({"frame": number, "skipped": skipped, **result})

    async def _analyze(self, data: bytes, time: float) -> Analysis:
        stream, batcher = self._stream, self._service.batcher
        size = [0, 0]

        def detect() -> FrameFaces:
            image_HW3 = read_image(data, max_pixels=MAX_PIXELS, name="the frame")
            size[:] = image_HW3.shape[:2]
            return stream.detect_and_crop(image_HW3, time)

        with batcher.reserve(1):
            detected = await batcher.run_in_pool(detect, data)
            faces = stream.smooth(detected, await batcher.probabilities(detected.faces_NHW, stream.pipeline.tta))
        self._service.service_metrics.faces.inc(len(faces))
        height, width = size
        return Analysis("", width, height, faces, stream.pipeline.model_name, stream.pipeline.detector.name)
