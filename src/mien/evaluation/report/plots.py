"""Plots of a comparison."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.comparison.compare import Comparison, DatasetSummary
from mien.evaluation.comparison.curves import Curve
from mien.evaluation.comparison.verdict import points
from mien.evaluation.report.style import (
    LIGHT,
    WIDTH,
    Theme,
    arm_style,
    blank_figure,
    legend,
    new_figure,
    short,
    styled,
)
from mien.evaluation.report.text import sentence_case
from mien.evaluation.statistics.intervals import Interval
from mien.evaluation.statistics.metrics import Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# An operation's name, a face uint8 [48,48], and that face after the operation, several draws of uint8 [48,48].
Example = tuple[str, NDArray[np.uint8], Sequence[NDArray[np.uint8]]]


def class_histogram(data: DatasetSummary, theme: Theme = LIGHT) -> Figure:
    """Plot the faces per class, a panel for each split that has labels.

    Raises:
        MienError: If no split has labels.
    """
    splits = [s for s in data.counts if sum(data.counts[s])]
    if not splits:
        raise MienError(f"{data.name} has no split with labels, so there are no classes to count")
    y = np.arange(len(data.classes))
    with styled(theme):
        figure, panels = new_figure(0.9 + 0.27 * len(y), 1, len(splits), sharey=True)
        for axes, split in zip(panels, splits, strict=True):
            counts = np.array(data.counts[split])
            axes.barh(y, counts, color=theme.arms[0], height=0.68)
            for at, count in zip(y, counts, strict=True):
                axes.annotate(f"{count:,}", (count, at), (3, 0), textcoords="offset points", va="center", fontsize=8)
            axes.set_xlim(0, 1.38 * counts.max())
            title = data.split_titles[split].replace(" (", "\n(")
            axes.set_title(f"{title}\n{counts.sum():,} faces", fontsize=9)
            axes.grid(visible=False)
            axes.spines[["bottom", "left"]].set_visible(False)
            axes.tick_params(length=0)
            axes.set_xticks([])
        panels[0].set_yticks(y, [short(c) for c in data.classes])
        panels[0].invert_yaxis()
    return figure


def training_loss(comparison: Comparison, theme: Theme = LIGHT) -> Figure:
    """Plot the running training loss per epoch, on the images as trained: mean, spread and each seed."""
    return _curves(comparison, "train_loss", "Training loss on the images as trained", "cross-entropy", theme, scale=1)


def validation_accuracy(comparison: Comparison, theme: Theme = LIGHT) -> Figure:
    """Plot the validation accuracy per epoch; a ring marks the peak of the mean."""
    return _curves(comparison, "val_accuracy", "Validation accuracy", "accuracy, %", theme, peak=True)


def gap(comparison: Comparison, which: str = "gap_train_eval", theme: Theme = LIGHT) -> Figure:
    """Plot training minus validation accuracy per epoch.

    Args:
        comparison: Compared arms.
        which: `gap_train_eval`, on unaugmented training faces in evaluation mode, or `gap_running`, on images as
            trained.
        theme: Colors.
    """
    title = {
        "gap_train_eval": "Unaugmented training − validation",
        "gap_running": "Running training − validation",
    }[which]
    return _curves(comparison, which, title, "points of accuracy", theme, zero=True)


def has_curve(comparison: Comparison, name: str) -> bool:
    """Return whether every arm has the curve."""
    return all(name in arm.curves for arm in comparison.arms)


def scores(comparison: Comparison, theme: Theme = LIGHT) -> Figure:
    """Plot the accuracy of each arm: mean with its 95 % interval, and each seed as a ring."""
    splits, arms = comparison.splits, comparison.arms
    with styled(theme):
        height = 0.55 + len(splits) * (0.45 + 0.5 * len(arms))
        figure, panels = new_figure(height, len(splits), 1, sharex=True)
        for axes, split in zip(panels, splits, strict=True):
            for row, arm in enumerate(arms):
                s, style = arm.scores[split], arm_style(row, theme)
                name = f"{short(arm.arm)}   {100 * s.accuracy.mean:.1f}"
                interval_row(axes, name, s.accuracy_interval, s.accuracy.per_seed, row, style, theme)
            hide_row_axis(axes, len(arms))
            axes.set_title(f"{sentence_case(comparison.split_title(split))}, {arms[0].scores[split].n:,} faces")
        panels[-1].set_xlabel(f"accuracy {comparison.epoch_selection.when}, %")
    return figure


def differences(comparison: Comparison, theme: Theme = LIGHT) -> Figure:
    """Plot the accuracy of each arm minus that of the first: mean with its 95 % interval, and each pair of runs."""
    with styled(theme):
        figure, (axes,) = new_figure(1.1 + 0.5 * len(comparison.verdicts))
        axes.axvline(0, color=theme.faint, linewidth=1)
        for row, v in enumerate(comparison.verdicts):
            name = f"{short(v.b, 26)} − {short(v.a, 26)}   {points(v.accuracy.mean)}"
            interval_row(axes, name, v.accuracy, v.per_seed, row, arm_style(row + 1, theme), theme)
        axes.set_title(f"Differences, {comparison.split_title(comparison.split)}")
        axes.set_xlabel(f"points of accuracy {comparison.epoch_selection.when}")
        hide_row_axis(axes, len(comparison.verdicts))
    return figure


def confusion_matrix(
    counts_KK: Ints, classes: Sequence[str], title: str, theme: Theme = LIGHT, note: str = ""
) -> Figure:
    """Plot a confusion matrix; shade and upper number are percent of the row, the lower number is the count.

    Args:
        counts_KK: Counts int [K,K], true classes in rows, predicted classes in columns.
        classes: Names of the K classes.
        title: Title of the plot.
        theme: Colors.
        note: Meaning of the counts for the axis label, such as `counts summed over 3 seeds`.
    """
    from matplotlib.colors import LinearSegmentedColormap

    k = len(classes)
    sums_K1 = counts_KK.sum(1, keepdims=True)
    share_KK = np.divide(counts_KK, sums_K1, out=np.zeros(counts_KK.shape), where=sums_K1 > 0)
    size = min(9.0, 62 / k)
    with styled(theme):
        figure, (axes,) = new_figure(WIDTH + 0.25)
        shades = LinearSegmentedColormap.from_list("shades", [theme.paper, theme.deep])
        axes.imshow(share_KK, cmap=shades, vmin=0, vmax=1, aspect="equal")
        for row, column in np.ndindex(k, k):
            color = theme.paper if share_KK[row, column] > 0.5 else theme.ink
            put: dict[str, Any] = {"ha": "center", "color": color}
            axes.text(column, row - 0.04, f"{100 * share_KK[row, column]:.0f}", va="bottom", fontsize=size, **put)
            if k <= 10:
                axes.text(column, row + 0.08, f"{counts_KK[row, column]:,}", va="top", fontsize=0.72 * size, **put)
        names = [short(c) for c in classes]
        axes.set_xticks(range(k), names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(k), names)
        axes.set_xlabel(f"predicted class; % of the row{', ' + note if note else ''}")
        axes.set_ylabel("true class")
        axes.set_title(textwrap.fill(title, 42))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return figure


def per_class_f1(comparison: Comparison, split: str, theme: Theme = LIGHT) -> Figure:
    """Plot the F1 of each class and macro-F1 by arm: mean over seeds, with the standard deviation as a whisker."""
    arms = comparison.arms
    names = [short(c) for c in comparison.data.classes]
    y = np.arange(len(names) + 1.0)
    y[-1] += 0.35  # gap above macro-F1
    thick = 0.8 / len(arms)
    with styled(theme):
        figure, (axes,) = new_figure(1.0 + 0.17 * (len(arms) + 0.8) * len(y))
        handles = []
        for number, arm in enumerate(arms):
            s = arm.scores[split]
            means = np.append(s.f1, s.macro_f1.mean)
            stds = np.zeros(len(means)) if s.f1_std is None else np.append(s.f1_std, s.macro_f1.std or 0.0)
            color, at = arm_style(number, theme)["color"], y + thick * (number - (len(arms) - 1) / 2)
            handles.append(axes.barh(at, means, height=0.88 * thick, color=color))
            axes.errorbar(means, at, xerr=stds, fmt="none", ecolor=theme.ink, elinewidth=0.9)
            for x, std, row in zip(means, stds, at, strict=True):
                put: dict[str, Any] = {
                    "textcoords": "offset points",
                    "va": "center",
                    "fontsize": 7.5,
                    "color": theme.faint,
                }
                axes.annotate(f"{x:.2f}", (x + std, row), (3, 0), **put)
        axes.set_yticks(y, [*names, "macro-F1"])
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.axhline(y[-1] - 0.68, color=theme.grid)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.02)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(f"F1 by class, {comparison.split_title(split)}")
        legend(figure, handles, [arm.arm for arm in arms])
    return figure


def augmentation_strip(examples: Sequence[Example], theme: Theme = LIGHT) -> Figure:
    """Plot a row for each operation: a face, then several augmented versions of it.

    Raises:
        MienError: If there is no operation, or one without an augmented face.
    """
    if not examples or not all(len(after) for _, _, after in examples):
        raise MienError(
            "the strip of augmented faces needs at least one operation, each with at least one augmented face"
        )
    columns = max(len(after) for _, _, after in examples)
    titles = [textwrap.fill(name, 66) for name, _, _ in examples]
    gap, margin = 0.22, 0.04  # after the original face, in faces; between faces, in inches
    cell = (WIDTH - margin) / (1 + gap + columns)
    heads = [0.16 * (title.count("\n") + 1) + 0.12 for title in titles]
    height = sum(heads) + len(examples) * (cell + 0.06)
    with styled(theme):
        figure = blank_figure(height)
        top = height
        for (_, before, after), title, head in zip(examples, titles, heads, strict=True):
            figure.text(margin / WIDTH, (top - head + 0.06) / height, title, fontsize=8.5, va="bottom")
            top -= head + cell
            for column, face in enumerate([before, *after]):
                left = margin + cell * (column + gap * (column > 0))
                box = (left / WIDTH, top / height, (cell - margin) / WIDTH, (cell - margin) / height)
                axes = figure.add_axes(box)
                axes.set_axis_off()
                axes.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            top -= 0.06
    return figure


def _curves(
    comparison: Comparison,
    name: str,
    title: str,
    unit: str,
    theme: Theme,
    *,
    scale: float = 100,
    peak: bool = False,
    zero: bool = False,
) -> Figure:
    if not has_curve(comparison, name):
        raise MienError(f"cannot plot {name.replace('_', ' ')}: not every run measured it")
    with styled(theme):
        figure, (axes,) = new_figure(3.7)
        from matplotlib.ticker import MaxNLocator

        handles = []
        for number, arm in enumerate(comparison.arms):
            curve, style = Curve(scale * arm.curves[name].values_SE), arm_style(number, theme)
            handles.append(_curve(axes, curve, style, peak=peak))
            if arm.selected_by:
                # Hollow, to differ from the markers of the means.
                put: dict[str, Any] = {"marker": "d", "linestyle": "none", "color": style["color"], "zorder": 4}
                put |= {"markerfacecolor": theme.paper, "markersize": 6, "markeredgewidth": 1.2}
                axes.plot(arm.selected_epochs, curve.at(arm.selected_epochs).per_seed, **put)
        if zero:
            axes.axhline(0, color=theme.faint, linewidth=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.set_title(title)
        legend(figure, handles, [arm.arm for arm in comparison.arms])
    return figure


def _curve(axes: Axes, curve: Curve, style: dict[str, Any], *, peak: bool) -> object:
    """Draw mean, mean ± std and the single seeds of one arm, and return the line of the mean."""
    mean_E, seeds = curve.mean_E, len(curve.values_SE)
    epochs, color = np.arange(1, len(mean_E) + 1), style["color"]
    for values_E in curve.values_SE if seeds > 1 else ():
        axes.plot(epochs, values_E, color=str(color), linewidth=0.7, alpha=0.45)
    if seeds > 1:
        std_E = curve.std_E
        axes.fill_between(epochs, mean_E - std_E, mean_E + std_E, color=str(color), alpha=0.14, linewidth=0)
    if peak:
        at = curve.peak_of_mean
        axes.plot([at], [mean_E[at - 1]], marker="o", markersize=12, markerfacecolor="none", color=str(color))
    (line,) = axes.plot(epochs, mean_E, linewidth=1.9, markersize=4.5, **style)
    return line


def interval_row(
    axes: Axes,
    name: str,
    interval: Interval,
    per_seed: Sequence[float],
    row: int,
    style: dict[str, Any],
    theme: Theme,
) -> None:
    """Draw a row: the name, below it the interval with its mean, and below that the seeds as rings."""
    color = style["color"]
    axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=color, linewidth=2.2, zorder=2)
    axes.plot([100 * interval.mean], [row], marker=style["marker"], markersize=8, color=color, zorder=3)
    ring: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "markeredgewidth": 0.9}
    if len(per_seed) > 1:
        rings = 100 * np.array(per_seed)
        axes.plot(rings, np.full(len(rings), row + 0.22), marker="o", markersize=4.5, color=theme.ink, zorder=4, **ring)
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "left", "va": "center"}
    under = {"facecolor": theme.paper, "linewidth": 0, "pad": 1.5}  # keeps grid lines out of the name
    axes.text(0.0, row - 0.31, name, color=color, bbox=under, **place)


def hide_row_axis(axes: Axes, rows: int) -> None:
    """Hide the vertical axis and make room for that many rows of `interval_row`."""
    axes.set_ylim(rows - 0.55, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.08)
