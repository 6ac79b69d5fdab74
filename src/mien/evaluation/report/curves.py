"""Plots of the full evaluation: reliability, risk-coverage, robustness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mien.evaluation.confidence import CalibrationMetrics
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.report.plots import hide_row_axis, interval_row
from mien.evaluation.report.style import LIGHT, Theme, arm_style, legend, new_figure, short, styled
from mien.evaluation.report.text import TRUTH_COLUMN, TRUTHS, percent
from mien.evaluation.robustness import Robustness
from mien.evaluation.statistics.intervals import FACES, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # small plots beside each other


def reliability_diagram(evaluation: Evaluation, theme: Theme = LIGHT) -> Figure:
    """Plot accuracy against confidence before and after temperature scaling, and the distribution of confidence."""
    t, titles = evaluation.calibration, ("without temperature", "with temperature")
    if evaluation.tta == "flip":  # each of the two averaged predictions has the temperature of the model already
        titles = ("as predicted", "with a second temperature")
    with styled(theme):
        figure, axes = new_figure(4.0, 2, 2, sharex=True, sharey="row", height_ratios=(4, 1))
        for column, (name, metrics) in enumerate(zip(titles, (t.before, t.after), strict=True)):
            _reliability(axes[column], axes[2 + column], metrics, theme)
            axes[column].set_title(f"{name}\nECE {percent(metrics.ece)} %")
        axes[0].set_ylabel("accuracy")
        axes[2].set_ylabel("faces, %")
        figure.supxlabel("confidence", fontsize=9, color=theme.faint)
    return figure


def risk_coverage(evaluations: Sequence[Evaluation], theme: Theme = LIGHT) -> Figure:
    """Plot the error rate on the most confident faces against their fraction of all faces (coverage)."""
    with styled(theme):
        figure, (axes,) = new_figure(3.7)
        handles = []
        for number, e in enumerate(evaluations):
            style = arm_style(number, theme)
            del style["marker"]
            risk_N = e.calibration.risk_N
            first = min(len(risk_N), max(1, len(risk_N) // 100))  # with fewer faces the rate is noise
            share_N = 100 * np.arange(1, len(risk_N) + 1) / len(risk_N)
            (line,) = axes.plot(share_N[first - 1 :], 100 * risk_N[first - 1 :], linewidth=1.9, **style)
            handles.append(line)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("coverage: most confident faces, %")
        axes.set_ylabel("error rate, %")
        legend(
            figure, handles, [f"{TRUTH_COLUMN[e.against]}, AURC {percent(e.calibration.aurc)} %" for e in evaluations]
        )
    return figure


def accuracies(evaluations: Sequence[Evaluation], theme: Theme = LIGHT) -> Figure:
    """Plot the accuracy of each model on the same faces, with its 95 % interval."""
    with styled(theme):
        figure, (axes,) = new_figure(0.9 + 0.5 * len(evaluations))
        for row, e in enumerate(evaluations):
            interval = Interval(e.accuracy, e.low, e.high, FACES, 0, 0)
            name = f"{short(e.model)}   {percent(e.accuracy)}"
            interval_row(axes, name, interval, (), row, arm_style(row, theme), theme)
        hide_row_axis(axes, len(evaluations))
        axes.set_xlabel(f"accuracy by the {TRUTHS[evaluations[0].against]}, %")
    return figure


def robustness_curves(models: Sequence[Robustness], theme: Theme = LIGHT) -> Figure:
    """Plot accuracy against severity, a small plot for each corruption; dotted, the accuracy on clean faces."""
    names = list(models[0].accuracy)
    rows = -(-len(names) // COLUMNS)
    with styled(theme):
        figure, panels = new_figure(0.5 + 1.62 * rows, rows, COLUMNS, sharey=True)
        handles = []
        for axes, name in zip(panels, names, strict=False):
            at = np.arange(1, len(CORRUPTIONS[name].severities) + 1)
            for number, model in enumerate(models):
                style = arm_style(number, theme)
                axes.axhline(100 * model.unaltered, color=style["color"], linewidth=0.9, linestyle=":")
                (line,) = axes.plot(at, [100 * a for a in model.accuracy[name]], linewidth=1.6, markersize=3.5, **style)
                handles += [line] if name == names[0] else []
            axes.set_xticks(at, [f"{s:g}" for s in CORRUPTIONS[name].severities])
            axes.tick_params(axis="x", labelsize=7.5)
            axes.set_title(name, fontsize=8.5)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        panels[0].set_ylim(0, 100)
        figure.supylabel("accuracy, %", fontsize=9, color=theme.faint)
        if len(models) > 1:
            legend(figure, handles, [model.model for model in models])
    return figure


def _reliability(upper: Axes, lower: Axes, metrics: CalibrationMetrics, theme: Theme) -> None:
    r = metrics.reliability
    bins = len(r.count)
    width, left_B, filled_B = 1 / bins, np.arange(bins) / bins, r.count > 0
    color = theme.arms[0]
    upper.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.9, linestyle="--")
    upper.bar(left_B[filled_B], r.accuracy[filled_B], width=width, align="edge", color=color, alpha=0.28, linewidth=0)
    upper.plot(r.confidence[filled_B], r.accuracy[filled_B], color=color, marker="o", markersize=4, linewidth=1.2)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    lower.bar(left_B, 100 * r.count / r.count.sum(), width=width, align="edge", color=color, linewidth=0)
    lower.grid(visible=False, axis="x")
