"""Plots of a hyper-parameter search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.evaluation.comparison.search import DONE, FAILED, Search, Trial, format_value
from mien.evaluation.report.style import LIGHT, Theme, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def history(search: Search, theme: Theme = LIGHT) -> Figure:
    """Plot the accuracy of each trial by its number, and the best of the finished trials so far."""
    from matplotlib.ticker import MaxNLocator

    numbers = [trial.number for trial in search.trials]
    best = [max((t.accuracy or 0 for t in search.ended if t.number <= n), default=np.nan) for n in numbers]
    with styled(theme):
        figure, (axes,) = new_figure(3.0)
        _points(axes, search, theme, lambda trial: trial.number)
        axes.step(numbers, 100 * np.array(best), where="post", color=theme.arms[0], linewidth=1.4, zorder=1)
        axes.set_xlabel("trial")
        axes.set_ylabel("validation accuracy, %")
        axes.set_title("Accuracy of each trial, and the best so far")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def importances(search: Search, theme: Theme = LIGHT) -> Figure:
    """Plot the importance of each field in percent, the most important at the top."""
    ranked = sorted(search.importances.items(), key=lambda item: item[1])
    with styled(theme):
        figure, (axes,) = new_figure(0.9 + 0.34 * len(ranked))
        axes.barh([field for field, _ in ranked], [100 * share for _, share in ranked], color=theme.arms[0], height=0.6)
        for row, (_, share) in enumerate(ranked):
            axes.annotate(f"{100 * share:.0f}", (100 * share, row), (3, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, 112)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title("Importance, %")
    return figure


def values(search: Search, field: str, theme: Theme = LIGHT) -> Figure:
    """Plot the accuracy of each trial by its value of one field."""
    space = search.space[field]
    choices = [format_value(value) for value in space] if isinstance(space, list) else []

    def position(trial: Trial) -> Any:
        value = trial.values[field]
        return choices.index(format_value(value)) if choices else value

    with styled(theme):
        figure, (axes,) = new_figure(2.8)
        _points(axes, search, theme, position)
        if choices:
            axes.set_xticks(range(len(choices)), choices)
            axes.set_xlim(-0.5, len(choices) - 0.5)
        elif space["log"]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(field)
        axes.set_ylabel("validation accuracy, %")
        axes.set_title(field)
    return figure


def _points(axes: Axes, search: Search, theme: Theme, position: Callable[[Trial], Any]) -> None:
    """Draw finished trials as filled points, stopped ones hollow, and the recipe's own setting as a diamond."""
    for trial in search.trials:
        if trial.accuracy is None or trial.state == FAILED:
            continue
        color = theme.arms[1] if trial.own else theme.arms[0]
        axes.plot(
            [position(trial)], [100 * trial.accuracy], marker="D" if trial.own else "o", markersize=6 + 2 * trial.own,
            color=color, markerfacecolor=color if trial.state == DONE else "none", linestyle="none", zorder=3,
        )  # fmt: skip
