"""The page in English and German, chosen by the browser's languages or by `?lang=`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import browser
from browser import STRINGS, Open, show

pytestmark = pytest.mark.browser

TITLES = {language: texts["intro.title"] for language, texts in STRINGS.items()}


@pytest.mark.parametrize(
    ("locale", "query", "language"),
    [
        ("en-US", "", "en"),
        ("de-DE", "", "de"),
        ("de-AT", "", "de"),
        ("fr-FR", "", "en"),
        ("en-US", "?lang=de", "de"),
        ("de-DE", "?lang=en", "en"),
        ("de-DE", "?lang=xx", "de"),
    ],
)
def test_language_follows_query_and_browser(
    open_page: Open, service: browser.Service, locale: str, query: str, language: str
) -> None:
    page = open_page(service.url + query, locale=locale)
    assert page.locator("h1").inner_text() == TITLES[language]
    assert page.locator("html").get_attribute("lang") == language
    assert page.title() == STRINGS[language]["page.title"]


@pytest.mark.parametrize(("locale", "language"), [("en-US", "en"), ("de-DE", "de")])
def test_page_has_no_text_of_the_other_language(open_page: Open, tmp_path: Path, locale: str, language: str) -> None:
    page = open_page(locale=locale)
    other = STRINGS["de" if language == "en" else "en"]
    (tmp_path / "letter.txt").write_text("Dear reader")
    wall = np.full((100, 100, 3), 90, np.uint8)
    portrait = browser.portrait()
    files = [
        browser.jpeg(tmp_path / "one.jpg", portrait),
        browser.jpeg(tmp_path / "four.jpg", np.hstack([portrait] * 4)),
        browser.jpeg(tmp_path / "wall.jpg", wall),
        tmp_path / "letter.txt",
    ]
    show(page, *files)
    page.locator("#webcam-switch").click()
    page.locator("#webcam .face").wait_for()
    page.locator("#timeline[aria-label*='1']").wait_for()
    labels: Any = page.evaluate("[...document.querySelectorAll('[aria-label]')].map(e => e.getAttribute('aria-label'))")
    text = "\n".join([page.locator("body").inner_text(), *labels])
    assert "undefined" not in text
    assert "{" not in text
    shared = set(STRINGS[language].values())
    for key, value in other.items():
        if value not in shared and "{" not in value and len(value) > 3:
            assert not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text), key


def test_german_page_shows_german_results(open_page: Open, portrait_file: Path, tmp_path: Path) -> None:
    page = open_page(locale="de-DE")
    card = show(page, portrait_file)
    assert card.locator(".tag").inner_text() == "fröhlich"
    assert card.locator(".summary").inner_text().startswith("Ein Gesicht: fröhlich (")
    assert "wütend" in card.locator(".bar .name").all_text_contents()
    assert re.fullmatch(r"Modell: \w+. Detektor: YuNet.", card.locator(".note").inner_text())
    with page.expect_download() as download:
        card.get_by_role("button", name="JSON speichern").click()
    assert '"label": "happy"' in download.value.path().read_text(), "the JSON is the same in every language"
    page.get_by_role("button", name="Entfernen: astronaut.png").click()
    (tmp_path / "letter.txt").write_text("Dear reader")
    card = show(page, tmp_path / "letter.txt")
    assert card.locator(".message").inner_text() == STRINGS["de"]["image.format"]
    assert card.locator(".hint").inner_text() == STRINGS["de"]["image.format_hint"]


@pytest.mark.parametrize("code", ["too_large", "internal"])
def test_errors_of_the_service_are_translated(open_page: Open, portrait_file: Path, code: str) -> None:
    page = open_page(locale="de-DE")
    error = {"error": {"code": code, "message": "an English message", "hint": "an English hint"}}
    page.route("**/v1/analyze", lambda route: route.fulfill(status=500, json=error))
    card = show(page, portrait_file)
    assert card.locator(".message").inner_text() == STRINGS["de"][f"server.{code}"]
    assert card.locator(".hint").inner_text() == STRINGS["de"][f"server.{code}_hint"]
