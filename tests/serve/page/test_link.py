"""The page and its server: lost connections, offline use, and the token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import browser
from browser import Open, finished, show
from mien.labels import FER7

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Response, Route, WebSocketRoute

pytestmark = pytest.mark.browser

TOKEN = "a-token-for-tests"


@pytest.fixture
def fragile() -> Iterator[browser.Service]:
    """A service that a test may stop and start."""
    with browser.Service() as running:
        yield running


@pytest.fixture(scope="module")
def protected() -> Iterator[browser.Service]:
    """A service that requires a token."""
    with browser.Service(MIEN_TOKEN=TOKEN) as running:
        yield running


def fire_online(page: Page) -> None:
    """Let the page check its server at once, as when the network comes back."""
    page.evaluate("dispatchEvent(new Event('online'))")


def enter_token(page: Page, token: str) -> None:
    """Enter the token."""
    dialog = page.get_by_role("dialog", name="This server requires a token")
    dialog.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_photo_waits_until_server_is_back(open_page: Open, fragile: browser.Service, portrait_file: Path) -> None:
    page = open_page(fragile.url)
    fragile.stop()
    page.set_input_files("#files", portrait_file)
    banner = page.get_by_role("status").filter(has_text="The server is not responding.")
    banner.wait_for()
    card = page.get_by_role("article", name="astronaut.png")
    assert card.locator(".status").inner_text() == "Waiting for the server …"
    with page.expect_request("**/healthz"):
        page.get_by_role("button", name="Reconnect now").click()
    fragile.start()
    fire_online(page)
    finished(page)
    assert card.locator(".tag").inner_text() == "happy"
    banner.wait_for(state="hidden")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_gateway_error_counts_as_offline(page: Page, portrait_file: Path, status: int) -> None:
    def alone(route: Route) -> None:
        route.fulfill(status=status, content_type="text/html", body="<h1>Bad Gateway</h1>")

    for address in ("**/v1/analyze", "**/healthz"):
        page.route(address, alone)
    page.set_input_files("#files", portrait_file)
    page.get_by_text("Waiting for the server …").wait_for()
    page.unroute_all()
    fire_online(page)
    finished(page)
    assert page.locator("article .tag").inner_text() == "happy"


def test_repeated_gateway_error_fails_the_photo(page: Page, portrait_file: Path) -> None:
    page.route("**/v1/analyze", lambda route: route.fulfill(status=502, json={"message": "Bad Gateway"}))
    page.evaluate(
        """() => {
          const usual = fetch;
          globalThis.got = [];
          globalThis.fetch = async (...asked) => (got.push(await usual(...asked)), got.at(-1));
        }"""
    )
    card = show(page, portrait_file)
    assert "connection was lost" in card.locator(".message").inner_text()
    read = page.evaluate("got.filter(answer => answer.url.endsWith('/healthz')).map(answer => answer.bodyUsed)")
    assert read == [True, True], "responses are read to the end"
    page.unroute_all()
    card.get_by_role("button", name="Try again").click()
    card.locator(".tag").wait_for()


def test_webcam_reconnects_when_server_is_back(open_page: Open, fragile: browser.Service) -> None:
    page = open_page(fragile.url)
    with page.expect_websocket() as first:
        page.get_by_role("button", name="Turn on webcam").click()
    page.locator("#webcam .face").wait_for()
    with first.value.expect_event("close"):
        fragile.stop()
    page.locator("#webcam-rate", has_text="waiting for the server").wait_for()
    assert page.get_by_role("heading", name="Webcam").is_visible()
    with page.expect_websocket() as second:
        fragile.start()
        fire_online(page)
    second.value.wait_for_event("framereceived", lambda frame: '"person"' in frame)
    page.locator("#webcam-rate", has_text="fps").wait_for()
    page.get_by_role("button", name="Turn off", exact=True).click()


def test_broken_stream_reconnects_with_backoff(page: Page) -> None:
    def torn(stream: WebSocketRoute) -> None:
        def hello(_: str | bytes) -> None:
            stream.send(json.dumps({"ready": True, "model": "nano", "labels": list(FER7.names)}))
            stream.close(code=1011, reason="torn")

        stream.on_message(hello)

    asked: list[Request] = []

    def third(response: Response) -> bool:
        """After each break the page asks whether the server is there."""
        if response.url.endswith("/healthz"):
            asked.append(response.request)
        return len(asked) == 3

    page.route_web_socket("**/v1/stream", torn)
    with page.expect_event("response", third):
        page.get_by_role("button", name="Turn on webcam").click()
    starts = [request.timing["startTime"] for request in asked]
    assert starts[1] - starts[0] >= 500
    assert starts[2] - starts[1] >= 1000
    page.locator("#webcam-rate", has_text="reconnecting").wait_for()
    assert page.locator("#webcam").is_visible(), "it goes on"


def test_silent_stream_is_given_up(page: Page) -> None:
    page.route_web_socket("**/v1/stream", lambda stream: stream.close(code=1011, reason="torn"))
    page.get_by_role("button", name="Turn on webcam").click()
    page.get_by_role("alert").filter(has_text="webcam connection fails").wait_for()
    assert not page.locator("#webcam").is_visible()


def test_page_is_self_contained_and_works_offline(
    open_page: Open, service: browser.Service, portrait_file: Path
) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(service.url)
    card = show(page, portrait_file)
    assert [url for url in asked if not url.startswith((service.url, "blob:"))] == []
    assert len([url for url in asked if url.endswith((".js", ".css"))]) > 10, "requests are recorded"

    page.context.set_offline(True)
    for button in ("Save JSON", "Save image"):
        with page.expect_download() as download:
            card.get_by_role("button", name=button).click()
        assert download.value.path().stat().st_size > 500
    page.get_by_role("button", name="Try a sample photo").click()
    page.get_by_role("alert").filter(has_text="sample photo could not be loaded").wait_for()
    page.set_input_files("#files", portrait_file)
    page.get_by_text("Waiting for the server …").wait_for()
    page.context.set_offline(False)
    finished(page, 2)
    assert card.locator(".tag").all_text_contents() == ["happy", "happy"]


def test_token_is_asked_for_once(open_page: Open, protected: browser.Service, tmp_path: Path) -> None:
    page = open_page(protected.url)
    files = [browser.jpeg(tmp_path / f"{i}.png", browser.portrait()) for i in range(3)]
    page.set_input_files("#files", files)
    enter_token(page, "not-the-token")
    page.get_by_text("Wrong token.").wait_for()
    enter_token(page, TOKEN)
    cards = finished(page, 3)
    assert cards.locator(".tag").all_text_contents() == ["happy"] * 3
    page.reload()
    show(page, files[0])
    page.get_by_role("button", name="Turn on webcam").click()
    page.locator("#webcam .face").wait_for()
    assert not page.locator("#token").is_visible()


def test_webcam_asks_for_the_token(open_page: Open, protected: browser.Service) -> None:
    page = open_page(protected.url)
    page.get_by_role("button", name="Turn on webcam").click()
    enter_token(page, TOKEN)
    page.locator("#webcam .face").wait_for()


def test_canceled_token_dialog_shows_error(open_page: Open, protected: browser.Service, portrait_file: Path) -> None:
    page = open_page(protected.url)
    page.set_input_files("#files", portrait_file)
    page.get_by_label("Token", exact=True).wait_for()
    page.keyboard.press("Escape")
    card = finished(page)
    assert "requires a token" in card.locator(".message").inner_text()
    card.get_by_role("button", name="Try again").click()
    enter_token(page, TOKEN)
    card.locator(".tag").wait_for()
    assert not card.locator(".error").is_visible()
