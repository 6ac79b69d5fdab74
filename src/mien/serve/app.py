"""The ASGI application: routes and middleware."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from mien import __version__
from mien.errors import MienError
from mien.serve.errors import Problem, answer
from mien.serve.middleware.access_log import AccessLog
from mien.serve.middleware.limits import Limits, Linger
from mien.serve.middleware.security import Guard, SecurityHeaders, TokenCheck
from mien.serve.routes import docs, images, page, video, webcam
from mien.serve.state import Service

_ABOUT = (
    "Reads facial expressions in images. An expression is not a feeling: an answer says what a face looks like, not "
    "what a person feels. Not for decisions about people, nor for work or schools."
)


def create_app(service: Service) -> ASGIApp:
    """The application; from the outside in: log, closing, headers, guards, other sites, token, limits, routes."""
    api = FastAPI(
        title="mien", version=__version__, description=_ABOUT, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    api.state.service = service
    for room in (images, video, webcam, page, docs):
        api.include_router(room.router)
    for kind in (MienError, HTTPException, ClientDisconnect, Exception):
        api.add_exception_handler(kind, answer)
    api.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]

    settings = service.settings
    if settings.token is not None:
        _document_token(api)
    app: ASGIApp = TokenCheck(Limits(api, service), settings)
    if settings.origins:
        app = CORSMiddleware(
            app, allow_origins=settings.origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"], expose_headers=["X-Request-ID", "Retry-After"],
        )  # fmt: skip
    return AccessLog(Linger(SecurityHeaders(Guard(app, settings))), service.service_metrics)


def _document_token(api: FastAPI) -> None:
    """Let OpenAPI say which addresses want the token, so that programs made from it send one."""
    told = api.openapi()  # made once, and kept
    told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in told["paths"].items():
        for method in methods.values():
            if path.startswith("/v1/"):
                method["security"] = [{"token": []}]


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Which option is out of its range, in words."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return Problem(
        422, "invalid_option", f"{name}: {first['msg']}.", "/docs lists the options and what they take."
    ).response()
