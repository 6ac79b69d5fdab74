"""Writes the reports of comparisons and searches into folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien import files
from mien.errors import MienError
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.comparison.search import Search
from mien.evaluation.report import plots
from mien.evaluation.report.pages import comparison_page, search_page
from mien.evaluation.report.plots import Example
from mien.evaluation.report.style import save_png, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEARCH_JSON, SEARCH_PAGE = "search.json", "search.html"


def write_report(
    comparison: Comparison, folder: str | Path, *, examples: Sequence[Example] = (), notes: Sequence[str] = ()
) -> Path:
    """Write `comparison.json`, `report.html` and `plots/*.png`, and return the path of the page.

    The JSON file is written first, so that the numbers are kept even if the plots cannot be drawn.

    Args:
        comparison: Compared arms.
        folder: Folder that the files are written into.
        examples: Rows of the strip of augmented faces; see `plots.augmentation_strip`.
        notes: Further notes for the page as plain text.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
        MienError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from mien.data import sketch
        >>> from mien.evaluation import compare, write_report
        >>> from mien.evaluation.comparison.runs import RunRecord
        >>> data = sketch(train=7, val=0, test=20)
        >>> probs_NK = np.eye(7, dtype=np.float32)[data["test"].labels_N]
        >>> history = ({"epoch": 1, "train_loss": 1.9, "train_accuracy": 0.2},)
        >>> records = [RunRecord(arm, 0, history, {"test": probs_NK}, 60.0, {}, {}) for arm in ("old", "new")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(compare(records, data), folder, notes=["Trained on one machine."]).name
        'report.html'
    """
    out = Path(folder)
    write_text(out / "comparison.json", json.dumps(comparison.to_dict(), indent=1, allow_nan=False) + "\n")
    page = out / "report.html"
    write_text(page, comparison_page(comparison, examples=examples, notes=notes))
    _save(comparison_figures(comparison, examples), out / "plots")
    return page


def write_search(search: Search, folder: Path) -> None:
    """Write `search.json`, then `search.html`.

    Args:
        search: Trials so far.
        folder: Folder that the files are written into.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
        MienError: The folder cannot be written.
    """
    write_text(folder / SEARCH_JSON, json.dumps(search.to_dict(), indent=1, allow_nan=False) + "\n")
    write_text(folder / SEARCH_PAGE, search_page(search))


def comparison_figures(comparison: Comparison, examples: Sequence[Example] = ()) -> dict[str, Figure]:
    """Return each plot that the data of the comparison allow, by the stem of its file."""
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
    for which in ("gap_train_eval", "gap_running"):
        if plots.has_curve(c, which):
            figures[which] = plots.gap(c, which)
    for split in c.splits:
        figures[f"per_class_f1-{split}"] = plots.per_class_f1(c, split)
        for number, arm in enumerate(c.arms):
            # Files are numbered: names of arms may have characters that file names must not have.
            title = f"{short(arm.arm)}, {c.split_title(split, arm)}"
            counts_KK, note = arm.scores[split].confusion_KK, f"counts summed over seeds ({len(arm.seeds)})"
            stem = f"confusion-{split}-arm{number + 1}"
            figures[stem] = plots.confusion_matrix(counts_KK, c.data.classes, title, note=note)
    if examples:
        figures["augmentation"] = plots.augmentation_strip(examples)
    return figures


def write_text(path: Path, content: str) -> None:
    """Write a text file atomically, and create its folder.

    Raises:
        MienError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, [content.encode()])
    except OSError as error:
        raise MienError(f"cannot write {path}: {error.strerror}") from None


def _save(figures: Mapping[str, Figure], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MienError(f"cannot create the folder {folder}: {error.strerror}") from None
    for stem, figure in figures.items():
        save_png(figure, folder / f"{stem}.png")
