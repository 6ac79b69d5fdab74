"""Summary of a video for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mien.recognition.annotation.palette import label_color
from mien.recognition.video.people import People, Person

MAX_ROWS = 20  # those who were seen longest
_LEADING = 3  # expressions that are named
_LEAST = 0.05  # and how likely one must be for that, but for the first
_CELLS = 24  # of the strip
_FAINT = "bright_black"


def people_table(persons: People) -> Table:
    """A row for each person: seconds seen, from when to when, the likeliest expressions, and a strip of all of them."""
    shown = sorted(sorted(persons, key=lambda one: -one.seen)[:MAX_ROWS], key=lambda one: one.number)
    more = persons.met - len(shown)
    table = Table(box=None, pad_edge=False, caption=f"and {more:,} more, seen for less time" if more else None)
    table.add_column("person", justify="right")
    table.add_column("seen", justify="right")
    table.add_column("from", justify="right")
    table.add_column("to", justify="right")
    table.add_column("on the mean")
    table.add_column("")
    for one in shown:
        table.add_row(
            Text(str(one.number), style="bold"), f"{one.seen:.1f} s", clock(one.first), clock(one.last),
            _strip(persons, one), _leading(persons, one),
        )  # fmt: skip
    return table


def clock(seconds: float) -> str:
    """As 1:02.3, or with hours as 1:01:02.3."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes}"
    return f"{hours}:{rest // 10:02}.{rest % 10}"


def _leading(persons: People, one: Person) -> Text:
    """The likeliest expressions, as text."""
    likely = sorted(zip(one.mean_K.tolist(), persons.labels, strict=True), key=lambda pair: -pair[0])
    told = [f"{name} {100 * p:.0f} %" for i, (p, name) in enumerate(likely[:_LEADING]) if i == 0 or p >= _LEAST]
    text = Text(told[0], style="bold")
    if told[1:]:
        text.append(", " + ", ".join(told[1:]), style=f"not bold {_FAINT}")
    return text


def _strip(persons: People, one: Person) -> Text:
    """One line, divided as the mean probabilities are, the likeliest first."""
    strip = Text()
    edge, before = 0.0, 0
    for k in sorted(range(len(persons.labels)), key=lambda k: -one.mean_K[k]):
        edge += float(one.mean_K[k])
        cells = round(edge * _CELLS)
        red, green, blue = label_color(persons.labels[k], persons.labels)
        strip.append("█" * (cells - before), style=f"rgb({red},{green},{blue})")
        before = cells
    return strip
