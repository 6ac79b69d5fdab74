"""Evaluations and comparisons as tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from mien.judge.arms import ArmResult, Spread
from mien.judge.chosen import SELECTED_ON
from mien.judge.compare import Comparison
from mien.judge.evaluate import Evaluation
from mien.judge.intervals import Interval


def evaluation_table(evaluation: Evaluation) -> Table:
    """One row per class, and the figures of the whole split in title and caption."""
    e, c = evaluation, evaluation.per_class
    title = " on ".join(escape(part) for part in (e.model, e.data) if part)
    table = Table(
        title=f"{title + ', ' if title else ''}{escape(e.split)}: {e.n:,} faces",
        caption=f"accuracy {percent(e.accuracy)} % (95 % interval {percent(e.low)} to {percent(e.high)}, faces only)\n"
        f"macro-F1 {percent(e.macro_f1)} %, negative log-likelihood {e.nll:.3f}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("class")
    for heading in ("precision %", "recall %", "F1 %", "faces"):
        table.add_column(heading, justify="right")
    for name, p, r, f, n in zip(e.labels.names, c.precision, c.recall, c.f1, c.support, strict=True):
        table.add_row(escape(name), percent(p), percent(r), percent(f), f"{n:,}")
    return table


def confusion_table(evaluation: Evaluation) -> Table:
    """Counts, true class in rows, class predicted in columns."""
    table = Table(title="true class in rows, class predicted in columns", title_justify="left")
    table.add_column("")
    for name in evaluation.labels.names:
        table.add_column(escape(name), justify="right")
    for name, row in zip(evaluation.labels.names, evaluation.confusion_KK, strict=True):
        table.add_row(escape(name), *(f"{count:,}" for count in row))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """One row per arm and split at the judged epoch; narrow enough for a terminal of 80 columns."""
    title = f"{escape(comparison.data.name)}, {comparison.chosen.when}"
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=0)
    if any(comparison.chosen.on(split) for split in comparison.splits):
        table.caption = f"* {SELECTED_ON}: this split also chose the epoch; optimistic"
    for heading in ("arm", "split"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("accuracy\n%", "95 %\ninterval", "macro-F1\n%", "train\nloss", "peak\nepoch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in comparison.arms:
        for split in comparison.splits:
            table.add_row(escape(arm.arm), split + "*" * arm.chosen.on(split), *_cells(arm, split))
    return table


def percent(share: float) -> str:
    """A share in hundredths with one digit: `62.2`."""
    return f"{100 * share:.1f}"


def spread(figure: Spread, scale: float = 100, digits: int = 1) -> str:
    """Mean ± standard deviation over seeds: `62.2 ± 0.4`; the mean alone for a single seed."""
    mean = f"{scale * figure.mean:.{digits}f}"
    return mean if figure.std is None else f"{mean} ± {scale * figure.std:.{digits}f}"


def span(interval: Interval) -> str:
    """`61.0 to 63.4`, in hundredths."""
    return f"{percent(interval.low)} to {percent(interval.high)}"


def sentence_case(text: str) -> str:
    """`text` with its first letter in upper case and the others as they are."""
    return text[:1].upper() + text[1:]


def _cells(arm: ArmResult, split: str) -> tuple[str, ...]:
    score = arm.scores[split]
    return (
        spread(score.accuracy),
        span(score.accuracy_interval),
        spread(score.macro_f1),
        f"{arm.judged('train_loss').mean:.2f}",
        "–" if arm.peak_of_mean is None else str(arm.peak_of_mean),
    )
