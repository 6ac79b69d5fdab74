"""Accessibility: axe-core in every state, light and dark; keyboard; narrow screens; reduced motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python
import pytest

import browser
from browser import DESKTOP, PHONE, Open, finished, show

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


def violations(page: Page) -> list[dict[str, Any]]:
    """Return the violations that axe-core finds, including its best practices."""
    result = page.evaluate("axe.run()")
    assert result["passes"], "axe ran"
    return [
        {
            "rule": rule["id"],
            "at": [node["html"] for node in rule["nodes"]],
            "error": rule["nodes"][0]["failureSummary"],
        }
        for rule in result["violations"]
    ]


def initial(page: Page, folder: Path) -> None:
    """Leave the page as it opens."""


def with_photos(page: Page, folder: Path) -> None:
    """Show a face, an image without a face and a file that is not an image; hover over a face."""
    portrait = browser.portrait()
    (folder / "letter.txt").write_text("Dear reader")
    files = browser.jpeg(folder / "face.png", portrait), browser.jpeg(folder / "wall.png", portrait[:50, 300:])
    cards = show(page, *files, folder / "letter.txt")
    cards.nth(0).locator(".face").hover()


def with_webcam(page: Page, folder: Path) -> None:
    """Turn the webcam on and wait for a face."""
    page.locator("#webcam-switch").click()
    page.locator("#webcam .face").wait_for()


def with_dialog(page: Page, folder: Path) -> None:
    """Show the token dialog with an error, and the banner of a server that does not respond."""
    page.evaluate("document.getElementById('offline').hidden = false")
    page.evaluate("document.getElementById('token-wrong').hidden = false")
    page.evaluate("document.getElementById('token').showModal()")


@pytest.mark.parametrize("state", [initial, with_photos, with_webcam, with_dialog], ids=lambda state: state.__name__)
@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_axe_finds_no_violation(
    open_page: Open, tmp_path: Path, state: Callable[[Page, Path], None], locale: str
) -> None:
    page = open_page(color_scheme="light", reduced_motion="reduce", bypass_csp=True, locale=locale)
    page.add_script_tag(path=AXE)
    state(page, tmp_path)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for size in (DESKTOP, PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert violations(page) == [], (scheme, size)


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_page_fits_narrow_screens(open_page: Open, tmp_path: Path, locale: str) -> None:
    page = open_page(locale=locale)
    with_photos(page, tmp_path)
    with_webcam(page, tmp_path)
    over = """wide => [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
      && !e.closest('.visually-hidden') && e.getBoundingClientRect().right > wide + 0.5)
      .map(e => e.outerHTML.slice(0, 80))"""
    for wide in (320, 390, 768, 1280):
        page.set_viewport_size({"width": wide, "height": 700})
        assert page.evaluate(over, wide) == [], wide
        assert page.evaluate("document.documentElement.scrollWidth") <= wide


def test_page_works_with_the_keyboard_alone(page: Page) -> None:
    def focused() -> str:
        return page.evaluate(
            """() => {
              const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
              if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) return 'no outline';
              const e = document.activeElement;
              return (e.getAttribute('aria-label') ?? e.textContent).replace(/\\s+/g, ' ').trim();
            }"""
        )

    def tab(times: int = 1) -> list[str]:
        return [page.keyboard.press("Tab") or focused() for _ in range(times)]

    page.on("filechooser", lambda _: None)  # registered early, so that no dialog opens before Playwright listens
    assert tab(4) == ["API", "Choose photos", "Turn on webcam", "Try a sample photo"]
    page.keyboard.press("Enter")
    finished(page)
    assert tab(3) == ["Save JSON of portrait.jpg", "Save image of portrait.jpg", "Remove portrait.jpg"]
    (face,) = tab()
    assert face.startswith("Face 1happy")
    bars = page.locator("article .bars")
    assert bars.is_visible()
    page.keyboard.press("Enter")
    assert not bars.is_visible()
    page.keyboard.press("Space")
    assert bars.is_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("article.card").count() == 0
    assert focused() == "Choose photos"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")
    tab()
    page.keyboard.press("Space")
    page.locator("#webcam .face").wait_for()
    assert focused() == "Turn off webcam"
    page.keyboard.press("Space")
    page.locator("#webcam").wait_for(state="hidden")


def test_reduced_motion_stops_animations(open_page: Open, tmp_path: Path) -> None:
    page = open_page(reduced_motion="reduce")
    with_webcam(page, tmp_path)
    moving = """[...document.querySelectorAll('#webcam *')].filter(e => {
      const { animationName, transitionDuration } = getComputedStyle(e);
      return animationName !== 'none' || parseFloat(transitionDuration) > 0;
    }).length"""
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0
