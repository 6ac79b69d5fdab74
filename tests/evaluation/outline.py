"""What a page is made of, for the tests of every page."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "source", "wbr"}


class Outline(HTMLParser):
    """What a page is made of; a tag that is not closed, or closed twice, is an error."""

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
        """All text, with plain blanks."""
        return "".join(self.text).replace("\xa0", " ")

    def refers_to_nothing_outside(self) -> None:
        """Fails where it does, or could run something."""
        for tag, attributes in self.tags:
            assert tag not in {"script", "link", "iframe", "object", "a"}
            for name in ("src", "srcset", "href", "data"):
                assert (attributes.get(name) or "data:image/").startswith("data:image/")
