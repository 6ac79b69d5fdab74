"""The web page and its assets."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien.recognition import sample
from mien.serve.errors import Problem

FOLDER = Path(__file__).parents[1] / "page"
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def index(request: Request) -> Response:
    """The page itself."""
    return await part("index.html", request)


@router.get("/page/{name}")
async def part(name: str, request: Request) -> Response:
    """One of its files; names are compared with what is there, and never become paths."""
    found = {file.name: file for file in FOLDER.iterdir() if file.suffix in _KINDS}.get(name)
    if found is None:
        raise Problem(404, "not_found", "There is nothing at this address.", "/ is the page.")
    return asset(request, found, _KINDS[found.suffix])


@router.get("/sample.jpg")
async def portrait(request: Request) -> Response:
    """The shipped portrait."""
    return asset(request, sample(), "image/jpeg")


def asset(request: Request, file: Path, kind: str) -> Response:
    """A file of the package; browsers keep it and ask for it again, so that a new version is seen at once."""
    data = file.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)
