"""ASGI application: routes and middleware."""

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
from mien.serve.errors import Problem, error_response
from mien.serve.middleware.access_log import AccessLog
from mien.serve.middleware.limits import Limits, Linger
from mien.serve.middleware.security import HostCheck, SecurityHeaders, TokenCheck
from mien.serve.routes import docs, images, page, video, webcam
from mien.serve.state import Service

_DESCRIPTION = (
    "Facial expression recognition in images and videos. An expression is not a feeling: a result says what a face "
    "looks like, not what a person feels. Not for decisions about people, nor for use at work or in schools."
)


def create_app(service: Service) -> ASGIApp:
    """Return the application.

    From the outside in: access log, lingering close, security headers, host check, CORS, token, limits, routes.
    """
    api = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.service = service
    for module in (images, video, webcam, page, docs):
        api.include_router(module.router)
    for exception in (MienError, HTTPException, ClientDisconnect, Exception):
        api.add_exception_handler(exception, error_response)
    api.add_exception_handler(RequestValidationError, _validation_error)  # type: ignore[arg-type]

    settings = service.settings
    if settings.token is not None:
        _document_token(api)
    app: ASGIApp = TokenCheck(Limits(api, service), settings)
    if settings.origins:
        app = CORSMiddleware(
            app, allow_origins=settings.origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"], expose_headers=["X-Request-ID", "Retry-After"],
        )  # fmt: skip
    return AccessLog(Linger(SecurityHeaders(HostCheck(app, settings))), service.service_metrics)


def _document_token(api: FastAPI) -> None:
    """Add the token to the OpenAPI document, so that generated clients send it."""
    document = api.openapi()  # FastAPI caches it
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for method in methods.values():
            if path.startswith("/v1/"):
                method["security"] = [{"token": []}]


async def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    """Say which option is invalid."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return Problem(422, "invalid_option", f"{name}: {first['msg']}.", "See /docs for the options.").response()
