"""The webcam on the page: frames of a video go through the stream; results are displayed and saved."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from browser import WEBCAM, Open, box_positions
from mien.labels import FER7
from mien.recognition.annotation.palette import label_color

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

FACE = "#webcam .face"


def switch_on(page: Page) -> Locator:
    """Turn the webcam on and return its card once it shows a face."""
    page.get_by_role("button", name="Turn on webcam").click()
    page.locator(FACE).wait_for()
    return page.locator("#webcam")


@pytest.fixture
def watched(page: Page) -> Locator:
    return switch_on(page)


def test_webcam_shows_mirrored_box_and_label(watched: Locator) -> None:
    assert watched.get_by_role("heading", name="Webcam").is_visible()
    (frame,) = box_positions(watched)
    wide, high = frame[2] * WEBCAM[0], frame[3] * WEBCAM[1]
    side = 0.7 * WEBCAM[0]  # of the sample image in the video
    assert wide == pytest.approx(90 / 260 * side, rel=0.2)
    assert high == pytest.approx(113 / 260 * side, rel=0.2)
    middle = frame[0] + frame[2] / 2
    there = 0.38 + 0.7 * ((178 + 45 - 95) / 260 - 0.5)  # in the video
    assert middle == pytest.approx(1 - there, abs=0.07), "mirrored, as the video is"
    assert watched.locator("video.mirrored").count() == 1
    assert watched.locator(".tag").inner_text() == "happy"
    assert re.fullmatch(r"Person \d+", watched.locator(".face .number").inner_text())
    assert watched.locator(".bar.likeliest .name").inner_text() == "happy"
    assert watched.locator("#legend li").all_inner_texts() == list(FER7.names)


def test_timeline_is_drawn_and_described(watched: Locator) -> None:
    yellow = "[%d, %d, %d]" % label_color("happy", FER7.names)  # noqa: UP031
    count = f"""chart => {{
      const pen = new OffscreenCanvas(chart.width, chart.height).getContext('2d', {{willReadFrequently: true}});
      pen.drawImage(chart, 0, 0);
      const pixels = pen.getImageData(0, 0, chart.width, chart.height).data;
      let found = 0;
      for (let i = 0; i < pixels.length; i += 4) found += {yellow}.every((part, k) => pixels[i + k] === part);
      return found;
    }}"""
    chart = watched.locator("#timeline")
    grown = f"""(chart, least) => new Promise(done => {{
      const look = () => ({count})(chart) > least ? done() : requestAnimationFrame(look);
      look();
    }})"""
    chart.evaluate(grown, 200)
    chart.evaluate(grown, chart.evaluate(count))
    watched.locator("#timeline[aria-label^='Last 30 seconds: person 1 mostly happy']").wait_for()


def test_webcam_saves_json_and_image(watched: Locator) -> None:
    page = watched.page
    with page.expect_download() as download:
        watched.get_by_role("button", name="Save JSON").click()
    kept = json.loads(download.value.path().read_text())
    assert kept["labels"] == list(FER7.names)
    seen = [look for look in kept["looks"] if look["faces"]]
    assert seen[0]["faces"][0]["person"] == 1
    assert (seen[0]["width"], seen[0]["height"]) == WEBCAM
    assert [look["time"] for look in kept["looks"]] == sorted(look["time"] for look in kept["looks"])
    with page.expect_download() as download:
        watched.get_by_role("button", name="Save image").click()
    drawn = np.asarray(cv2.imread(str(download.value.path())))
    assert drawn.shape[:2] == WEBCAM[::-1]
    assert (drawn == label_color("happy", FER7.names)[::-1]).all(2).any()


def test_webcam_off_stops_camera_and_socket(page: Page) -> None:
    with page.expect_websocket() as opened:
        watched = switch_on(page)
    socket = opened.value
    track = page.evaluate_handle("document.getElementById('webcam-video').srcObject.getVideoTracks()[0]")
    with socket.expect_event("close"):
        page.get_by_role("button", name="Turn off webcam").click()
    assert track.evaluate("track => track.readyState") == "ended"
    assert not watched.is_visible()
    assert page.evaluate("document.getElementById('webcam-video').srcObject") is None
    assert page.locator("#announcement").inner_text() == "The webcam is off."
    switch_on(page)
    watched.get_by_role("button", name="Turn off", exact=True).click()
    assert page.evaluate("document.activeElement.id") == "webcam-switch"


def test_unplugged_webcam_shows_error(watched: Locator) -> None:
    page = watched.page
    page.evaluate("document.getElementById('webcam-video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    error = page.get_by_role("alert").filter(has_text="The webcam was disconnected.")
    error.wait_for()
    assert not watched.is_visible()
    switch_on(page)
    assert not error.is_visible()


def test_blocked_webcam_shows_error(open_page: Open) -> None:
    page = open_page(permissions=[])
    page.context.new_cdp_session(page).send(
        "Browser.setPermission", {"permission": {"name": "camera"}, "setting": "denied"}
    )
    page.get_by_role("button", name="Turn on webcam").click()
    error = page.get_by_role("alert").filter(has_text="webcam")
    error.wait_for()
    assert error.inner_text().startswith("The browser blocks the webcam")
    assert page.get_by_role("button", name="Turn on webcam").is_enabled()
    assert not page.locator("#webcam").is_visible()
