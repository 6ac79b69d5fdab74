"""Class histogram and sheet of sample faces as PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien import files
from mien.data.dataset import NO_LABEL, SIDE, SPLITS, TEST, TRAIN, VAL, Dataset, Split
from mien.data.row_errors import unwritable
from mien.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT = "#22262b", "#8a9099"
_COLOR = {TRAIN: "#41658a", VAL: "#d08c3a", TEST: "#5f9274"}
_SPLIT_TITLES = {TRAIN: "training", VAL: "validation", TEST: "test"}
_DPI = 160
_COLUMNS = 12  # faces per class on the sheet
_GAP = 3  # pixels between faces


def class_histogram_png(dataset: Dataset, path: str | Path) -> Path:
    """Draw number and share of faces per class, one panel per split, and return the path.

    Args:
        dataset: Data set to draw.
        path: Path of the PNG file to write.

    Raises:
        MissingExtra: matplotlib is not installed.
        DataError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from mien.data import class_histogram_png, sketch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     class_histogram_png(sketch(train=7, val=0, test=0), folder + "/classes.png").name
        'classes.png'
    """
    splits = [dataset[s] for s in SPLITS if s in dataset]
    classes = _classes(dataset, splits)
    figure = _figure(1.9 + 2.7 * len(splits), 1.25 + 0.32 * len(classes))
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for panel, split in zip(panels, splits, strict=True):
        _bars(panel, split, classes)
    panels[0].set_yticks(range(len(classes)), [name for name, _ in classes], fontsize=10, color=_INK)
    figure.suptitle(_title(dataset, "faces per class"), x=0.02, ha="left", fontsize=12, color=_INK, weight="bold")
    return _save(figure, path)


def sample_sheet(dataset: Dataset, path: str | Path, *, seed: int = 0) -> Path:
    """Draw a sheet of faces of the first split, one row per class, and return the path.

    Args:
        dataset: Data set to draw.
        path: Path of the PNG file to write.
        seed: Seed of the random choice of faces; of a class with few faces all are drawn.

    Raises:
        MissingExtra: matplotlib is not installed.
        DataError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from mien.data import sample_sheet, sketch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sample_sheet(sketch(train=7, val=0, test=0), folder + "/faces.png").name
        'faces.png'
    """
    split = next(dataset[s] for s in SPLITS if s in dataset)
    classes = _classes(dataset, [split])
    rng = np.random.default_rng(seed)
    figure = _figure(1.5 + 0.58 * _COLUMNS, 0.75 + 0.58 * len(classes))
    axes = figure.subplots()
    step = SIDE + _GAP
    sheet = np.full((len(classes) * step - _GAP, _COLUMNS * step - _GAP), 255, np.uint8)
    for row, (_, label) in enumerate(classes):
        index_N = np.flatnonzero(split.labels_N == label)
        drawn = np.sort(rng.choice(index_N, min(_COLUMNS, len(index_N)), replace=False))
        for column, face in enumerate(split.pixels_NHW[drawn]):
            sheet[row * step : row * step + SIDE, column * step : column * step + SIDE] = face
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_frame_on(False)
    axes.set_xticks([])
    middles = [row * step + SIDE / 2 for row in range(len(classes))]
    axes.set_yticks(middles, [name for name, _ in classes], fontsize=10, color=_INK)
    axes.tick_params(length=0, pad=6)
    figure.suptitle(
        _title(dataset, f"faces of the {_SPLIT_TITLES[split.name]} split"),
        x=0.02, ha="left", fontsize=12, color=_INK, weight="bold",
    )  # fmt: skip
    return _save(figure, path)


def _classes(dataset: Dataset, splits: list[Split]) -> list[tuple[str, int]]:
    """Return name and index of each row; faces without labels are one row."""
    # Escaped, as matplotlib takes text between `$` for a formula.
    classes = [(name.replace("$", r"\$"), k) for k, name in enumerate(dataset.labels.names)]
    unlabelled: NDArray[np.bool_] = np.array([(split.labels_N == NO_LABEL).any() for split in splits])
    if unlabelled.all():
        return [("(no label)", NO_LABEL)]
    return classes + ([("(no label)", NO_LABEL)] if unlabelled.any() else [])


def _bars(panel: Axes, split: Split, classes: list[tuple[str, int]]) -> None:
    counts = [int((split.labels_N == label).sum()) for _, label in classes]
    panel.barh(range(len(classes)), counts, height=0.72, color=_COLOR[split.name])
    for row, count in enumerate(counts):
        text = f" {count:,}  "
        panel.text(count, row, text, va="center", fontsize=9, color=_INK)
        panel.annotate(
            f"{count / len(split):.1%}", (count, row), (4.6 * len(text), 0), textcoords="offset points",
            va="center", fontsize=8, color=_FAINT,
        )  # fmt: skip
    panel.set_title(
        f"{_SPLIT_TITLES[split.name]}  ·  {len(split):,}", loc="left", fontsize=10, color=_COLOR[split.name]
    )
    panel.set_xlim(0, max(counts) * 1.75)  # room for the numbers after the longest bar
    panel.set_ylim(len(classes) - 0.4, -0.6)
    panel.set_xticks([])
    panel.tick_params(length=0)
    for edge in ("top", "right", "bottom"):
        panel.spines[edge].set_visible(False)
    panel.spines["left"].set_color(_FAINT)


def _title(dataset: Dataset, content: str) -> str:
    return f"{dataset.known_as or dataset.name}: {content}"


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, without pyplot and its global state."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise MissingExtra("plot", "drawing a data set") from None
    margins = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)  # inches
    return Figure(figsize=(width, height), dpi=_DPI, layout=margins, facecolor="white")


def _save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, [png.getvalue()])
    except OSError as error:
        raise unwritable(path, error) from None
    return path
