"""What the page looks like: the images that README shows, taken anew; a person looks at them after a change.

With MIEN_SCREENSHOTS=docs they are written there, after the webcam has run for a while; else they are only taken.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import browser
from browser import DESKTOP, PHONE, WEBCAM, Open, answered

pytestmark = pytest.mark.browser

FOLDER = os.environ.get("MIEN_SCREENSHOTS")
SECONDS = 12  # that the webcam runs for an image that is kept, so that its timeline has something to show


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait down to the shoulders, now a little to the left and now to the right."""
    portrait = cv2.resize(browser.portrait()[:384], WEBCAM, interpolation=cv2.INTER_CUBIC)
    shifts = [12 * np.sin(i / 60 * 2 * np.pi) for i in range(60)]
    frames = [
        cv2.warpAffine(portrait, np.array([[1, 0, shift], [0, 1, 0]]), WEBCAM, borderMode=cv2.BORDER_REPLICATE)
        for shift in shifts
    ]
    return browser.write_mjpeg(tmp_path_factory.mktemp("film") / "portrait.mjpeg", frames)


@pytest.mark.parametrize(("name", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_images_of_the_page(open_page: Open, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    folder = Path(FOLDER) if FOLDER else tmp_path
    page = open_page(size=size, reduced_motion="reduce")

    def shoot(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            file = folder / f"page-{state}-{name}-{scheme}.png"
            page.screenshot(path=file, full_page=True)
            taken = np.asarray(cv2.imread(str(file)))
            assert taken.shape[1] == size[0]
            assert (np.median(taken) > 128) == (scheme == "light")

    page.get_by_role("button", name="Try a portrait").click()
    answered(page).locator(".tag").wait_for()
    shoot("photo")
    page.get_by_role("button", name="Remove portrait.jpg").click()
    page.get_by_role("button", name="Switch the webcam on").click()
    page.locator("#webcam .face").wait_for()
    if FOLDER:
        page.wait_for_timeout(1000 * SECONDS)
    shoot("webcam")
