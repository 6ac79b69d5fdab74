"""Loading the data set of a command, with its notes and warnings on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mien.cli.progress import StepProgressBar

if TYPE_CHECKING:
    from mien.data import Dataset


def load_dataset(
    source: str,
    *,
    votes: Path | None = None,
    layout: str = "auto",
    crop: str = "auto",
    on_error: str = "warn",
    labels: Path | None = None,
    quiet: bool = False,
) -> Dataset:
    """Load a data set; its notes and warnings are printed on stderr.

    Args:
        source: Data set as in `mien.data.load`, and so are the other arguments.
        votes: File of FER+ votes.
        layout: Layout of an image folder.
        crop: Whether faces of a folder are cropped.
        on_error: Whether images that cannot be read are an error.
        labels: Labels of the images of a folder.
        quiet: Whether to print nothing, for commands that print `reading_lines` themselves.
    """
    from mien.data import load

    with warnings.catch_warnings(), reading_progress() as progress:
        warnings.simplefilter("ignore", UserWarning)  # they are printed below
        dataset = load(
            source, votes=votes, layout=layout, crop=crop, on_error=on_error, labels=labels, progress=progress
        )
    if not quiet:
        lines = [f"note: {dataset.note}"] if dataset.note else []
        for line in [*lines, *reading_lines(dataset)]:
            typer.echo(line, err=True)
    return dataset


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar while images are read; yield the function that advances it."""
    bars: list[StepProgressBar] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(StepProgressBar("reading images", total))
            bars[0].__enter__()
        bars[0].step()

    try:
        yield progress
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


def reading_lines(dataset: Dataset) -> list[str]:
    """Return what was decided and left out while a data set was read, a line each.

    Args:
        dataset: The data set.
    """
    reading = dataset.reading
    lines = [f"note: {note}" for note in reading.notes] + [f"warning: {loss}" for loss in reading.losses]
    return [*lines, f"not read: {reading.unread}"] if reading.unread else lines


def folder_arguments(*, layout: str, crop: str, on_error: str, labels: Path | None) -> str:
    """Return the options with which a folder was loaded, to repeat them in another command.

    Args:
        layout: Layout of the folder.
        crop: Whether faces are cropped.
        on_error: Whether images that cannot be read are an error.
        labels: Labels of the images.

    Example:
        >>> folder_arguments(layout="auto", crop="never", on_error="warn", labels=None)
        ' --crop never'
    """
    options = {"--layout": (layout, "auto"), "--crop": (crop, "auto"), "--on-error": (on_error, "warn")}
    given = [f" {name} {value}" for name, (value, default) in options.items() if value != default]
    return "".join([*given, *([] if labels is None else [f" --label-file {labels}"])])
