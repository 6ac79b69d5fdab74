"""The page: a few files of the package as they are, and the portrait to try it with."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from mien.read import sample
from mien.serve.problems import Problem

FOLDER = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_REVALIDATE = {"Cache-Control": "no-cache"}  # kept, and asked for again: a new version is seen at once

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def index() -> FileResponse:
    """The page itself."""
    return await part("index.html")


@router.get("/page/{name}")
async def part(name: str) -> FileResponse:
    """One of its files; names are compared with what is there, and never become paths."""
    found = {file.name: file for file in FOLDER.iterdir() if file.suffix in _KINDS}.get(name)
    if found is None:
        raise Problem(404, "not_found", "There is nothing at this address.", "/ is the page.")
    return FileResponse(found, media_type=_KINDS[found.suffix], headers=_REVALIDATE)


@router.get("/sample.jpg")
async def portrait() -> FileResponse:
    """The shipped portrait."""
    return FileResponse(sample(), media_type="image/jpeg", headers=_REVALIDATE)
