"""Photos on the page: input, results, errors and downloads."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import browser
from browser import STRINGS, Open, box_positions, finished, show
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS
from mien.recognition.annotation.palette import label_color
from mien.recognition.results import UNCERTAIN

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

# Dispatch a paste or drag event with files.
DISPATCH = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name, {type}));
  }
  const event = kind === 'paste' ? new ClipboardEvent(kind, {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
  document.getElementById('zone').dispatchEvent(event);
  return event.defaultPrevented;
}"""


def dispatch(page: Page, kind: str, *files: Path) -> bool:
    return page.evaluate(
        DISPATCH, [kind, [(f.name, "image/png", base64.b64encode(f.read_bytes()).decode()) for f in files]]
    )


def bars_of(face: Locator) -> dict[str, str]:
    names, figures = face.locator(".bar .name").all_text_contents(), face.locator(".bar .figure").all_text_contents()
    return dict(zip(names, figures, strict=True))


def percent(p: float) -> str:
    rounded = int(100 * p + 0.5)
    return f"{rounded}\u00a0%" if rounded < 100 else ">\u00a099\u00a0%"


def announced(page: Page) -> str:
    """Return the last announcement for screen readers."""
    return page.locator("#announcement:not(:empty)").inner_text()


def blank_png(wide: int, high: int) -> bytes:
    """Return a white PNG of one bit per pixel; 60 million pixels are a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\xff" * ((wide + 7) // 8)) * high, 1)
    header = struct.pack(">IIBBBBB", wide, high, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.smoke
def test_sample_shows_the_result_of_the_service(page: Page, service: browser.Service, portrait_file: Path) -> None:
    page.get_by_role("button", name="Try a sample photo").click()
    finished(page)
    card = page.get_by_role("article", name="portrait.jpg")
    (face,) = service.analyze(browser.sample())["faces"]
    side = 512
    box = [face["box"][key] / side for key in ("left", "top", "width", "height")]
    assert box_positions(card) == [pytest.approx(box, abs=0.01)]
    assert card.locator(".tag").inner_text() == face["label"]
    assert bars_of(card.locator(".face")) == {name: percent(p) for name, p in face["probabilities"].items()}
    assert card.locator(".bar.likeliest .name").inner_text() == face["label"]
    sentence = f"One face: {face['label']} ({percent(face['confidence'])})."
    assert card.locator(".summary").inner_text() == sentence
    assert announced(page) == f"portrait.jpg: {sentence}"


def test_photos_keep_order_and_faces_are_numbered(page: Page, tmp_path: Path) -> None:
    portrait = browser.portrait()
    one = browser.jpeg(tmp_path / "one.jpg", portrait)
    two = browser.jpeg(tmp_path / "two.jpg", np.hstack([portrait, portrait[:, ::-1]]))
    cards = show(page, one, two)
    assert cards.locator(".name:not(.bar *)").all_text_contents() == ["one.jpg", "two.jpg"]
    faces = cards.nth(1).locator(".face")
    assert faces.locator(".number").all_text_contents() == ["Face 1", "Face 2"]
    left, right = box_positions(cards.nth(1))
    assert left[0] < 0.5 < right[0]
    assert cards.nth(1).locator(".tag").all_text_contents() == ["1 happy", "2 happy"]
    assert cards.nth(1).locator(".summary").inner_text() == "2 faces, from left to right: happy and happy."
    faces.nth(1).hover()
    assert cards.nth(1).locator(".box.highlighted .tag").all_text_contents() == ["2 happy"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_unusable_face_shows_why_in_both_languages(
    open_page: Open, service: browser.Service, tmp_path: Path, language: str
) -> None:
    page = open_page(f"{service.url}?lang={language}")
    texts = STRINGS[language]
    small = cv2.resize(browser.portrait(), (64, 64), interpolation=cv2.INTER_AREA)
    cards = show(
        page,
        browser.jpeg(tmp_path / "dark.jpg", (0.12 * browser.portrait()).astype(np.uint8)),
        browser.jpeg(tmp_path / "small.jpg", np.asarray(small, np.uint8)),
    )
    least = {"size": r"1\d", "least": "20"}
    for card, reason in zip(cards.all(), (texts["reason.dark"], texts["reason.small"].format(**least)), strict=True):
        face = card.locator(".face")
        assert face.locator(".label").first.inner_text() == texts["label.uncertain"]
        assert re.fullmatch(reason, face.locator(".reason").inner_text())
        assert face.locator("summary .figure").inner_text() == ""
        assert re.search(reason, card.locator(".summary").inner_text())
    show(page, browser.sample())
    assert page.get_by_role("article", name=browser.sample().name).locator(".face .reason").is_hidden()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted_photos_are_analyzed(page: Page, kind: str, portrait_file: Path) -> None:
    assert kind == "paste" or dispatch(page, "dragover", portrait_file)
    assert "over" in (page.locator("#zone").get_attribute("class") or "") or kind == "paste"
    dispatch(page, kind, portrait_file)
    finished(page)
    assert page.get_by_role("article", name="astronaut.png").locator(".tag").inner_text() == "happy"
    assert "over" not in (page.locator("#zone").get_attribute("class") or "")


def test_boxes_follow_exif_rotation(page: Page, tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # displayed rotated by 90 degrees
    with Image.open(browser.sample()) as portrait:
        portrait.crop((0, 0, 512, 384)).rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (frame,) = box_positions(show(page, tmp_path / "turned.jpg"))
    assert frame == pytest.approx([178 / 512, 63 / 384, 90 / 512, 113 / 384], abs=0.03)


def test_photo_without_face_shows_a_hint(page: Page, tmp_path: Path) -> None:
    wall = np.full((300, 400, 3), (150, 160, 170), np.uint8)
    card = show(page, browser.jpeg(tmp_path / "wall.jpg", wall))
    assert card.locator(".summary").inner_text() == "No face found."
    assert "closer or brighter photo" in card.locator(".note").inner_text()
    assert card.locator(".box, .face").count() == 0
    assert announced(page) == "wall.jpg: No face found."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("letter.txt", b"Dear reader,\n" * 20, "not a photo"),
        ("wall.png", blank_png(10_000, 6_000), "60 megapixels; the limit is 50"),
        ("cut.jpg", browser.sample().read_bytes()[:500], "damaged"),
        ("nothing.jpg", b"", "empty"),
    ],
)
def test_unreadable_file_shows_message_and_hint(
    page: Page, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    card = show(page, tmp_path / name)
    shown = card.locator(".message").inner_text()
    assert message in shown
    hint = card.locator(".hint").inner_text()
    assert re.fullmatch(r"[A-Z].*[.?]", hint)
    assert card.get_by_role("button").all_text_contents() == ["Remove"]
    assert announced(page) == f"{name}: {shown} {hint}"


def test_unreadable_file_does_not_stop_others(page: Page, tmp_path: Path, portrait_file: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader")
    cards = show(page, tmp_path / "letter.txt", portrait_file)
    assert cards.nth(0).locator(".message").is_visible()
    assert cards.nth(1).locator(".tag").inner_text() == "happy"


def test_file_name_is_escaped(page: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    card = show(page, browser.jpeg(tmp_path / name, browser.portrait()))
    assert card.locator("h3").inner_text() == name
    assert page.locator("img[src=x]").count() == 0


def test_json_and_image_can_be_saved(page: Page, service: browser.Service, tmp_path: Path, portrait_file: Path) -> None:
    card = show(page, portrait_file)
    with page.expect_download() as download:
        card.get_by_role("button", name="Save JSON").click()
    assert download.value.suggested_filename == "astronaut-faces.json"
    assert json.loads(download.value.path().read_text()) == service.analyze(portrait_file) | {"source": "astronaut.png"}
    with page.expect_download() as download:
        card.get_by_role("button", name="Save image").click()
    assert download.value.suggested_filename == "astronaut-faces.png"
    drawn = np.asarray(cv2.imread(str(download.value.path())))
    assert drawn.shape == (512, 512, 3)
    changed = np.abs(drawn.astype(int) - browser.portrait()).max(2) > 40
    yellow = (drawn == label_color("happy", FER7.names)[::-1]).all(2)
    down, along = np.nonzero(yellow)
    sides = along[(down > 100) & (down < 160)]  # above is the label, whose width depends on the font
    assert (sides.min(), sides.max()) == pytest.approx((178, 268), abs=4)
    assert down.max() == pytest.approx(176, abs=4)
    assert not changed[200:].any(), "the rest of the image is unchanged"


def test_photos_can_be_removed(page: Page, tmp_path: Path) -> None:
    wall = np.full((100, 100, 3), 90, np.uint8)
    cards = show(page, *(browser.jpeg(tmp_path / f"{i}.png", wall) for i in range(3)))
    cards.nth(1).get_by_role("button", name="Remove 1.png").click()
    assert cards.locator("h3").all_text_contents() == ["0.png", "2.png"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "2.png"
    page.get_by_role("button", name="Remove all").click()
    assert cards.count() == 0
    assert not page.get_by_role("heading", name="Photos", exact=True).is_visible()
    assert page.evaluate("document.activeElement.id") == "choose"


def test_removed_photo_is_freed(page: Page, portrait_file: Path) -> None:
    shows = """url => new Promise(done => {
      const image = new Image();
      image.onload = () => done(true);
      image.onerror = () => done(false);
      image.src = url;
    })"""
    card = show(page, portrait_file)
    url = card.locator("img").get_attribute("src")
    assert page.evaluate(shows, url)
    card.get_by_role("button", name="Remove").click()
    assert not page.evaluate(shows, url)


@pytest.mark.parametrize("button", ["Remove removed0.png", "Remove all"])
def test_removed_photo_cancels_its_request(page: Page, tmp_path: Path, portrait_file: Path, button: str) -> None:
    files = [browser.jpeg(tmp_path / f"removed{i}.png", browser.portrait()) for i in range(2)]
    page.route("**/v1/analyze", lambda route: None)  # never responds
    with page.expect_request("**/v1/analyze"):
        page.set_input_files("#files", files)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/v1/analyze")) as failed:
        page.get_by_role("button", name=button).click()
    assert failed.value.failure == "net::ERR_ABORTED"
    if button != "Remove all":
        page.get_by_role("button", name="Remove removed1.png").click()
    page.unroute_all()
    show(page, portrait_file)
    assert announced(page).startswith("astronaut.png: ")


def test_removed_photo_is_not_retried(page: Page, portrait_file: Path) -> None:
    page.clock.install()
    busy = {"error": {"code": "busy", "message": "too many images wait", "hint": ""}}
    page.route("**/v1/analyze", lambda route: route.fulfill(status=503, headers={"Retry-After": "10"}, json=busy))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.set_input_files("#files", portrait_file)
    page.get_by_text("The server is busy.").wait_for()
    page.get_by_role("button", name="Remove astronaut.png").click()
    page.unroute_all()
    page.clock.run_for(20_000)
    show(page, portrait_file)
    assert sent.count("POST") == 2, "one before the removal, one of the next photo"


def test_colors_equal_those_of_the_package(page: Page) -> None:
    wanted: dict[str, dict[str, str]] = {}
    sets = [
        FER7.names,
        FERPLUS8.names,
        FERPLUS_COLUMNS[:8],
        ("Joy", "scared", "calm", "contemptuous"),
        ("cat", "dog", "owl"),
        tuple("abcdefghij"),
    ]
    for names in sets:
        for label in (*names, UNCERTAIN, "unheard of"):
            wanted.setdefault(" ".join(names), {})[label] = "#%02x%02x%02x" % label_color(label, names)  # noqa: UP031
    asked: dict[str, Any] = {key: list(value) for key, value in wanted.items()}
    given = page.evaluate(
        """async asked => {
          const { colorOf } = await import('/page/palette.js');
          return Object.fromEntries(Object.entries(asked).map(([names, labels]) =>
            [names, Object.fromEntries(labels.map(label => [label, colorOf(label, names.split(' '))]))]));
        }""",
        asked,
    )
    assert given == wanted
