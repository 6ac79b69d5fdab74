"""A browser for each module of tests, a service for all, and a page that has no errors when a test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import browser
from browser import Open

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXPECTED = ("Failed to load resource", "WebSocket connection to")  # what Chromium logs of refusals and of a server gone


@pytest.fixture(scope="session")
def service() -> Iterator[browser.Service]:
    """A service that runs for all tests that leave it as it is."""
    with browser.Service() as running:
        yield running


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the webcam sees."""
    return browser.make_webcam_video(tmp_path_factory.mktemp("film") / "face.mjpeg")


@pytest.fixture(scope="module")
def chromium(film: Path) -> Iterator[Browser]:
    """A browser with a webcam that it may use; not for the whole session, since asyncio cannot run beside it."""
    with browser.chromium(film) as running:
        yield running


@pytest.fixture
def open_page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open the page of a service in a window of its own; errors in its scripts fail the test."""
    wrong: list[str] = []
    contexts = []

    def opened(url: str | None = None, size: tuple[int, int] = browser.DESKTOP, **options: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, **{"permissions": ["camera"]} | options
        )
        context.set_default_timeout(browser.PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(url or request.getfixturevalue("service").url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in wrong if not text.startswith(EXPECTED)] == []


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page of the service, on a desktop."""
    return open_page()


@pytest.fixture
def portrait_file(tmp_path: Path) -> Path:
    """The sample under a name of its own."""
    return browser.jpeg(tmp_path / "astronaut.png", browser.portrait())
