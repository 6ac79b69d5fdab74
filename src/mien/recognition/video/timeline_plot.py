"""Plot of each person's probabilities over time.

matplotlib is imported when a plot is made. pyplot and its global state are not used.
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

MAX_PANELS = 8  # persons with a panel, those seen longest
WIDTH, PANEL_HEIGHT = 9.0, 1.05  # inches
LEFT, RIGHT = 0.115, 0.972  # edges of the panels, as fractions of the width
TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between ticks
MAX_TICKS = 9
_INK, _FAINT, _PAPER, _ABSENT = "#1f2328", "#5a636e", "#ffffff", "#f2f4f6"
_SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
}


class TimelinePlot:
    """Collects the results of a video and plots them when it is closed, even after an error; a context manager.

    Attributes:
        people: Statistics of each person so far.
    """

    def __init__(self, path: str | Path, labels: tuple[str, ...], title: str = "") -> None:
        """Check that the plot can be written.

        Args:
            path: Path of the image, .png.
            labels: Classes, in the order of the probabilities.
            title: Title of the plot, such as the name of the video.

        Raises:
            MissingExtra: matplotlib is not installed.
            MienError: The suffix is not .png, or the folder cannot be created.
        """
        self.path, self._title = Path(path), title
        if self.path.suffix.lower() != ".png":
            raise MienError(f"{self.path.name}: unsupported timeline suffix; use .png")
        _matplotlib()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MienError(f"cannot write {self.path}: {error.strerror or error}") from None
        self.people = People(labels)

    def __enter__(self) -> TimelinePlot:
        """Return the plot itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write the plot of the frames so far; without frames there is no file."""
        self.people.close()
        if not self.people.frame_count:
            return
        try:
            files.write(self.path, [png(draw(self.people, self._title))])
        except OSError as exc:
            raise MienError(f"cannot write {self.path}: {exc.strerror or exc}") from None

    def write(self, frame: VideoFrame) -> None:
        """Add a frame; times must not decrease."""
        self.people.write(frame)


def draw(people: People, title: str = "") -> Figure:
    """Return a figure with a panel for each person, those seen longest, above one time axis.

    Args:
        people: Statistics of the persons, after `People.close`.
        title: Title of the plot.
    """
    from matplotlib.figure import Figure

    shown = sorted(sorted(people, key=lambda p: -p.seconds)[:MAX_PANELS], key=lambda p: p.number)
    total_K = np.sum([person.sum_K for person in shown], 0) if shown else np.zeros(len(people.labels))
    order = [int(k) for k in np.argsort(-total_K, kind="stable")]  # the likeliest class at the bottom
    panels = max(1, len(shown))
    height = 1.11 + PANEL_HEIGHT * panels
    with _matplotlib().rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, height))
        bottom, top = 0.36 / height, 1 - 0.75 / height
        grid = figure.subplots(
            panels, 1, sharex=True, squeeze=False,
            gridspec_kw={"left": LEFT, "right": RIGHT, "bottom": bottom, "top": top, "hspace": 0.22},
        )  # fmt: skip
        for axes, person in zip(grid[:, 0], shown, strict=False):
            _draw_panel(axes, people, person, order)
        if not shown:
            grid[0, 0].text(0.5, 0.5, "no faces", transform=grid[0, 0].transAxes, ha="center", va="center")
        for axes in grid[:, 0]:
            _style_axes(axes, people.seconds)
        _draw_time_axis(grid[-1, 0], people.seconds)
        _draw_heading(figure, people, shown, order, title)
    return figure


def png(figure: Figure, dpi: int = 200) -> bytes:
    """Return a figure as PNG, by default at twice the resolution of a common screen."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=_PAPER, metadata={"Software": None})
    return buffer.getvalue()


def _draw_panel(axes: Axes, people: People, person: Person, order: list[int]) -> None:
    """Draw stacked probabilities, blank where the person was not seen."""
    center_T, mean_TK = people.mean_over_time(person)
    gaps = np.flatnonzero(np.diff(center_T) > 1.5 * people.bin_seconds) + 1
    colors = [_color(people.labels[k], people) for k in order]
    for times_T, probs_TK in zip(np.split(center_T, gaps), np.split(mean_TK, gaps), strict=True):
        times_T, probs_TK = _extend_to_bin_edges(times_T, probs_TK, people.bin_seconds)
        axes.stackplot(times_T, *(probs_TK[:, k] for k in order), colors=colors, linewidth=0.3, edgecolor=_PAPER)
    axes.text(
        -0.012, 0.60, f"Person {person.number}", transform=axes.transAxes, ha="right", va="center", fontweight="bold"
    )
    axes.text(
        -0.012, 0.36, f"{_seconds(person.seconds)} seen", transform=axes.transAxes, ha="right", va="center",
        fontsize=7.5, color=_FAINT,
    )  # fmt: skip


def _extend_to_bin_edges(times_T: Floats, probs_TK: Floats, bin_seconds: float) -> tuple[Floats, Floats]:
    """Extend an interval from the centers of its first and last bin to their edges."""
    times_T = np.concatenate([[times_T[0] - bin_seconds / 2], times_T, [times_T[-1] + bin_seconds / 2]])
    return times_T, np.concatenate([probs_TK[:1], probs_TK, probs_TK[-1:]])


def _style_axes(axes: Axes, seconds: float) -> None:
    axes.set_facecolor(_ABSENT)
    axes.set_xlim(0, max(seconds, 0.1))
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(length=0, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_time_axis(axes: Axes, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    longest = TICK_STEPS[-1]
    step = next((s for s in TICK_STEPS if seconds / s <= MAX_TICKS), longest * (1 + seconds // (longest * MAX_TICKS)))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: _clock(time, seconds)))
    axes.tick_params(axis="x", length=3, color=_FAINT, labelbottom=True, labelsize=8, pad=3)


def _draw_heading(figure: Figure, people: People, shown: list[Person], order: list[int], title: str) -> None:
    from matplotlib.patches import Patch

    height = float(figure.get_figheight())
    figure.text(LEFT, 1 - 0.27 / height, title or "Expressions over time", fontsize=11, fontweight="bold", va="center")
    more = people.person_count - len(shown)
    subtitle = f"probability of each expression, {_seconds(people.seconds)}" + (
        f"; {more:,} more seen for a shorter time" if more else ""
    )
    figure.text(RIGHT, 1 - 0.27 / height, subtitle, fontsize=8, color=_FAINT, va="center", ha="right")
    if shown:
        names = [people.labels[k] for k in order]
        handles: list[Any] = [Patch(color=_color(name, people)) for name in names]
        figure.legend(
            handles, names, loc="center left", bbox_to_anchor=(LEFT, 1 - 0.54 / height), ncols=len(names),
            frameon=False, fontsize=8.5, handlelength=1.0, handleheight=1.0, columnspacing=1.5, handletextpad=0.5,
            borderaxespad=0, borderpad=0,
        )  # fmt: skip


def _color(label: str, people: People) -> str:
    return "#{:02x}{:02x}{:02x}".format(*label_color(label, people.labels))


def _seconds(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def _clock(time: float, seconds: float) -> str:
    """Return a time as text for an axis of so many seconds."""
    if seconds <= 30:
        return f"{time:g} s"
    whole = round(time)
    if seconds >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("plot", "drawing a timeline") from None
    return matplotlib
