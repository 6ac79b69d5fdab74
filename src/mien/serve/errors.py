"""Error responses: `{"error": {"code", "message", "hint"}}` with an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from mien.errors import ImageError, MienError, MissingExtra, VideoError
from mien.imaging.formats import FORMATS
from mien.serve.config import MAX_PIXELS
from mien.serve.schema import ErrorResponseSchema

BUSY = 503  # Service Unavailable: a retry may succeed
RETRY_AFTER = 2  # seconds


class Problem(MienError):
    """An error response; the exception's text is its message.

    Attributes:
        status: HTTP status.
        code: Stable identifier for programs.
        hint: What the client can do.
        headers: Additional response headers.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.hint, self.headers = status, code, hint, dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the response as JSON types."""
        return {"error": {"code": self.code, "message": str(self), "hint": self.hint}}

    def response(self) -> JSONResponse:
        """Return the response."""
        return JSONResponse(self.to_dict(), self.status, self.headers)


def busy(message: str) -> Problem:
    """Return an error for a service at its limits, with `Retry-After`."""
    return Problem(BUSY, "busy", message, f"Try again in {RETRY_AFTER} seconds.", {"Retry-After": str(RETRY_AFTER)})


def too_large(max_bytes: int) -> Problem:
    """Return an error for a body above the limit."""
    return Problem(
        413, "too_large", f"The request is larger than the limit of {max_bytes / 1e6:g} MB.",
        "Send fewer or smaller files; a JPEG of 2000 pixels is large enough.",
    )  # fmt: skip


def as_problem(error: Exception) -> Problem:
    """Convert any exception to an error response; unexpected ones reveal no details."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ImageError):
        return Problem(
            422,
            "unreadable_image",
            str(error),
            f"Send an image of at most {MAX_PIXELS // 1_000_000} megapixels: {', '.join(FORMATS)}.",
        )
    if isinstance(error, VideoError):
        return Problem(422, "unreadable_video", str(error), "Send an MP4, MOV, WebM, MKV or AVI video.")
    if isinstance(error, MissingExtra):
        return Problem(501, "not_installed", str(error), "Ask the operator of this service.")
    if isinstance(error, MienError):
        return Problem(422, "invalid_option", str(error), "See /docs for the options.")
    if isinstance(error, ClientDisconnect):
        return Problem(400, "hung_up", "The client disconnected before its request was complete.")  # only logged
    if isinstance(error, HTTPException):
        return _routing_error(error)
    return Problem(
        500, "internal", "Internal server error.",
        "Try again; if it happens again, report the X-Request-ID to the operator.",
    )  # fmt: skip


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of error responses with these statuses."""
    return {status: {"model": ErrorResponseSchema} for status in statuses}


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """Handle an exception of a route; an exception handler for Starlette."""
    return as_problem(error).response()


def _routing_error(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return Problem(404, "not_found", "Not found.", "See /docs for the available paths.")
    if error.status_code == 405:
        return Problem(
            405,
            "method_not_allowed",
            "Method not allowed.",
            "See /docs for the methods of this path.",
            error.headers,
        )
    return Problem(error.status_code, "refused", str(error.detail), "", error.headers)
