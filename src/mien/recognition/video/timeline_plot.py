"""Plot of each person's probabilities over time.

matplotlib is imported when it is asked for. The figure is an object of its own: pyplot and its state are not used.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import files
from mien.errors import MienError, MissingExtra
from mien.recognition.annotation.palette import label_color
from mien.recognition.results import VideoFrame
from mien.recognition.video.people import Floats, People, Person

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 8  # those who were seen longest
WIDTH, PANEL = 9.0, 1.05  # inches
LEFT, RIGHT = 0.115, 0.972  # of the panels, in parts of the width
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between two
MAX_TICKS = 9
_INK, _FAINT, _PAPER, _NOBODY = "#1f2328", "#5a636e", "#ffffff", "#f2f4f6"
_SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
}


class TimelinePlot:
    """Gathers frames and draws them when it is closed, whatever ended it; a context manager.

    Attributes:
        persons: what was gathered.
    """

    def __init__(self, path: str | Path, labels: tuple[str, ...], title: str = "") -> None:
        """Begin.

        Args:
            path: of the image, .png.
            labels: the classes, in the order of the probabilities.
            title: what stands above it, such as the video's name.

        Raises:
            MissingExtra: matplotlib is not installed.
            MienError: another ending than .png, or a folder that cannot be made.
        """
        self.path, self._title = Path(path), title
        if self.path.suffix.lower() != ".png":
            raise MienError(f"the image of a timeline is a .png, not {self.path.name}")
        _matplotlib()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None
        self.persons = People(labels)

    def __enter__(self) -> TimelinePlot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.persons.close()
        if not self.persons.looks:
            return
        try:
            files.write(self.path, [png(draw(self.persons, self._title))])
        except OSError as exc:
            raise MienError(f"cannot write {self.path}: {exc.strerror or exc}") from None

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times do not fall."""
        self.persons.write(frame)


def draw(persons: People, title: str = "") -> Figure:
    """A panel for each person, those seen longest, with one time below all; call `People.close` first."""
    from matplotlib.figure import Figure

    shown = sorted(sorted(persons, key=lambda one: -one.seen)[:MAX_PANELS], key=lambda one: one.number)
    total_K = np.sum([one.sum_K for one in shown], 0) if shown else np.zeros(len(persons.labels))
    order = [int(k) for k in np.argsort(-total_K, kind="stable")]  # what is told most lies at the bottom
    panels = max(1, len(shown))
    high = 1.11 + PANEL * panels
    with _matplotlib().rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, high))
        below, above = 0.36 / high, 1 - 0.75 / high
        grid = figure.subplots(
            panels, 1, sharex=True, squeeze=False,
            gridspec_kw={"left": LEFT, "right": RIGHT, "bottom": below, "top": above, "hspace": 0.22},
        )  # fmt: skip
        for axes, one in zip(grid[:, 0], shown, strict=False):
            _panel(axes, persons, one, order)
        if not shown:
            grid[0, 0].text(0.5, 0.5, "no face was seen", transform=grid[0, 0].transAxes, ha="center", va="center")
        for axes in grid[:, 0]:
            _frame(axes, persons.seconds)
        _time_below(grid[-1, 0], persons.seconds)
        _heading(figure, persons, shown, order, title)
    return figure


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG at twice the resolution of a common screen."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=_PAPER, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, persons: People, one: Person, order: list[int]) -> None:
    """Stacked probabilities, blank where the person was not seen."""
    middle_T, mean_TK = persons.mean_over_time(one)
    wide = persons.bin_seconds
    breaks = np.flatnonzero(np.diff(middle_T) > 1.5 * wide) + 1
    for times, means in zip(np.split(middle_T, breaks), np.split(mean_TK, breaks), strict=True):
        times, means = _closed(times, means, wide)
        colors = [_color(persons.labels[k], persons) for k in order]
        axes.stackplot(times, *(means[:, k] for k in order), colors=colors, linewidth=0.3, edgecolor=_PAPER)
    axes.text(
        -0.012, 0.60, f"Person {one.number}", transform=axes.transAxes, ha="right", va="center", fontweight="bold"
    )
    axes.text(
        -0.012, 0.36, f"{_seconds(one.seen)} seen", transform=axes.transAxes, ha="right", va="center",
        fontsize=7.5, color=_FAINT,
    )  # fmt: skip


def _closed(times: Floats, means: Floats, wide: float) -> tuple[Floats, Floats]:
    """A stretch reaches from the beginning of its first bin to the end of its last."""
    times = np.concatenate([[times[0] - wide / 2], times, [times[-1] + wide / 2]])
    return times, np.concatenate([means[:1], means, means[-1:]])


def _frame(axes: Axes, seconds: float) -> None:
    axes.set_facecolor(_NOBODY)
    axes.set_xlim(0, max(seconds, 0.1))
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(length=0, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _time_below(axes: Axes, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = next((s for s in TICKS if seconds / s <= MAX_TICKS), TICKS[-1] * (1 + seconds // (TICKS[-1] * MAX_TICKS)))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(at, seconds)))
    axes.tick_params(axis="x", length=3, color=_FAINT, labelbottom=True, labelsize=8, pad=3)


def _heading(figure: Figure, persons: People, shown: list[Person], order: list[int], title: str) -> None:
    from matplotlib.patches import Patch

    high = float(figure.get_figheight())
    figure.text(LEFT, 1 - 0.27 / high, title or "Expressions over time", fontsize=11, fontweight="bold", va="center")
    more = persons.met - len(shown)
    told = f"probability of each expression, {_seconds(persons.seconds)}" + (
        f"; {more:,} more seen for a shorter time" if more else ""
    )
    figure.text(RIGHT, 1 - 0.27 / high, told, fontsize=8, color=_FAINT, va="center", ha="right")
    if shown:
        names = [persons.labels[k] for k in order]
        handles: list[Any] = [Patch(color=_color(name, persons)) for name in names]
        figure.legend(
            handles, names, loc="center left", bbox_to_anchor=(LEFT, 1 - 0.54 / high), ncols=len(names),
            frameon=False, fontsize=8.5, handlelength=1.0, handleheight=1.0, columnspacing=1.5, handletextpad=0.5,
            borderaxespad=0, borderpad=0,
        )  # fmt: skip


def _color(label: str, persons: People) -> str:
    return "#{:02x}{:02x}{:02x}".format(*label_color(label, persons.labels))


def _seconds(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def _clock(at: float, seconds: float) -> str:
    if seconds <= 30:
        return f"{at:g} s"
    whole = round(at)
    if seconds >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("plot", "drawing a timeline") from None
    return matplotlib
