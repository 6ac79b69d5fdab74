"""Results as a table for the terminal."""

from __future__ import annotations

import io
import sys

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mien.recognition.output.base import Writer, register_format
from mien.recognition.results import UNCERTAIN, Analysis, Face, escape_surrogates, percentage

_WIDE, _NARROW = 28, 10  # width of a bar in cells
_EIGHTHS = " ▏▎▍▌▋▊▉"
_COLUMNS = 100  # width of a table in a file
_FAINT = "bright_black"


@register_format("table")
class TableWriter(Writer):
    """A bar per class under each face; with `brief`, a line per face."""

    def _open(self) -> None:
        if self.out is None:
            self.console = Console(file=sys.stdout, highlight=False)
        else:
            super()._open()

    def _write_image(self, analysis: Analysis) -> None:
        content = _lines(analysis) if self.brief else _bars(analysis, gap=self._images > 0)
        if self.console is not None:
            self.console.print(content, soft_wrap=self.brief)
            return
        text = io.StringIO()
        Console(file=text, width=_COLUMNS, highlight=False, color_system=None).print(content, soft_wrap=self.brief)
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
        position = (
            f"{box.width:.0f} x {box.height:.0f} at ({box.left:.0f}, {box.top:.0f}), detector score {face.score:.2f}"
        )
        title = (
            Text("  ").append(f"{number}  ", style=_FAINT).append(_label(face)).append(f"  {position}", style=_FAINT)
        )
        grid = Table.grid(padding=(0, 1))
        for label, prob in zip(face.labels, face.probabilities, strict=True):
            style = "bold" if prob == face.confidence else ""
            bar = _bar(prob, _WIDE, _rgb(label, face))
            grid.add_row("    ", Text(label, style), bar, Text(percentage(prob, digits=1).rjust(7), style))
        parts += [title, grid]
    return Group(*parts)


def _lines(analysis: Analysis) -> Text:
    """Return a line per face: the most probable class with a bar, and the next two."""
    name = _name(analysis)
    if analysis.error:
        return Text(f"{name}  ").append(_error(analysis), style="red")
    if not analysis.faces:
        return Text(f"{name}  ").append("no face", style=_FAINT)
    lines = Text()
    for number, face in enumerate(analysis.faces, 1):
        ranked = sorted(zip(face.probabilities, face.labels, strict=True), key=lambda pair: -pair[0])
        position = f"{number}/{len(analysis.faces)}  "
        next_two = ", ".join(f"{label} {percentage(p)}" for p, label in ranked[1:3])
        lines.append(f"{name}  ").append(position, style=_FAINT)
        lines.append_text(_bar(face.confidence, _NARROW, _rgb(ranked[0][1], face))).append(" ")
        lines.append_text(_label(face)).append(f"  {next_two}\n", style=_FAINT)
    lines.rstrip()
    return lines


def _label(face: Face) -> Text:
    text = face.label if face.label != UNCERTAIN else f"{UNCERTAIN}, perhaps {_most_probable(face)}"
    return Text(f"{text} {percentage(face.confidence)}", style="bold")


def _most_probable(face: Face) -> str:
    return face.labels[face.probabilities.index(face.confidence)]


def _bar(prob: float, cells: int, style: str) -> Text:
    """Return a bar of eighths of a cell, padded to `cells`."""
    eighths = round(prob * cells * 8)
    full, part = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[part] if part else "")
    return Text(bar, style=style).append(" " * (cells - len(bar)))


def _rgb(label: str, face: Face) -> str:
    from mien.recognition.annotation.palette import label_color  # only tables need colors

    red, green, blue = label_color(label, face.labels)
    return f"rgb({red},{green},{blue})"


def _error(analysis: Analysis) -> str:
    """Return the error without the name of the image, which is printed before it."""
    return escape_surrogates(analysis.error.removeprefix(f"{analysis.source}: "))


def _name(analysis: Analysis) -> str:
    return escape_surrogates(analysis.source) or "image"
