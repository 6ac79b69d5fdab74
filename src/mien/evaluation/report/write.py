"""Writes the report of a comparison into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien import files
from mien.errors import MienError
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.report import plots
from mien.evaluation.report.page import comparison_page
from mien.evaluation.report.plots import Example
from mien.evaluation.report.style import save_png, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(
    comparison: Comparison, folder: str | Path, *, examples: Sequence[Example] = (), notes: Sequence[str] = ()
) -> Path:
    """Write `comparison.json`, `report.html` and `plots/*.png` into `folder`, and return the path of the page.

    The JSON comes first, so that the figures are there even where plots cannot be drawn.

    Args:
        examples: rows of the strip of augmented faces; see `plots.augmentation_strip`.
        notes: further caveats for the page, plain text.

    Raises:
        MissingExtra: matplotlib is not installed.
        MienError: the folder cannot be written.
    """
    out = Path(folder)
    write(out / "comparison.json", json.dumps(comparison.to_dict(), indent=1, allow_nan=False) + "\n")
    page = out / "report.html"
    write(page, comparison_page(comparison, examples=examples, notes=notes))
    _save(comparison_figures(comparison, examples), out / "plots")
    return page


def comparison_figures(comparison: Comparison, examples: Sequence[Example] = ()) -> dict[str, Figure]:
    """File stem -> figure, for each plot that the comparison's data allow."""
    c = comparison
    figures = {
        "training_loss": plots.training_loss(c),
        "scores": plots.scores(c),
        "differences": plots.differences(c),
    }
    if any(sum(counts) for counts in c.data.counts.values()):
        figures["class_histogram"] = plots.class_histogram(c.data)
    if plots.has_curve(c, "val_accuracy"):
        figures["validation_accuracy"] = plots.validation_accuracy(c)
    for which in ("gap_clean", "gap_running"):
        if plots.has_curve(c, which):
            figures[which] = plots.gap(c, which)
    for split in c.splits:
        figures[f"per_class_f1-{split}"] = plots.per_class_f1(c, split)
        for number, arm in enumerate(c.arms):
            # Arms are numbered, as their names may hold what a file's name may not.
            title = f"{short(arm.arm)}, {c.split_title(split, arm)}"
            counts_KK, note = arm.scores[split].confusion_KK, f"counts summed over seeds ({len(arm.seeds)})"
            stem = f"confusion-{split}-arm{number + 1}"
            figures[stem] = plots.confusion_matrix(counts_KK, c.data.classes, title, note=note)
    if examples:
        figures["augmentation"] = plots.augmentation_strip(examples)
    return figures


def write(path: Path, content: str) -> None:
    """Write a text file, whole or not at all, and the folders above it; `MienError` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, [content.encode()])
    except OSError as error:
        raise MienError(f"cannot write {path}: {error.strerror}") from None


def _save(figures: Mapping[str, Figure], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MienError(f"cannot make the folder {folder}: {error.strerror}") from None
    for stem, figure in figures.items():
        save_png(figure, folder / f"{stem}.png")
