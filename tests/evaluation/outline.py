"""Parser of report pages for tests."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "source", "wbr"}


class Outline(HTMLParser):
    """Tags and text of a page; a tag that is not closed, or closed twice, is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def seen(self) -> str:
        """All text with single spaces."""
        return " ".join("".join(self.text).split())

    @property
    def alts(self) -> list[str]:
        """The texts that stand for the plots."""
        return [image["alt"] or "" for image in self.all("img")]

    def check_self_contained(self) -> None:
        """Assert that the page loads nothing, runs nothing and tells the browser to keep it so."""
        for tag, attributes in self.tags:
            assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form", "a", "svg", "video"}
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("src", "srcset", "href", "data", "action", "background", "poster"):
                assert (attributes.get(name) or "data:image/").startswith("data:image/")
        (policy,) = [m["content"] for m in self.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        style = "".join(text for text in self.text if "--paper" in text)
        assert style
        assert not re.search(r"url\(|@import|image-set|</", style)
