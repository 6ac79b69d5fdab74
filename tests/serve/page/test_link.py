"""The page and its server: gone and back, cut off from all else, and the token that is asked for once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import browser
from browser import Open, answered, show
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
def closed() -> Iterator[browser.Service]:
    """A service for those who have the token."""
    with browser.Service(MIEN_TOKEN=TOKEN) as running:
        yield running


def hurry(page: Page) -> None:
    """Let the page look for its server at once, as when a cable is plugged in."""
    page.evaluate("dispatchEvent(new Event('online'))")


def answer_with(page: Page, token: str) -> None:
    """Type the token and go on."""
    dialog = page.get_by_role("dialog", name="This server asks for a token")
    dialog.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_a_photo_waits_for_a_server_that_is_gone_and_is_read_when_it_is_back(
    open_page: Open, fragile: browser.Service, portrait_file: Path
) -> None:
    page = open_page(fragile.url)
    fragile.stop()
    page.set_input_files("#files", portrait_file)
    banner = page.get_by_role("status").filter(has_text="The server does not answer.")
    banner.wait_for()
    card = page.get_by_role("article", name="astronaut.png")
    assert card.locator(".state").inner_text() == "Waiting for the server to come back."
    with page.expect_request("**/healthz"):
        page.get_by_role("button", name="Try now").click()
    fragile.start()
    hurry(page)
    answered(page)
    assert card.locator(".tag").inner_text() == "happy"
    banner.wait_for(state="hidden")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_with_nobody_behind_it_is_a_server_that_is_gone(page: Page, portrait_file: Path, status: int) -> None:
    def alone(route: Route) -> None:
        route.fulfill(status=status, content_type="text/html", body="<h1>Bad Gateway</h1>")

    for address in ("**/v1/analyze", "**/healthz"):
        page.route(address, alone)
    page.set_input_files("#files", portrait_file)
    page.get_by_text("Waiting for the server to come back.").wait_for()
    page.unroute_all()
    hurry(page)
    answered(page)
    assert page.locator("article .tag").inner_text() == "happy"


def test_a_photo_that_no_proxy_lets_through_is_not_sent_for_ever(page: Page, portrait_file: Path) -> None:
    page.route("**/v1/analyze", lambda route: route.fulfill(status=502, json={"message": "Bad Gateway"}))
    page.evaluate(
        """() => {
          const usual = fetch;
          globalThis.got = [];
          globalThis.fetch = async (...asked) => (got.push(await usual(...asked)), got.at(-1));
        }"""
    )
    card = show(page, portrait_file)
    assert card.locator(".what").inner_text() == "The server broke off while the photo was on its way."
    read = page.evaluate("got.filter(answer => answer.url.endsWith('/healthz')).map(answer => answer.bodyUsed)")
    assert read == [True, True], "no answer is left half read"
    page.unroute_all()
    card.get_by_role("button", name="Try again").click()
    card.locator(".tag").wait_for()


def test_the_webcam_goes_on_when_the_server_is_back(open_page: Open, fragile: browser.Service) -> None:
    page = open_page(fragile.url)
    with page.expect_websocket() as first:
        page.get_by_role("button", name="Switch the webcam on").click()
    page.locator("#webcam .face").wait_for()
    with first.value.expect_event("close"):
        fragile.stop()
    page.locator("#webcam-pace", has_text="waiting for the server").wait_for()
    assert page.get_by_role("heading", name="The webcam is on").is_visible()
    with page.expect_websocket() as second:
        fragile.start()
        hurry(page)
    second.value.wait_for_event("framereceived", lambda frame: '"person"' in frame)
    page.locator("#webcam-pace", has_text="a second").wait_for()
    page.get_by_role("button", name="Switch off").click()


def test_a_stream_that_breaks_whenever_it_is_ready_is_opened_less_and_less_often(page: Page) -> None:
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
        page.get_by_role("button", name="Switch the webcam on").click()
    starts = [request.timing["startTime"] for request in asked]
    assert starts[1] - starts[0] >= 500
    assert starts[2] - starts[1] >= 1000
    page.locator("#webcam-pace", has_text="broken off; trying again").wait_for()
    assert page.locator("#webcam").is_visible(), "it goes on"


def test_a_stream_that_never_says_a_word_is_given_up(page: Page) -> None:
    page.route_web_socket("**/v1/stream", lambda stream: stream.close(code=1011, reason="torn"))
    page.get_by_role("button", name="Switch the webcam on").click()
    page.get_by_role("alert").filter(has_text="The server answers, but its stream of frames breaks off.").wait_for()
    assert not page.locator("#webcam").is_visible()


def test_all_comes_from_the_server_and_what_was_read_stays_with_the_network_cut(
    open_page: Open, service: browser.Service, portrait_file: Path
) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(service.url)
    card = show(page, portrait_file)
    assert [url for url in asked if not url.startswith((service.url, "blob:"))] == []
    assert len([url for url in asked if url.endswith((".js", ".css"))]) > 10, "requests are seen at all"

    page.context.set_offline(True)
    for button in ("Save JSON", "Save image"):
        with page.expect_download() as download:
            card.get_by_role("button", name=button).click()
        assert download.value.path().stat().st_size > 500
    page.get_by_role("button", name="Try a portrait").click()
    page.get_by_role("alert").filter(has_text="The portrait could not be fetched.").wait_for()
    page.set_input_files("#files", portrait_file)
    page.get_by_text("Waiting for the server to come back.").wait_for()
    page.context.set_offline(False)
    answered(page, 2)
    assert card.locator(".tag").all_text_contents() == ["happy", "happy"]


def test_the_token_is_asked_for_once(open_page: Open, closed: browser.Service, tmp_path: Path) -> None:
    page = open_page(closed.url)
    files = [browser.jpeg(tmp_path / f"{i}.png", browser.portrait()) for i in range(3)]
    page.set_input_files("#files", files)
    answer_with(page, "not-the-token")
    page.get_by_text("That token is not the right one.").wait_for()
    answer_with(page, TOKEN)
    cards = answered(page, 3)
    assert cards.locator(".tag").all_text_contents() == ["happy"] * 3
    page.reload()
    show(page, files[0])
    page.get_by_role("button", name="Switch the webcam on").click()
    page.locator("#webcam .face").wait_for()
    assert not page.locator("#token").is_visible()


def test_the_webcam_asks_for_the_token_too(open_page: Open, closed: browser.Service) -> None:
    page = open_page(closed.url)
    page.get_by_role("button", name="Switch the webcam on").click()
    answer_with(page, TOKEN)
    page.locator("#webcam .face").wait_for()


def test_who_has_no_token_is_told_what_that_means(
    open_page: Open, closed: browser.Service, portrait_file: Path
) -> None:
    page = open_page(closed.url)
    page.set_input_files("#files", portrait_file)
    page.get_by_label("Token", exact=True).wait_for()
    page.keyboard.press("Escape")
    card = answered(page)
    assert card.locator(".what").inner_text() == "Without its token this server reads nothing."
    card.get_by_role("button", name="Try again").click()
    answer_with(page, TOKEN)
    card.locator(".tag").wait_for()
    assert not card.locator(".trouble").is_visible()
