"""Style of all plots, light and dark, and their files.

matplotlib is imported when it is asked for. Figures are objects of their own: pyplot and its global state are not used.
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

WIDTH = 5.2  # inches; at a phone's 380 pixels a 9-point letter is then still about 9 pixels high


@dataclass(frozen=True)
class Theme:
    """Colors of a plot; `arms` are told apart in all common forms of color blindness.

    Source of the hues: Okabe and Ito (2008), jfly.uni-koeln.de/color; lightened for the dark page.
    """

    name: str
    ink: str
    faint: str
    grid: str
    paper: str
    deep: str  # where a confusion matrix is darkest (light theme) or brightest (dark theme)
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
    """Within it, what matplotlib makes has the theme's look; outside nothing has changed."""
    with _matplotlib().rc_context(_settings(theme)):
        yield


def new_figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure `WIDTH` by `height` inches and its axes row by row; call it within `styled`."""
    _matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(grid.ravel())


def blank_figure(height: float) -> Figure:
    """A figure `WIDTH` by `height` inches without axes; call it within `styled`."""
    _matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height))


def arm_style(number: int, theme: Theme) -> dict[str, Any]:
    """Color, marker and dash of the arm with this number, for `Axes.plot`."""
    i = number % len(MARKERS)
    return {"color": theme.arms[i], "marker": MARKERS[i], "linestyle": DASHES[i]}


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Names below the plot, side by side while they fit, else one below the other."""
    texts = [short(name) for name in names]
    fit = sum(len(t) + 7 for t in texts) <= 68
    figure.legend(handles, texts, loc="outside lower left", ncols=len(texts) if fit else 1, frameon=False)


def short(name: str, longest: int = 38) -> str:
    """A name that fits a plot and that matplotlib takes as it stands (it would hide a legend entry such as `_a`)."""
    cut = name if len(name) <= longest else name[: longest - 1] + "…"
    return f" {cut}" if cut.startswith("_") else cut


def save_png(figure: Figure, path: Path, theme: Theme = LIGHT) -> None:
    """Write the figure at twice the resolution of a common screen; `MienError` where that cannot be written."""
    try:
        path.write_bytes(png(figure, theme))
    except OSError as error:
        raise MienError(f"cannot write the plot {path}: {error.strerror}") from None


def png(figure: Figure, theme: Theme = LIGHT, *, dpi: int = 200) -> bytes:
    """The figure as PNG on the theme's paper."""
    buffer = io.BytesIO()
    with styled(theme):
        figure.savefig(buffer, format="png", dpi=dpi, facecolor=theme.paper, metadata={"Software": None})
    return buffer.getvalue()


def svg_uri(figure: Figure, theme: Theme = LIGHT) -> str:
    """The figure as a `data:` address of an SVG without background; the same figure gives the same text."""
    buffer = io.BytesIO()
    with styled(theme):
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(figure: Figure, theme: Theme = LIGHT) -> str:
    """The figure as a `data:` address of a PNG, for plots that are made of images."""
    return "data:image/png;base64," + base64.b64encode(png(figure, theme)).decode()


def require_report_libraries() -> None:
    """`MissingExtra` where plots and pages cannot be drawn; for whoever has long work to do before them."""
    _matplotlib()


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("plot", "drawing plots and reports") from None
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
        "text.parse_math": False,  # a `$` in a name is a dollar sign
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
