"""Limits on the size and duration of requests.

What breaks a limit is answered at once, and what is still on its way is thrown away for a moment, so that a client that
sends before it listens hears the answer; then the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.errors import BUSY, RETRY_AFTER, Problem, busy, too_large
from mien.serve.state import Service

LINGER_SECONDS, LINGER_BYTES = 1.0, 64_000_000  # how much is thrown away after an answer
MAX_LARGE_BODIES = 8  # largest bodies that are held at one time
VIDEO = "/v1/video"


class Limits:
    """Counts bytes and seconds of each request, and the bytes of all together."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings, is_video = self._service.settings, scope["path"] == VIDEO
        most = settings.max_video if is_video else settings.max_body
        seconds = settings.timeout + settings.video_seconds * is_video
        now = asyncio.get_running_loop().time
        due = asyncio.timeout_at(now() + settings.timeout + seconds)
        body = _Body(self._service, receive, most, now() + settings.timeout, lambda: due.reschedule(now() + seconds))
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with due:
                body.check_length(Headers(scope=scope).get("content-length"))
                await self._app(scope, body.receive, watched)
        except Problem as error:  # raised where no route could
            if not started:
                await error.response()(scope, receive, send)
        except TimeoutError:
            if not started:  # else it is a client that hardly reads its answer: uvicorn closes the connection
                await _overdue(seconds).response()(scope, receive, send)
        finally:
            body.forget()


class _Body:
    """The body of one request on its way in."""

    def __init__(
        self, service: Service, receive: Receive, most: int, deadline: float, on_end: Callable[[], None]
    ) -> None:
        self._service, self._receive, self._most = service, receive, most
        self._deadline, self._on_end = deadline, on_end
        self._bytes = 0
        self._ended = False

    def check_length(self, length: str | None) -> None:
        """Refuse a body that says itself that it is too large."""
        if length is not None and length.isdigit() and int(length) > self._most:
            raise too_large(self._most)

    async def receive(self) -> Message:
        """The next part of it.

        Raises:
            Problem: it is too large or too slow, or too much is held for others.
        """
        if self._ended:
            return await self._receive()  # only tells when the client leaves
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                "too_slow",
                "The request did not arrive in time.",
                "Send it again over a better line, or make it smaller.",
            ) from None
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")))
            if not message.get("more_body", False):
                self._ended = True
                self._on_end()
        return message

    def _count(self, new: int) -> None:
        self._bytes += new
        self._service.held += new
        if self._bytes > self._most:
            raise too_large(self._most)
        if self._service.held > MAX_LARGE_BODIES * max(
            self._service.settings.max_body, self._service.settings.max_video
        ):
            raise busy("The service holds as many images as it can at a time.")

    def forget(self) -> None:
        """The request is answered; nothing of it is kept."""
        self._service.held -= self._bytes
        self._bytes = 0


class Linger:
    """Closes connections whose bodies were not read to their end, once the client has had the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)  # there is no body
            return
        ended = False

        async def watched() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and not message.get("more_body", False) and not ended:
                await send({**message, "more_body": True})
                await _discard_body(watched)
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, watched, answer)


async def _discard_body(receive: Receive) -> None:
    """What still comes, until it ends, or is too much, or takes too long."""
    thrown = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while thrown < LINGER_BYTES:
                message = await receive()
                thrown += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _overdue(seconds: float) -> Problem:
    return Problem(
        BUSY, "overdue", f"The answer was not ready within {seconds:g} seconds.",
        "Send fewer or smaller images, or try again when the service is less busy.", {"Retry-After": str(RETRY_AFTER)},
    )  # fmt: skip
