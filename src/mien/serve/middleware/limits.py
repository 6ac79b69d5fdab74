"""Limits on the size and duration of requests.

A request above a limit gets its error response at once. The rest of its body is discarded for a moment, so that a
client that sends the body before it reads can receive the response (lingering close); then the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.errors import BUSY, RETRY_AFTER, Problem, busy, too_large
from mien.serve.state import Service

LINGER_SECONDS, LINGER_BYTES = 1.0, 64_000_000  # limits of what is discarded after a response
MAX_LARGE_BODIES = 8  # largest bodies that are held at one time
VIDEO = "/v1/video"


class Limits:
    """Limits the bytes and seconds of each request, and the bytes of all requests together."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request within the limits, or send its error response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings, is_video = self._service.settings, scope["path"] == VIDEO
        max_bytes = settings.max_video if is_video else settings.max_body
        seconds = settings.timeout + settings.video_seconds * is_video
        now = asyncio.get_running_loop().time
        deadline = asyncio.timeout_at(now() + settings.timeout + seconds)
        body = _Body(
            self._service, receive, max_bytes, now() + settings.timeout, lambda: deadline.reschedule(now() + seconds)
        )
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with deadline:
                body.check_length(Headers(scope=scope).get("content-length"))
                await self._app(scope, body.receive, send_and_note)
        except Problem as error:  # raised outside of a route
            if not started:
                await error.response()(scope, receive, send)
        except TimeoutError:
            if not started:  # otherwise the client reads too slowly: uvicorn closes the connection
                await _timeout(seconds).response()(scope, receive, send)
        finally:
            body.release()


class _Body:
    """Body of one request while it is received."""

    def __init__(
        self, service: Service, receive: Receive, max_bytes: int, deadline: float, on_end: Callable[[], None]
    ) -> None:
        self._service, self._receive, self._max_bytes = service, receive, max_bytes
        self._deadline, self._on_end = deadline, on_end
        self._bytes = 0
        self._ended = False

    def check_length(self, length: str | None) -> None:
        """Raise a `Problem` where the Content-Length is above the limit."""
        if length is not None and length.isdigit() and int(length) > self._max_bytes:
            raise too_large(self._max_bytes)

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            Problem: The body is too large or too slow, or all bodies together are too large.
        """
        if self._ended:
            return await self._receive()  # waits for the disconnect
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                "too_slow",
                "Timeout while receiving the request.",
                "Use a faster connection or send less.",
            ) from None
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")))
            if not message.get("more_body", False):
                self._ended = True
                self._on_end()
        return message

    def _count(self, new: int) -> None:
        self._bytes += new
        self._service.body_bytes += new
        if self._bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._service.body_bytes > MAX_LARGE_BODIES * max(
            self._service.settings.max_body, self._service.settings.max_video
        ):
            raise busy("Too many requests in memory.")

    def release(self) -> None:
        """Stop counting the body once the request is finished."""
        self._service.body_bytes -= self._bytes
        self._bytes = 0


class Linger:
    """Closes connections whose body was not read to the end, after the client could receive the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, then discard the rest of its body for a moment."""
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)  # no body
            return
        ended = False

        async def receive_and_note() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def send_and_linger(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and not message.get("more_body", False) and not ended:
                await send({**message, "more_body": True})
                await _discard_body(receive_and_note)
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive_and_note, send_and_linger)


async def _discard_body(receive: Receive) -> None:
    """Receive the rest of a body within the limits."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while size < LINGER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _timeout(seconds: float) -> Problem:
    return Problem(
        BUSY, "overdue", f"The response was not ready within {seconds:g} seconds.",
        "Send fewer or smaller images, or try again when the service is less busy.", {"Retry-After": str(RETRY_AFTER)},
    )  # fmt: skip
