"""Access log: one line per request."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.metrics import ServiceMetrics

LOG = logging.getLogger("mien.serve")
_ID = "X-Request-ID"
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # any other counts as one, so that nobody can make meters without end


class AccessLog:
    """Gives each request its id, and tells how it went."""

    def __init__(self, app: ASGIApp, service_metrics: ServiceMetrics) -> None:
        self._app, self._meters = app, service_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, given = time.perf_counter(), Headers(scope=scope).get(_ID, "")
        # A proxy's own id is kept, so that its log and this one can be joined.
        name = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else secrets.token_hex(8)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[_ID] = name
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, name, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        method = scope.get("method", "WS") if scope.get("method", "GET") in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "other")  # a pattern, of which there are few
        self._meters.requests.labels(route, method, str(status)).inc()
        self._meters.seconds.labels(route).observe(seconds)
        path = scope.get("raw_path", b"").decode("ascii", "replace")[:200]  # as it was sent: no line breaks in it
        LOG.info("%s %s %s %d %.1f ms", name, method, path, status, seconds * 1000)
