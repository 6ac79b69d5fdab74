"""Fixtures: a browser for each module, a service for all, and a page whose scripts must not fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import browser
from browser import Open

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXPECTED = ("Failed to load resource", "WebSocket connection to")  # logged by Chromium for error responses


@pytest.fixture(scope="session")
def service() -> Iterator[browser.Service]:
    """A service that tests share."""
    with browser.Service() as running:
        yield running


@pytest.fixture(scope="module")
def webcam_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Video that the webcam shows."""
    return browser.make_webcam_video(tmp_path_factory.mktemp("webcam") / "face.mjpeg")


@pytest.fixture(scope="module")
def chromium(webcam_video: Path) -> Iterator[Browser]:
    """A browser with a webcam; one for each module, since Playwright blocks asyncio in its thread."""
    with browser.chromium(webcam_video) as running:
        yield running


@pytest.fixture
def open_page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open the page of a service in a new window; errors and warnings in its console fail the test."""
    errors: list[str] = []
    contexts = []

    def opened(url: str | None = None, size: tuple[int, int] = browser.DESKTOP, **options: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            **{"permissions": ["camera"], "locale": "en-US"} | options,
        )
        context.set_default_timeout(browser.PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(url or request.getfixturevalue("service").url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in errors if not text.startswith(EXPECTED)] == []


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page in English on a desktop."""
    return open_page()


@pytest.fixture
def portrait_file(tmp_path: Path) -> Path:
    """The sample image as astronaut.png."""
    return browser.jpeg(tmp_path / "astronaut.png", browser.portrait())
