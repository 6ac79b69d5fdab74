"""HTML elements with escaped text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from mien.evaluation.report.style import DARK, LIGHT, Theme, png_uri, svg_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Markup(str):
    """Text that is HTML already; whatever else is handed to this module is escaped."""

    __slots__ = ()


def text(content: object) -> Markup:
    """`content` as HTML text; `Markup` stays as it is."""
    # A percent sign stays on the line of its number.
    return content if isinstance(content, Markup) else Markup(escape(str(content)).replace(" %", "\u00a0%"))


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """`<tag ...>content</tag>`; an attribute named `class_` becomes `class`."""
    inside = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(v)}"' for name, v in attributes.items())
    return Markup(f"<{tag}{inside}>{''.join(text(c) for c in content)}</{tag}>")


def section(title: str, *content: Markup, id_: str) -> Markup:
    """A section with its heading; without content there is no section."""
    if not any(content):
        return Markup("")
    heading = element("h2", title, id=f"{id_}-title")
    return element("section", heading, *content, id=id_, aria_labelledby=f"{id_}-title")


def paragraphs(*lines: object) -> Markup:
    """Each line as a paragraph of its own."""
    return Markup("".join(element("p", line) for line in lines))


def bullets(items: Iterable[object]) -> Markup:
    """An unordered list."""
    return element("ul", *(element("li", item) for item in items))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1) -> Markup:
    """A table whose first column heads its rows.

    Args:
        words: how many columns from the left hold words; the others hold numbers and are aligned right.
    """
    top = [element("th", _breakable(name), scope="col", **_kind(i, words)) for i, name in enumerate(head)]
    body = [
        element(
            "tr",
            element("th", _breakable(row[0]), scope="row"),
            *(element("td", cell, **_kind(i, words)) for i, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *top)), element("tbody", *body)
    )
    # A region that can be reached by keyboard, as it scrolls sideways on a narrow screen. What is seen of the caption
    # stands above it and does not scroll; what is heard is the table's own.
    seen = element("p", caption, class_="caption", aria_hidden="true")
    return element("div", seen, element("div", whole, class_="scroll", role="region", tabindex="0", aria_label=caption))


def image(draw: Callable[[Theme], Figure], alt: str, caption: object, *, pixels: bool = False) -> Markup:
    """A plot in light and dark, of which the browser shows the one that fits.

    Args:
        draw: makes the figure in a theme.
        alt: what the plot says, for those who do not see it.
        pixels: whether the plot is made of images; then it is put in as PNG, else as SVG.
    """
    light, dark = draw(LIGHT), draw(DARK)
    uri = png_uri if pixels else svg_uri
    width, height = (round(96 * inches) for inches in light.get_size_inches())
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{uri(dark, DARK)}">'
    img = f'<img src="{uri(light, LIGHT)}" alt="{escape(alt)}" width="{width}" height="{height}">'
    return element("figure", Markup(f"<image>{source}{img}</picture>"), element("figcaption", caption))


def side_by_side(*figures: Markup) -> Markup:
    """Figures in as many columns as the window has room for."""
    return element("div", *figures, class_="figures")


def document(title: str, *content: Markup) -> str:
    """A whole page, one file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(c for c in content if c)}\n</main>\n</body>\n</html>\n"
    )


def _breakable(content: object) -> Markup:
    """A name that may be broken after each underscore."""
    return Markup(text(content).replace("_", "_<wbr>"))


def _kind(column: int, words: int) -> dict[str, str]:
    return {"class_": "number"} if column >= words else {}


_CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #5a636e; --line: #dde1e6; --paper: #fff; --card: #f6f7f9;
  --accent: #0072b2; --warn: #9a4a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --faint: #9aa4af; --line: #343a41; --paper: #15181c;
  --card: #1d2126; --accent: #56b4e9; --warn: #f0a56b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: clamp(1rem, 4vw, 3rem) clamp(1rem, 4vw, 2.5rem) 4rem; }
header { margin-bottom: 2.5rem; }
.kicker { margin: 0 0 1rem; color: var(--faint); font-size: .9rem; }
h1, .verdict { font-weight: 640; line-height: 1.28; text-wrap: pretty; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: clamp(1.35rem, 1rem + 1.9vw, 2.05rem); letter-spacing: -.01em; max-width: 38em; }
.verdict { margin: 1.2rem 0 0; font-size: clamp(1.1rem, .9rem + 1vw, 1.4rem); max-width: 46em; }
.banner { margin: 1.4rem 0 0; padding: .7rem 1rem; border-left: .25rem solid var(--warn); background: var(--card); }
section { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
h2 { margin: 0 0 .8rem; font-size: 1.3rem; line-height: 1.3; }
p, ul { max-width: 46em; margin: .7rem 0; }
ul { padding-left: 1.2rem; }
li { margin: .35rem 0; }
code { font-size: .92em; overflow-wrap: anywhere; }
.figures { display: grid; gap: 1.6rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  align-items: start; margin: 1.2rem 0; }
figure { margin: 0; min-width: 0; max-width: 40rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { margin-top: .5rem; color: var(--faint); font-size: .88rem; line-height: 1.45; }
.scroll { position: relative; overflow-x: auto; margin: 0 0 1.2rem;
  background: linear-gradient(to right, var(--paper) 40%, transparent) 0 0 / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) 100% 0 / 3rem 100% no-repeat local,
    linear-gradient(to right, var(--line), transparent) 0 0 / .8rem 100% no-repeat scroll,
    linear-gradient(to left, var(--line), transparent) 100% 0 / .8rem 100% no-repeat scroll; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums;
  min-width: min(100%, 30rem); }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
p.caption { color: var(--faint); font-size: .88rem; line-height: 1.45; margin: 1.2rem 0 .3rem; max-width: 52em; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; font-size: .86rem; vertical-align: bottom; }
tbody th { font-weight: 560; }
td:not(.number) { overflow-wrap: break-word; min-width: 7rem; }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
th:last-child, td:last-child { padding-right: 0; }
@media print { main { max-width: none; } figure, table { break-inside: avoid; } .scroll { overflow: visible; } }
"""
