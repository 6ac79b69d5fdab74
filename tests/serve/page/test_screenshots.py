"""Screenshots of the page for README.md and for a look after a change.

MIEN_SCREENSHOTS=docs writes those of README.md to docs, after the webcam has run for a while; otherwise they go to a
temporary folder. MIEN_SCREENSHOTS_LANGUAGE=de-DE sets the language.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import browser
from browser import DESKTOP, PHONE, WEBCAM, Open, finished

pytestmark = pytest.mark.browser

FOLDER = os.environ.get("MIEN_SCREENSHOTS")
SECONDS = 12  # that the webcam runs before a screenshot is kept, to fill its timeline


@pytest.fixture(scope="module")
def webcam_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head of the sample image, moving slightly left and right."""
    portrait = cv2.resize(browser.portrait()[:384], WEBCAM, interpolation=cv2.INTER_CUBIC)
    shifts = [12 * np.sin(i / 60 * 2 * np.pi) for i in range(60)]
    frames = [
        cv2.warpAffine(portrait, np.array([[1, 0, shift], [0, 1, 0]]), WEBCAM, borderMode=cv2.BORDER_REPLICATE)
        for shift in shifts
    ]
    return browser.write_mjpeg(tmp_path_factory.mktemp("webcam") / "portrait.mjpeg", frames)


def reduce_colors(file: Path, frequent: int = 160, extreme: int = 64) -> None:
    """Write an image again as a PNG with a palette, which needs a third of the bytes.

    The palette has the most frequent colors, for the photo, and the most extreme ones, for small parts of the page.
    """
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    colors = image.quantize(frequent).getpalette()[: 3 * frequent]
    colors += image.quantize(extreme, method=Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * extreme]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(file, optimize=True)


@pytest.mark.parametrize(("name", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_screenshots_of_the_page(open_page: Open, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    folder = Path(FOLDER) if FOLDER else tmp_path
    page = open_page(size=size, reduced_motion="reduce", locale=os.environ.get("MIEN_SCREENSHOTS_LANGUAGE", "en-US"))

    def shoot(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            if FOLDER:
                page.wait_for_timeout(1000)  # the timeline is drawn again in this scheme
            file = folder / f"page-{state}-{name}-{scheme}.png"
            page.screenshot(path=file, full_page=True)
            taken = np.asarray(cv2.imread(str(file)))
            assert taken.shape[1] == size[0]
            assert (np.median(taken) > 128) == (scheme == "light")
            reduce_colors(file)

    page.locator("#sample").click()
    finished(page).locator(".tag").wait_for()
    shoot("photo")
    page.locator("article .remove").click()
    page.locator("#webcam-switch").click()
    page.locator("#webcam .face").wait_for()
    if FOLDER:
        page.wait_for_timeout(1000 * SECONDS)
    shoot("webcam")
