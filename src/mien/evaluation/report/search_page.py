"""Report of a hyper-parameter search as HTML and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from mien.evaluation.comparison.search import DONE, FAILED, STATES, STOPPED, Search, Trial, format_value
from mien.evaluation.report.html import Markup, document, element, image, paragraphs, section, side_by_side, table
from mien.evaluation.report.style import LIGHT, Theme, new_figure, styled
from mien.evaluation.report.write import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEARCH, PAGE = "search.json", "search.html"
SHOWN = 12  # trials in the table on a terminal: the best, and the last ones


def write_search(search: Search, folder: Path) -> None:
    """Write `search.json` and `search.html` into `folder`, the figures first.

    Raises:
        MissingExtra: matplotlib is not installed.
        MienError: the folder cannot be written.
    """
    write(folder / SEARCH, json.dumps(search.to_dict(), indent=1, allow_nan=False) + "\n")
    write(folder / PAGE, search_page(search))


def search_page(search: Search) -> str:
    """A whole HTML page that refers to nothing outside itself.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    name, data = search.recipe["name"], search.data["name"]
    kicker = element("p", f"mien tune · {data} · {name} · {search.recipe['model']}", class_="kicker")
    return document(
        f"A search for {name} on {data}",
        element("header", kicker, element("h1", search.sentence)),
        section("Trial by trial", _history(search), id_="history"),
        section("What matters", _importances(search), id_="importances"),
        section("Value by value", _slices(search), id_="slices"),
        section("All trials", _trials(search), id_="trials"),
        section("How to read this", _caveats(search), id_="caveats"),
    )


def history(search: Search, theme: Theme = LIGHT) -> Figure:
    """Accuracy of each trial by its number, and the best so far among those trained to their end."""
    from matplotlib.ticker import MaxNLocator

    with styled(theme):
        figure, (axes,) = new_figure(3.0)
        _points(axes, search, theme, lambda trial: trial.number)
        best = [max((t.accuracy or 0 for t in search.ended if t.number <= i), default=np.nan) for i in _numbers(search)]
        axes.step(_numbers(search), 100 * np.array(best), where="post", color=theme.arms[0], linewidth=1.4, zorder=1)
        axes.set_xlabel("trial")
        axes.set_ylabel("validation accuracy, percent")
        axes.set_title("Accuracy of each trial, and the best so far")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def importances(search: Search, theme: Theme = LIGHT) -> Figure:
    """Each field's share in what tells the best fourth of the trials from all of them."""
    told = sorted(search.importances.items(), key=lambda one: one[1])
    with styled(theme):
        figure, (axes,) = new_figure(0.9 + 0.34 * len(told))
        axes.barh([field for field, _ in told], [100 * share for _, share in told], color=theme.arms[0], height=0.6)
        for row, (_, share) in enumerate(told):
            axes.annotate(f"{100 * share:.0f}", (100 * share, row), (3, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, 112)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title("Importance, percent")
    return figure


def values(search: Search, field: str, theme: Theme = LIGHT) -> Figure:
    """Accuracy of each trial by its value of one field."""
    space = search.space[field]
    listed = [format_value(value) for value in space] if isinstance(space, list) else []
    with styled(theme):
        figure, (axes,) = new_figure(2.8)
        _points(
            axes, search, theme, lambda t: listed.index(format_value(t.values[field])) if listed else t.values[field]
        )
        if listed:
            axes.set_xticks(range(len(listed)), listed)
            axes.set_xlim(-0.5, len(listed) - 0.5)
        elif space["log"]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(field)
        axes.set_ylabel("validation accuracy, percent")
        axes.set_title(field)
    return figure


def search_table(search: Search) -> Table:
    """The best trial, the recipe's own and the last ones; narrow enough for a terminal of 80 columns."""
    told = {t.number: t for t in (search.best, search.own, *search.trials[-SHOWN:]) if t is not None}
    whole = Table(title=search.sentence, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("trial", *search.space, "epochs", "accuracy %"):
        whole.add_column(heading, justify="right", overflow="fold")
    whole.add_column("")
    for number in sorted(told):
        trial = told[number]
        own = "best" if trial is search.best else "the recipe's own" if trial.own else ""
        state = "" if trial.state == DONE else trial.state
        cells = [escape(cell) for cell in _cells(trial, search)]
        whole.add_row(
            str(number), *cells, str(len(trial.accuracies)), _percent(trial), ", ".join(filter(None, (own, state)))
        )
    return whole


def _points(axes: Axes, search: Search, theme: Theme, where: Callable[[Trial], Any]) -> None:
    """Full where a trial was trained to its end, hollow where it was stopped; the recipe's own is a diamond."""
    for trial in search.trials:
        if trial.accuracy is None or trial.state == FAILED:
            continue
        color = theme.arms[1] if trial.own else theme.arms[0]
        face = color if trial.state == DONE else "none"
        axes.plot(
            [where(trial)], [100 * trial.accuracy], marker="D" if trial.own else "o", markersize=6 + 2 * trial.own,
            color=color, markerfacecolor=face, linestyle="none", zorder=3,
        )  # fmt: skip


def _history(search: Search) -> Markup:
    return side_by_side(
        image(
            lambda theme: history(search, theme),
            f"Validation accuracy of {len(search.trials)} trials. {search.sentence}",
            "Full points were trained to their end, hollow ones stopped early, at what they had reached by then. The "
            "diamond is the recipe's own setting; the line is the best so far.",
        )
    )


def _importances(search: Search) -> Markup:
    if not search.importances:
        return paragraphs("There are too few trials, or too many equally good ones, to tell what matters.")
    said = ", ".join(f"{field} {100 * share:.0f} percent" for field, share in search.importances.items())
    return side_by_side(
        image(
            lambda theme: importances(search, theme),
            f"Importances: {said}.",
            "How much each field tells the best fourth of the trials from all of them, as shares of the whole "
            "(PED-ANOVA, Watanabe et al. 2023). Of a few dozen trials this is a hint, no finding.",
        )
    )


def _slices(search: Search) -> Markup:
    def one(field: str) -> Markup:
        return image(
            lambda theme: values(search, field, theme),
            f"Validation accuracy of each trial by its {field}; the table below holds the numbers.",
            f"Each trial at its {field}, whatever else was varied with it.",
        )

    return side_by_side(*map(one, search.space))


def _trials(search: Search) -> Markup:
    rows = [
        [
            f"{trial.number}{' (own)' * trial.own}", trial.error or trial.state,
            *_cells(trial, search),
            len(trial.accuracies), f"{trial.seconds / 60:.1f}", _percent(trial),
        ]
        for trial in sorted(search.trials, key=lambda t: (t.state != DONE, -(t.accuracy or 0)))
    ]  # fmt: skip
    head = ["trial", "state", *search.space, "epochs", "minutes", "accuracy, %"]
    return table("Those that were trained to their end first, the best above", head, rows, words=2)


def _caveats(search: Search) -> Markup:
    states = "; ".join(f"{state}: {words}" for state, words in STATES.items())
    stopped = sum(trial.state == STOPPED for trial in search.trials)
    return paragraphs(
        f"Trials are judged by validation alone, after their last epoch, all from seed {search.seed}. The test split "
        "has no say. The best of many trials owes part of its lead to chance: train it and the recipe's own again from "
        "several seeds (mien compare) before you believe in a difference of a point.",
        f"{stopped} of {len(search.trials)} trials were stopped because after an epoch they lay below the median of "
        f"the earlier ones. What learns slowly and ends well may be among them. {states}.",
    )


def _cells(trial: Trial, search: Search) -> list[str]:
    """Its values in the order of the space; empty where it has none yet."""
    return [format_value(trial.values[field]) if field in trial.values else "" for field in search.space]


def _numbers(search: Search) -> list[int]:
    return [trial.number for trial in search.trials]


def _percent(trial: Trial) -> str:
    return "" if trial.accuracy is None else f"{100 * trial.accuracy:.1f}"
