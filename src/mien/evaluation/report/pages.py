"""HTML pages of comparisons, evaluations, benchmarks and searches, rendered from `templates/`.

Each page is one file that loads nothing from elsewhere: its style is inline and its plots are `data:` addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mien.evaluation.comparison.benchmark import Benchmark
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.comparison.search import DONE, STATES, STOPPED, Search
from mien.evaluation.comparison.verdict import TOO_FEW_SEEDS, points
from mien.evaluation.confidence import COVERAGES, OWN, TOO_FEW
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.full_report import EvaluationReport
from mien.evaluation.report import curves, plots, search_plots, text
from mien.evaluation.report.plots import Example
from mien.evaluation.report.style import DARK, LIGHT, png_uri, require_report_libraries, svg_uri
from mien.evaluation.selection import SELECTED_ON
from mien.evaluation.statistics.intervals import BOTH
from mien.evaluation.statistics.paired import RESAMPLES
from mien.model_card import MAJORITY_VOTE, OFFICIAL

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure


def comparison_page(comparison: Comparison, *, examples: Sequence[Example] = (), notes: Sequence[str] = ()) -> str:
    """Return the page of a comparison.

    Args:
        comparison: Compared arms.
        examples: Operations with a face and its augmented versions; each gets a row of the strip of examples.
        notes: Further notes as plain text.

    Raises:
        MissingExtra: If jinja2 or matplotlib is not installed.
    """
    return _render("comparison", c=comparison, examples=examples, notes=notes)


def full_report_page(report: EvaluationReport) -> str:
    """Return the page of the full evaluation of one model.

    Raises:
        MissingExtra: If jinja2 or matplotlib is not installed.
    """
    return _render("full_report", report=report)


def benchmark_page(benchmark: Benchmark) -> str:
    """Return the page of a benchmark.

    Raises:
        MissingExtra: If jinja2 or matplotlib is not installed.
    """
    return _render("benchmark", benchmark=benchmark)


def search_page(search: Search) -> str:
    """Return the page of a hyper-parameter search.

    Raises:
        MissingExtra: If jinja2 or matplotlib is not installed.
    """
    ranked = sorted(search.trials, key=lambda trial: (trial.state != DONE, -(trial.accuracy or 0)))
    return _render("search", search=search, ranked=ranked)


@dataclass(frozen=True)
class PlotImage:
    """A plot as `data:` addresses for light and dark pages, and its size in CSS pixels."""

    light: str
    dark: str
    width: int
    height: int


def draw_plot(draw: Callable[..., Figure], *args: object, pixels: bool = False, **options: object) -> PlotImage:
    """Draw a plot for light and dark pages.

    Args:
        draw: Function that returns the figure; it takes `theme` besides the other arguments.
        *args: Arguments of `draw`.
        pixels: Whether the plot consists of images, so that it is embedded as PNG and not as SVG.
        **options: Keyword arguments of `draw`.
    """
    light, dark = (draw(*args, theme=theme, **options) for theme in (LIGHT, DARK))
    uri = png_uri if pixels else svg_uri
    width, height = (round(96 * inches) for inches in light.get_size_inches())
    return PlotImage(uri(light, LIGHT), uri(dark, DARK), width, height)


def _render(template: str, **variables: object) -> str:
    require_report_libraries()
    page = _environment().get_template(f"{template}.html.j2").render(variables)
    return page.replace(" %", "\u00a0%")  # keeps a percent sign on the line of its number


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def one_line(value: object) -> Markup:
        return Markup(" ".join(escape(value).split()))

    def breakable(value: object) -> Markup:
        """Allow a line break after each underscore."""
        return escape(value).replace("_", Markup("_<wbr>"))

    environment = Environment(
        loader=PackageLoader(__package__, "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"],
    )  # fmt: skip
    environment.filters.update(
        breakable=breakable,
        fixed=lambda number, digits: f"{number:.{digits}f}",
        general=lambda number: f"{number:g}",
        one_line=one_line,
        percent=text.percent,
        points=points,
        points_span=text.points_span,
        same_or_each=text.same_or_each,
        sentence_case=text.sentence_case,
        setting=text.setting,
        span=text.span,
        spread=text.spread,
        thousands=lambda number: f"{number:,}",
    )
    environment.tests["varied"] = lambda numbers: len(set(numbers)) > 1
    constants: dict[str, Any] = {
        "BOTH": BOTH, "CORRUPTIONS": CORRUPTIONS, "COVERAGES": COVERAGES,
        "MAJORITY_VOTE": MAJORITY_VOTE, "OFFICIAL": OFFICIAL,
        "OWN": OWN, "TOO_FEW": TOO_FEW, "RESAMPLES": RESAMPLES,
        "SELECTED_ON": SELECTED_ON, "STATES": STATES, "STOPPED": STOPPED, "TOO_FEW_SEEDS": TOO_FEW_SEEDS,
    }  # fmt: skip
    css = (files(__package__) / "report.css").read_text(encoding="utf-8")
    # Called through the module, so that tests can replace it.
    plot = lambda *args, **options: draw_plot(*args, **options)  # noqa: E731
    environment.globals.update(
        constants, css=Markup(css), curves=curves, plot=plot, plots=plots, search_plots=search_plots, text=text
    )
    return environment
