"""Error responses: `{"error": {"code", "message", "hint"}}` with the right status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from mien.errors import ImageError, MienError, MissingExtra, VideoError
from mien.imaging.formats import FORMATS
from mien.imaging.load import MAX_PIXELS
from mien.serve.schema import ErrorResponseSchema

BUSY = 503  # the status of whatever may go well a little later
RETRY_AFTER = 2  # seconds after which a client that was turned away may come again


class Problem(MienError):
    """Why a request is not served, for whoever sent it; the text is the message.

    Attributes:
        status: of HTTP.
        code: for programs, a word that does not change.
        hint: what to do about it.
        headers: that go with it.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.hint, self.headers = status, code, hint, dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"error": {"code": self.code, "message": str(self), "hint": self.hint}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.to_dict(), self.status, self.headers)


def busy(message: str) -> Problem:
    """Too much is going on; the client may come again soon."""
    return Problem(
        BUSY, "busy", message, f"Try again in {RETRY_AFTER} seconds or so.", {"Retry-After": str(RETRY_AFTER)}
    )


def too_large(most: int, what: str = "The request") -> Problem:
    """More bytes than are taken."""
    return Problem(
        413, "too_large", f"{what} is larger than the {most / 1e6:g} MB that this service takes.",
        "Send fewer or smaller files; a JPEG of two thousand pixels is plenty for faces.",
    )  # fmt: skip


def as_problem(error: Exception) -> Problem:
    """Any error as what is told to a client; of those that are our own fault, nothing but that."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ImageError):
        return Problem(
            422,
            "unreadable_image",
            str(error),
            f"Send one that opens elsewhere, of at most {MAX_PIXELS // 1_000_000} megapixels: {', '.join(FORMATS)}.",
        )
    if isinstance(error, VideoError):
        return Problem(422, "unreadable_video", str(error), "Send an MP4, MOV, WebM, MKV or AVI that plays elsewhere.")
    if isinstance(error, MissingExtra):
        return Problem(501, "not_installed", str(error), "Ask whoever runs this service.")
    if isinstance(error, MienError):
        return Problem(422, "invalid_option", str(error), "/docs lists the options and what they take.")
    if isinstance(error, ClientDisconnect):
        return Problem(400, "hung_up", "The client left before its request was there.")  # for the log alone
    if isinstance(error, HTTPException):
        return _of_routing(error)
    return Problem(
        500, "internal", "Something went wrong in the service; it is not your fault.",
        "Try again; if it persists, tell whoever runs this service the request's id.",
    )  # fmt: skip


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's words for the answers with these statuses."""
    return {status: {"model": ErrorResponseSchema} for status in statuses}


async def answer(request: Request, error: Exception) -> JSONResponse:
    """An exception handler of Starlette's."""
    return as_problem(error).response()


def _of_routing(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return Problem(404, "not_found", "There is nothing at this address.", "/docs lists the addresses.")
    if error.status_code == 405:
        return Problem(
            405,
            "method_not_allowed",
            "This address does not take this method.",
            "/docs lists the methods.",
            error.headers,
        )
    return Problem(error.status_code, "refused", str(error.detail), "", error.headers)
