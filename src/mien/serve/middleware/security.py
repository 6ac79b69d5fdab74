"""Host, origin and token checks, and security headers.

Pure ASGI middleware: requests are rejected before their body is read, WebSockets included.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.config import ANY, Settings
from mien.serve.errors import Problem

PROBES = ("/healthz", "/readyz")  # sent by load balancers and container runtimes, with an IP address as the host
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other site can embed a response; CORS is separate
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class HostCheck:
    """Rejects requests with an unknown Host or a foreign Origin header."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request if its Host and Origin headers are allowed; otherwise reject it."""
        if scope["type"] in ("http", "websocket"):
            problem = self._problem(scope["path"], Headers(scope=scope))
            if problem is not None:
                await problem.response()(scope, receive, send)  # also rejects a WebSocket handshake
                return
        await self._app(scope, receive, send)

    def _problem(self, path: str, headers: Headers) -> Problem | None:
        if path not in PROBES and not self._is_allowed(headers.getlist("host")):
            return Problem(
                421, "unknown_host", "This Host header is not allowed.",
                "The operator can allow it with: mien serve --allow-host NAME.",
            )  # fmt: skip
        origin = headers.get("origin")
        if origin is None or origin in self._settings.origins or _site(origin) == headers.get("host", "").lower():
            return None
        return Problem(
            403, "foreign_origin", "This Origin header is not allowed.",
            "The operator can allow it with: mien serve --allow-origin ORIGIN.",
        )  # fmt: skip

    def _is_allowed(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = hosts[0].lower()
        if name.rpartition(":")[2].isdigit() and not name.endswith("]"):
            name = name.rpartition(":")[0]
        return ANY in self._settings.hosts or name in self._settings.allowed_hosts


class TokenCheck:
    """Rejects requests to `/v1` without the token; a webcam sends it in its first message."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._token = app, settings.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request if it needs no token or has the right one; otherwise reject it."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/") and not self._is_allowed(scope):
            problem = Problem(
                401, "unauthorized", "Missing or wrong token.",
                "Send the header 'Authorization: Bearer TOKEN'.", {"WWW-Authenticate": 'Bearer realm="mien"'},
            )  # fmt: skip
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        return is_token(self._token, bearer(Headers(scope=scope)))


class SecurityHeaders:
    """Adds security headers, and `Cache-Control: no-store` to responses without one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request and add the headers to its response."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of an Authorization header, or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_token(required: str | None, given: str | None) -> bool:
    """Return whether `given` is the required token, compared in constant time; True where no token is required."""
    if required is None:
        return True
    digests = [hashlib.sha256((token or "").encode("utf-8", "surrogatepass")).digest() for token in (required, given)]
    return hmac.compare_digest(*digests)


def _site(origin: str) -> str:
    """Return host and port of an origin as in a Host header; empty for an origin without a host, such as `null`."""
    scheme, mark, site = origin.lower().partition("://")
    return site if mark and scheme in ("http", "https") else ""
