"""Summary of a video for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mien.recognition.annotation.palette import label_color
from mien.recognition.results import percentage
from mien.recognition.video.people import People, Person

MAX_ROWS = 20  # persons in the table, those seen longest
_MAX_NAMED = 3  # expressions that are named for each person
_MIN_NAMED = 0.05  # least mean probability of a named expression, except the first
_BAR_CELLS = 24  # width of the bar
_FAINT = "bright_black"


def people_table(people: People) -> Table:
    """Return a row for each person: time seen, first and last time, a bar of the mean probabilities, the likeliest."""
    shown = sorted(sorted(people, key=lambda p: -p.seconds)[:MAX_ROWS], key=lambda p: p.number)
    more = people.person_count - len(shown)
    table = Table(box=None, pad_edge=False, caption=f"and {more:,} more, seen for a shorter time" if more else None)
    table.add_column("person", justify="right")
    table.add_column("seen", justify="right")
    table.add_column("from", justify="right")
    table.add_column("to", justify="right")
    table.add_column("mean probabilities")
    table.add_column("")
    for person in shown:
        table.add_row(
            Text(str(person.number), style="bold"), f"{person.seconds:.1f} s", clock(person.first), clock(person.last),
            _bar(people, person), _likeliest(people, person),
        )  # fmt: skip
    return table


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, with hours where needed.

    Example:
        >>> clock(62.34), clock(3661)
        ('1:02.3', '1:01:01.0')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes}"
    return f"{hours}:{rest // 10:02}.{rest % 10}"


def _likeliest(people: People, person: Person) -> Text:
    """Return the expressions with the highest mean probabilities as text."""
    ranked = sorted(zip(person.mean_K.tolist(), people.labels, strict=True), key=lambda pair: -pair[0])
    texts = [f"{name} {percentage(p)}" for i, (p, name) in enumerate(ranked[:_MAX_NAMED]) if i == 0 or p >= _MIN_NAMED]
    text = Text(texts[0], style="bold")
    if texts[1:]:
        text.append(", " + ", ".join(texts[1:]), style=f"not bold {_FAINT}")
    return text


def _bar(people: People, person: Person) -> Text:
    """Return a bar divided in the ratio of the mean probabilities, the highest first."""
    bar = Text()
    end, cells_before = 0.0, 0
    for k in sorted(range(len(people.labels)), key=lambda k: -person.mean_K[k]):
        end += float(person.mean_K[k])
        cells = round(end * _BAR_CELLS)
        red, green, blue = label_color(people.labels[k], people.labels)
        bar.append("█" * (cells - cells_before), style=f"rgb({red},{green},{blue})")
        cells_before = cells
    return bar
