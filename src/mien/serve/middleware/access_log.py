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
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # others count as "other", so that clients cannot create endless metrics


class AccessLog:
    """Assigns an ID to each request; logs and counts it."""

    def __init__(self, app: ASGIApp, service_metrics: ServiceMetrics) -> None:
        self._app, self._metrics = app, service_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request with an ID, then log and count it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        start, given = time.perf_counter(), Headers(scope=scope).get(_ID, "")
        # The ID of a proxy is kept, so that its log and this one can be joined.
        request_id = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else secrets.token_hex(8)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[_ID] = request_id
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - start)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method = scope.get("method", "WS") if scope.get("method", "GET") in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "other")  # a pattern, of which there are few
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        path = scope.get("raw_path", b"").decode("ascii", "replace")[:200]  # still percent-encoded: no line breaks
        LOG.info("%s %s %s %d %.1f ms", request_id, method, path, status, seconds * 1000)
