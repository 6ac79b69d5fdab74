"""Host, origin and token checks, and security headers.

Pure ASGI, so that what is refused is refused before its body is read, WebSockets included.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.config import ANY, Settings
from mien.serve.errors import Problem

PROBES = ("/healthz", "/readyz")  # asked by machines that know an address and no name
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
    "Cross-Origin-Resource-Policy": "same-origin",  # no foreign page shows what is here; CORS is apart from it
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Guard:
    """Refuses foreign hosts and origins."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            problem = self._problem(scope["path"], Headers(scope=scope))
            if problem is not None:
                await problem.response()(scope, receive, send)  # a WebSocket's handshake ends with it too
                return
        await self._app(scope, receive, send)

    def _problem(self, path: str, headers: Headers) -> Problem | None:
        if path not in PROBES and not self._is_own(headers.getlist("host")):
            return Problem(
                421, "unknown_host", "The service is not known by this name.",
                "Whoever runs it can name it: mien serve --allow-host NAME.",
            )  # fmt: skip
        origin = headers.get("origin")
        if origin is None or origin in self._settings.origins or _site(origin) == headers.get("host", "").lower():
            return None
        return Problem(
            403, "foreign_origin", "Pages of this site may not ask the service.",
            "Whoever runs it can name the site: mien serve --allow-origin ORIGIN.",
        )  # fmt: skip

    def _is_own(self, told: list[str]) -> bool:
        if len(told) != 1:
            return False
        name = told[0].lower()
        if name.rpartition(":")[2].isdigit() and not name.endswith("]"):
            name = name.rpartition(":")[0]
        return ANY in self._settings.hosts or name in self._settings.names


class TokenCheck:
    """Refuses requests to `/v1` without the token; a stream's is in its first message."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._token = app, settings.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/") and not self._is_allowed(scope):
            problem = Problem(
                401, "unauthorized", "The service wants a token, and this request has none or a wrong one.",
                "Send the header 'Authorization: Bearer TOKEN'.", {"WWW-Authenticate": 'Bearer realm="mien"'},
            )  # fmt: skip
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        return is_token(self._token, bearer(Headers(scope=scope)))


class SecurityHeaders:
    """Tells browsers what the page may do, and caches to keep nothing that was read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token in an Authorization header, if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_token(wanted: str | None, got: str | None) -> bool:
    """Whether a token is the one that is wanted, in a time that tells nothing of either; any where none is."""
    if wanted is None:
        return True
    digests = [hashlib.sha256((token or "").encode("utf-8", "surrogatepass")).digest() for token in (wanted, got)]
    return hmac.compare_digest(*digests)


def _site(origin: str) -> str:
    """Name and port in an origin, as a Host header has them; empty for one that names none, such as `null`."""
    scheme, mark, site = origin.lower().partition("://")
    return site if mark and scheme in ("http", "https") else ""
