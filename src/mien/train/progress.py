"""Progress bar and TensorBoard events of a training run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch import Tensor

from mien.train.recipe import Recipe

REFRESH_SECONDS = 0.5  # reading a sum makes a GPU wait, so the bar is not updated after every batch


class Progress:
    """Progress bar and one line per finished epoch on stderr, and TensorBoard events.

    Args:
        recipe: Recipe of the run.
        seed: Seed of the run.
        faces: Number of training faces.
        folder: Folder of the run, for the events.
        shown: Whether to print anything.
    """

    def __init__(self, recipe: Recipe, seed: int, faces: int, folder: Path, shown: bool) -> None:
        self._recipe, self._seed, self._faces, self._shown = recipe, seed, faces, shown
        self._console = Console(stderr=True)
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            # In a notebook without ipywidgets, rich would print a warning instead of the bar.
            disable=not shown or (self._console.is_jupyter and find_spec("ipywidgets") is None),
        )
        self._task = self._rich.add_task("", total=faces * recipe.epochs, figures="")
        self._events = _event_writer(folder)

    def __enter__(self) -> Progress:
        self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._rich.stop()

    def print(self, text: str) -> None:
        """Print a line above the bar; nothing for an empty text."""
        if self._shown and text:
            self._console.print(text, highlight=False, soft_wrap=True)

    def start(self, epoch: int) -> None:
        """Show that an epoch starts."""
        self._epoch, self._done = epoch, 0
        self._started = self._refreshed = time.perf_counter()
        name = f"{self._recipe.name}, random seed {self._seed}: epoch {epoch}/{self._recipe.epochs}"
        self._rich.update(self._task, description=name, completed=(epoch - 1) * self._faces)

    def step(self, images: int, loss_sum: Tensor, correct: Tensor) -> None:
        """Show that a batch is done.

        Args:
            images: Number of images of the batch.
            loss_sum: Sum of the losses of this epoch, on the device; read only when the bar is refreshed.
            correct: Number of correct predictions of this epoch, likewise.
        """
        self._done += images
        now = time.perf_counter()
        if not self._shown or now - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = now
        loss, accuracy = loss_sum.item() / self._done, correct.item() / self._done
        rate = self._done / (now - self._started)
        self._rich.update(
            self._task,
            completed=(self._epoch - 1) * self._faces + self._done,
            figures=f"loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  {rate:.0f} images/s",
        )

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Print the line of a finished epoch and write its events."""
        if self._events:
            self._write_events(self._events, metrics)
        if self._shown:
            named = [(k.removesuffix("_accuracy"), v) for k, v in metrics.items() if k.endswith("_accuracy")]
            accuracies = "  ".join(f"{name} {100 * value:.1f} %" for name, value in named)
            self._console.print(
                f"{self._recipe.name}, random seed {self._seed}: epoch {self._epoch}/{self._recipe.epochs}  "
                f"loss {metrics['train_loss']:.3f}  {accuracies}  {metrics['images_per_second']:.0f} images/s",
                highlight=False,
                soft_wrap=True,
            )

    def _write_events(self, events: _Events, metrics: Mapping[str, float]) -> None:
        """Write events; if they cannot be written, training continues without them."""
        try:
            events.write({k.replace("_", "/", 1): v for k, v in metrics.items() if k != "epoch"}, int(metrics["epoch"]))
        except OSError as error:
            self._events = None
            if self._shown:
                self._console.print(
                    f"cannot write TensorBoard events: {error}; training continues without them", highlight=False
                )


class _Events:
    """An event file for TensorBoard in `folder`, created by the first event.

    TensorBoard's own writer is not used: on a full disk its thread dies with a traceback and stops the training, and it
    puts the name of the host into the file name.
    """

    _number = itertools.count()

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        self._event, self._summary, self._record = event_pb2.Event, summary_pb2.Summary, RecordWriter
        self._file = folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}.{next(self._number)}"

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Append the metrics of one epoch; raises `OSError` if that fails."""
        values_of_epoch = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        events = [self._event(wall_time=time.time(), step=epoch, summary=self._summary(value=values_of_epoch))]
        if not self._file.exists():
            self._file.parent.mkdir(exist_ok=True)
            events.insert(0, self._event(wall_time=time.time(), file_version="brain.Event:2"))
        with self._file.open("ab") as file:
            for event in events:
                self._record(file).write(event.SerializeToString())


def _event_writer(folder: Path) -> _Events | None:
    """Return an event writer, or None if tensorboard is not installed."""
    try:
        return _Events(folder / "tensorboard")
    except ImportError:
        return None
