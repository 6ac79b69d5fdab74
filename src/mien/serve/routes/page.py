"""Web page and its assets."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien.recognition import sample
from mien.serve.errors import Problem

FOLDER = Path(__file__).parents[1] / "page"
_MEDIA_TYPES = {
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
    """Return the page."""
    return await page_file("index.html", request)


@router.get("/page/{name}")
async def page_file(name: str, request: Request) -> Response:
    """Return a file of the page; the name is compared with the files of the folder and never used as a path."""
    file = {file.name: file for file in FOLDER.iterdir() if file.suffix in _MEDIA_TYPES}.get(name)
    if file is None:
        raise Problem(404, "not_found", "Not found.", "The page is at /.")
    return asset(request, file, _MEDIA_TYPES[file.suffix])


@router.get("/sample.jpg")
async def sample_image(request: Request) -> Response:
    """Return the sample image of the package."""
    return asset(request, sample(), "image/jpeg")


def asset(request: Request, file: Path, media_type: str) -> Response:
    """Return a file of the package; browsers cache and revalidate it, so that they notice a new version at once."""
    data = file.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)
