"""The page for everyone: axe-core's rules in every state, light and dark; the keyboard alone; narrow screens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python
import pytest

import browser
from browser import DESKTOP, PHONE, Open, answered, show

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


def breaches(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds, its best practices included."""
    found = page.evaluate("axe.run()")
    assert found["passes"], "axe ran"
    return [
        {
            "rule": rule["id"],
            "at": [node["html"] for node in rule["nodes"]],
            "error": rule["nodes"][0]["failureSummary"],
        }
        for rule in found["violations"]
    ]


def started(page: Page, folder: Path) -> None:
    """As it opens."""


def with_photos(page: Page, folder: Path) -> None:
    """A face, no face, and a file that is no image; the pointer rests on a face."""
    portrait = browser.portrait()
    (folder / "letter.txt").write_text("Dear reader")
    files = browser.jpeg(folder / "face.png", portrait), browser.jpeg(folder / "wall.png", portrait[:50, 300:])
    cards = show(page, *files, folder / "letter.txt")
    cards.nth(0).locator(".face").hover()


def with_webcam(page: Page, folder: Path) -> None:
    """The webcam on, and someone before it."""
    page.get_by_role("button", name="Switch the webcam on").click()
    page.locator("#webcam .face").wait_for()


def asking(page: Page, folder: Path) -> None:
    """The token asked for a second time, and the server away."""
    page.evaluate("document.getElementById('gone').hidden = false")
    page.evaluate("document.getElementById('token-wrong').hidden = false")
    page.evaluate("document.getElementById('token').showModal()")


@pytest.mark.parametrize("state", [started, with_photos, with_webcam, asking], ids=lambda state: state.__name__)
def test_axe_finds_nothing(open_page: Open, tmp_path: Path, state: Callable[[Page, Path], None]) -> None:
    page = open_page(color_scheme="light", reduced_motion="reduce", bypass_csp=True)
    page.add_script_tag(path=AXE)
    state(page, tmp_path)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for size in (DESKTOP, PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert breaches(page) == [], (scheme, size)


def test_nothing_is_cut_off_or_has_to_be_scrolled_sideways(page: Page, tmp_path: Path) -> None:
    with_photos(page, tmp_path)
    with_webcam(page, tmp_path)
    over = """wide => [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
      && !e.closest('.unseen') && e.getBoundingClientRect().right > wide + 0.5).map(e => e.outerHTML.slice(0, 80))"""
    for wide in (320, 390, 768, 1280):
        page.set_viewport_size({"width": wide, "height": 700})
        assert page.evaluate(over, wide) == [], wide
        assert page.evaluate("document.documentElement.scrollWidth") <= wide


def test_the_keyboard_does_all(page: Page) -> None:
    def focused() -> str:
        return page.evaluate(
            """() => {
              const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
              if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) return 'unseen';
              const e = document.activeElement;
              return (e.getAttribute('aria-label') ?? e.textContent).replace(/\\s+/g, ' ').trim();
            }"""
        )

    def tab(times: int = 1) -> list[str]:
        return [page.keyboard.press("Tab") or focused() for _ in range(times)]

    page.on("filechooser", lambda _: None)  # told of at once, so that none opens before Playwright looks out for it
    assert tab(4) == ["For programs", "Choose photos", "Switch the webcam on", "Try a portrait"]
    page.keyboard.press("Enter")
    answered(page)
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
    assert focused() == "Switch the webcam off"
    page.keyboard.press("Space")
    page.locator("#webcam").wait_for(state="hidden")


def test_still_for_who_wants_no_motion(open_page: Open, tmp_path: Path) -> None:
    page = open_page(reduced_motion="reduce")
    with_webcam(page, tmp_path)
    moving = """[...document.querySelectorAll('#webcam *')].filter(e => {
      const { animationName, transitionDuration } = getComputedStyle(e);
      return animationName !== 'none' || parseFloat(transitionDuration) > 0;
    }).length"""
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0
