"""Progress of a training run on stderr, and its TensorBoard events."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from torch import Tensor

from mien.train.recipe import Recipe

REFRESH_SECONDS = 0.5  # reading a sum makes a GPU wait, so the bar is not updated after every batch
# Without a terminal, a line is printed after each tenth of an epoch, but not more often than after the first of these
# times and not more rarely than after the second, in seconds.
MIN_SECONDS, MAX_SECONDS = 3.0, 30.0


class Progress:
    """Progress of a run on stderr: a bar on a terminal, else lines; one line per epoch; and TensorBoard events.

    Args:
        recipe: Recipe of the run.
        seed: Seed of the run.
        faces: Number of training faces.
        folder: Folder of the run, for the events.
        shown: Whether to print anything.
        position: Position of the run among several, such as `run 2 of 6`; empty for a single run.
        parts: Number of processes, each of which trains on a part of every batch; this one is the first.
    """

    def __init__(
        self, recipe: Recipe, seed: int, faces: int, folder: Path, *, shown: bool, position: str = "", parts: int = 1
    ) -> None:
        self._recipe, self._seed, self._faces, self._shown, self._parts = recipe, seed, faces, shown, parts
        self._position = f"{position}: " if position else ""
        self._console = Console(stderr=True)
        # In a notebook without ipywidgets, rich would print a warning instead of the bar.
        drawable = find_spec("ipywidgets") is not None if self._console.is_jupyter else self._console.is_terminal
        self._bar_shown = shown and drawable
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
            disable=not self._bar_shown,
        )
        self._task = self._rich.add_task("", total=faces * recipe.epochs, figures="")
        self._events = _event_writer(folder)
        self._first_epoch = 0

    def __enter__(self) -> Progress:
        self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._rich.stop()

    def print(self, text: str) -> None:
        """Print a line above the bar; nothing for an empty text."""
        if self._shown and text:
            self._console.print(text, highlight=False, soft_wrap=True)

    def announce(self, device: str, precision: str, finished: int) -> None:
        """Print what is trained, where, and the epochs to come.

        Args:
            device: Device of the run.
            precision: Precision of the run.
            finished: Number of finished epochs of a run that is resumed.
        """
        recipe, left = self._recipe, self._recipe.epochs - finished
        self.print(f"{self._position}{recipe.name}, random seed {self._seed}")
        resumed = f", after {finished} finished" if finished else ""
        epochs = "1 epoch" if left == 1 else f"{left} epochs"
        self.print(f"{recipe.model} on {device} in {precision}: {epochs} of {self._faces:,} faces{resumed}")

    def start(self, epoch: int) -> None:
        """Show that an epoch starts."""
        self._epoch, self._done = epoch, 0
        self._started = self._refreshed = time.perf_counter()
        self._next_tenth = 0.1
        if not self._first_epoch:
            self._first_epoch, self._began = epoch, self._started
        self._rich.update(self._task, description=self._name, completed=(epoch - 1) * self._faces)

    def step(self, images: int, loss_sum: Tensor, correct: Tensor) -> None:
        """Show that a batch is done.

        Args:
            images: Number of images of the batch.
            loss_sum: Sum of the losses of this epoch, on the device; read only when something is shown.
            correct: Number of correct predictions of this epoch, likewise.
        """
        self._done += images
        if not self._shown or not self._is_due(time.perf_counter()):
            return
        now = self._refreshed = time.perf_counter()
        loss, accuracy = loss_sum.item() / self._done, correct.item() / self._done
        rate = self._done * self._parts / (now - self._started)
        figures = f"loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  {rate:.0f} images/s  {self._time_left(now)} left"
        completed = (self._epoch - 1 + self._epoch_fraction) * self._faces
        self._rich.update(self._task, completed=completed, figures=figures)
        if not self._bar_shown:
            self.print(f"{self._name}  {100 * self._epoch_fraction:.0f} %  {figures}")

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Print the line of a finished epoch and write its events."""
        if self._events:
            self._write_events(self._events, metrics)
        measured = {k: v for k, v in metrics.items() if k != "train_accuracy"}  # that is of the images as trained
        named = [(k.removesuffix("_accuracy"), v) for k, v in measured.items() if k.endswith("_accuracy")]
        accuracies = "  ".join(f"{name} {100 * value:.1f}" for name, value in named)
        self.print(f"{self._name}  loss {metrics['train_loss']:.3f}  accuracy %: {accuracies}")

    @property
    def _name(self) -> str:
        return f"epoch {self._epoch}/{self._recipe.epochs}"

    @property
    def _epoch_fraction(self) -> float:
        """Fraction of the epoch that is done."""
        return self._done * self._parts / self._faces

    def _is_due(self, now: float) -> bool:
        """Return whether the bar is refreshed or a line is printed now."""
        waited = now - self._refreshed
        if self._bar_shown:
            return waited >= REFRESH_SECONDS
        done = self._epoch_fraction
        if waited < MAX_SECONDS and (waited < MIN_SECONDS or done < self._next_tenth or done >= 1):
            return False
        self._next_tenth = int(10 * done + 1) / 10
        return True

    def _time_left(self, now: float) -> str:
        """Return an estimate of the time until the last epoch ends."""
        done = self._epoch - self._first_epoch + self._epoch_fraction
        left = self._recipe.epochs - self._first_epoch + 1 - done
        return duration((now - self._began) * left / done)

    def _write_events(self, events: _Events, metrics: Mapping[str, float]) -> None:
        """Write events; if they cannot be written, training continues without them."""
        try:
            events.write({k.replace("_", "/", 1): v for k, v in metrics.items() if k != "epoch"}, int(metrics["epoch"]))
        except OSError as error:
            self._events = None
            self.print(f"cannot write TensorBoard events: {error}; training continues without them")


class RunsProgress:
    """Progress over several runs: how many there are, and the time left after each.

    Args:
        finished: Whether each run, in the order of training, is finished already.
        names: Names of the recipes.
        seeds: Random seeds.
        shown: Whether to print anything, on stderr.
    """

    def __init__(self, finished: Sequence[bool], names: Sequence[str], seeds: Sequence[int], shown: bool) -> None:
        self._finished, self._shown, self._console = finished, shown, Console(stderr=True)
        self._index, self._trained, self._began = 0, 0, time.perf_counter()
        count = sum(finished)
        done = f", {count} of them finished" if count else ""
        random_seeds = f"random seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        self._print(f"{len(finished)} runs: {', '.join(names)} with {random_seeds}{done}")

    def next(self) -> str | bool:
        """Print the time left and return the position of the next run, for `train`."""
        index, total = self._index, len(self._finished)
        left = self._finished[index:].count(False)
        if self._trained and left:
            seconds = (time.perf_counter() - self._began) / self._trained * left
            runs = "1 run" if left == 1 else f"{left} runs"
            self._print(f"{runs} and about {duration(seconds)} left")
        self._index, self._trained = index + 1, self._trained + (not self._finished[index])
        return f"run {index + 1} of {total}" if self._shown else False

    def _print(self, text: str) -> None:
        if self._shown:
            self._console.print(text, highlight=False, soft_wrap=True)


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


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(45), duration(200), duration(9000)
    ('45 s', '3 min', '2 h 30 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
