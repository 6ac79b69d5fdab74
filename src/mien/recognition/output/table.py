"""Results as a table for the terminal."""

from __future__ import annotations

import io
import sys

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mien.recognition.annotation.palette import label_color
from mien.recognition.output.base import Writer, format_of
from mien.recognition.results import UNCERTAIN, Analysis, Face, escape_surrogates

_WIDE, _NARROW = 28, 10  # cells of a bar
_EIGHTHS = " ▏▎▍▌▋▊▉"
_COLUMNS = 100  # of a table in a file
_FAINT = "bright_black"


@format_of("table", ".txt")
class TableWriter(Writer):
    """A bar for each class under each face; with `brief`, a line for each face."""

    def _open(self) -> None:
        if self.out is None:
            self.console = Console(file=sys.stdout, highlight=False)
        else:
            super()._open()

    def _image(self, analysis: Analysis) -> None:
        told = _lines(analysis) if self.brief else _bars(analysis, gap=self._images > 0)
        if self.console is not None:
            self.console.print(told, soft_wrap=self.brief)
            return
        text = io.StringIO()
        Console(file=text, width=_COLUMNS, highlight=False, color_system=None).print(told, soft_wrap=self.brief)
        self._put("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))

    def _close(self) -> None:
        if self.out is not None:
            super()._close()


def _bars(analysis: Analysis, *, gap: bool) -> Group:
    parts: list[Text | Table] = [Text()] if gap else []
    name = Text(_name(analysis), style="bold")
    if analysis.error:
        return Group(*parts, name, Text(f"  {_error(analysis)}", style="red"))
    count = {0: "no face", 1: "1 face"}.get(len(analysis.faces), f"{len(analysis.faces)} faces")
    parts.append(name.append(f"  {analysis.width} x {analysis.height}, {count}", style=f"not bold {_FAINT}"))
    for number, face in enumerate(analysis.faces, 1):
        box = face.box
        where = f"{box.width:.0f} x {box.height:.0f} at ({box.left:.0f}, {box.top:.0f}), face {100 * face.score:.0f} %"
        title = Text("  ").append(f"{number}  ", style=_FAINT).append(_label(face)).append(f"  {where}", style=_FAINT)
        grid = Table.grid(padding=(0, 1))
        for name_of_class, likely in zip(face.labels, face.probabilities, strict=True):
            style = "bold" if likely == face.confidence else ""
            bar = _bar(likely, _WIDE, _rgb(name_of_class, face))
            grid.add_row("    ", Text(name_of_class, style), bar, Text(f"{100 * likely:5.1f} %", style))
        parts += [title, grid]
    return Group(*parts)


def _lines(analysis: Analysis) -> Text:
    """The likeliest class with a bar, and the two next."""
    name = _name(analysis)
    if analysis.error:
        return Text(f"{name}  ").append(_error(analysis), style="red")
    if not analysis.faces:
        return Text(f"{name}  ").append("no face", style=_FAINT)
    told = Text()
    for number, face in enumerate(analysis.faces, 1):
        likely = sorted(zip(face.probabilities, face.labels, strict=True), key=lambda one: -one[0])
        which = f"{number}/{len(analysis.faces)}  "
        next_two = ", ".join(f"{name_of_class} {100 * p:.0f} %" for p, name_of_class in likely[1:3])
        told.append(f"{name}  ").append(which, style=_FAINT)
        told.append_text(_bar(face.confidence, _NARROW, _rgb(likely[0][1], face))).append(" ")
        told.append_text(_label(face)).append(f"  {next_two}\n", style=_FAINT)
    told.rstrip()
    return told


def _label(face: Face) -> Text:
    text = face.label if face.label != UNCERTAIN else f"{UNCERTAIN}, perhaps {_likeliest(face)}"
    return Text(f"{text} {100 * face.confidence:.0f} %", style="bold")


def _likeliest(face: Face) -> str:
    return face.labels[face.probabilities.index(face.confidence)]


def _bar(likely: float, cells: int, style: str) -> Text:
    """A bar of eighths of a cell, on a track."""
    eighths = round(likely * cells * 8)
    full, part = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[part] if part else "")
    return Text(bar, style=style).append(" " * (cells - len(bar)))


def _rgb(label: str, face: Face) -> str:
    red, green, blue = label_color(label, face.labels)
    return f"rgb({red},{green},{blue})"


def _error(analysis: Analysis) -> str:
    """What is wrong, without the name that stands before it already."""
    return escape_surrogates(analysis.error.removeprefix(f"{analysis.source}: "))


def _name(analysis: Analysis) -> str:
    return escape_surrogates(analysis.source) or "image"
