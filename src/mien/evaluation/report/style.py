"""Style of all plots, light and dark, and their files.

matplotlib is imported when the first plot is drawn. pyplot and its global state are not used.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import MienError, MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.2  # inches; on a phone, 380 pixels wide, 9-point text is then about 9 pixels high


@dataclass(frozen=True)
class Theme:
    """Colors of a plot.

    The colors of `arms` can be distinguished with all common forms of color blindness: those of Okabe and Ito (2008),
    jfly.uni-koeln.de/color, lightened for the dark theme.
    """

    name: str
    ink: str
    faint: str
    grid: str
    paper: str
    deep: str  # highest value of a confusion matrix
    arms: tuple[str, ...]


LIGHT = Theme(
    "light", "#1f2328", "#5a636e", "#dde1e6", "#ffffff", "#08519c",
    ("#0072b2", "#d55e00", "#009e73", "#b5589a", "#8a6d00"),
)  # fmt: skip
DARK = Theme(
    "dark", "#e6e9ec", "#9aa4af", "#343a41", "#15181c", "#7cc4f5",
    ("#56b4e9", "#f08a4b", "#35c79f", "#e39bc8", "#e3c14f"),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1)))


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Apply a theme to all plots that are drawn in this context."""
    with _matplotlib().rc_context(_settings(theme)):
        yield


def new_figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of `WIDTH` by `height` inches and its axes, row by row; call it within `styled`."""
    _matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(grid.ravel())


def blank_figure(height: float) -> Figure:
    """Return a figure of `WIDTH` by `height` inches without axes; call it within `styled`."""
    _matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height))


def arm_style(number: int, theme: Theme) -> dict[str, Any]:
    """Return color, marker and line style of an arm by its number, as arguments of `Axes.plot`."""
    i = number % len(MARKERS)
    return {"color": theme.arms[i], "marker": MARKERS[i], "linestyle": DASHES[i]}


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend below the plot: names in one row if they fit, else in one column."""
    texts = [short(name) for name in names]
    fit = sum(len(t) + 7 for t in texts) <= 68
    figure.legend(handles, texts, loc="outside lower left", ncols=len(texts) if fit else 1, frameon=False)


def short(name: str, longest: int = 38) -> str:
    """Shorten a name to fit a plot; a leading `_` gets a space, since matplotlib hides legend entries such as `_a`."""
    shortened = name if len(name) <= longest else name[: longest - 1] + "…"
    return f" {shortened}" if shortened.startswith("_") else shortened


def save_png(figure: Figure, path: Path, theme: Theme = LIGHT) -> None:
    """Write a figure as PNG at 200 dpi.

    Raises:
        MienError: If the file cannot be written.
    """
    try:
        path.write_bytes(png(figure, theme))
    except OSError as error:
        raise MienError(f"cannot write the plot {path}: {error.strerror}") from None


def png(figure: Figure, theme: Theme = LIGHT, *, dpi: int = 200) -> bytes:
    """Return a figure as PNG on the background of the theme."""
    buffer = io.BytesIO()
    with styled(theme):
        figure.savefig(buffer, format="png", dpi=dpi, facecolor=theme.paper, metadata={"Software": None})
    return buffer.getvalue()


def svg_uri(figure: Figure, theme: Theme = LIGHT) -> str:
    """Return a figure as `data:` address of an SVG without background; equal figures give equal text."""
    buffer = io.BytesIO()
    with styled(theme):
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(figure: Figure, theme: Theme = LIGHT) -> str:
    """Return a figure as `data:` address of a PNG, for plots that consist of images."""
    return "data:image/png;base64," + base64.b64encode(png(figure, theme)).decode()


def require_report_libraries() -> None:
    """Check that plots and pages can be made, before long work starts.

    Raises:
        MissingExtra: If matplotlib or jinja2 is not installed.
    """
    _matplotlib()
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtra("report", "writing HTML reports") from None


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("report", "drawing plots and reports") from None
    return matplotlib


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 9,
        "text.color": theme.ink,
        "text.parse_math": False,  # names may contain `$`
        "axes.titlecolor": theme.ink,
        "axes.labelcolor": theme.faint,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": "none",
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.faint,
        "ytick.labelcolor": theme.faint,
        "figure.facecolor": theme.paper,
        "lines.solid_capstyle": "round",
        "svg.fonttype": "path",
        "svg.hashsalt": "mien",
    }
