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

REFRESH_SECONDS = 0.5  # reading a sum off a GPU makes it wait, so the bar asks seldom


class Progress:
    """A bar per epoch and a line for each that is done, on stderr; silent unless `shown`."""

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
            # In a notebook without ipywidgets rich would print a warning in the place of the bar.
            disable=not shown or (self._console.is_jupyter and find_spec("ipywidgets") is None),
        )
        self._task = self._rich.add_task("", total=faces * recipe.epochs, figures="")
        self._events = _event_writer(folder)

    def __enter__(self) -> Progress:
        self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._rich.stop()

    def say(self, text: str) -> None:
        """Print a line that stays above the bar; nothing for an empty text."""
        if self._shown and text:
            self._console.print(text, highlight=False, soft_wrap=True)

    def start(self, epoch: int) -> None:
        """An epoch begins."""
        self._epoch, self._done = epoch, 0
        self._began = self._asked = time.perf_counter()
        name = f"{self._recipe.name} seed {self._seed} epoch {epoch}/{self._recipe.epochs}"
        self._rich.update(self._task, description=name, completed=(epoch - 1) * self._faces)

    def step(self, images: int, loss_sum: Tensor, right: Tensor) -> None:
        """A batch of `images` is done; the sums are read only when the bar is due."""
        self._done += images
        now = time.perf_counter()
        if not self._shown or now - self._asked < REFRESH_SECONDS:
            return
        self._asked = now
        loss, accuracy = loss_sum.item() / self._done, right.item() / self._done
        rate = self._done / (now - self._began)
        self._rich.update(
            self._task,
            completed=(self._epoch - 1) * self._faces + self._done,
            figures=f"loss {loss:.3f}  accuracy {accuracy:.1%}  {rate:.0f} images/s",
        )

    def finish(self, metrics: Mapping[str, float]) -> None:
        """An epoch is done: one lasting line, and the events."""
        if self._events:
            self._tell_tensorboard(self._events, metrics)
        if self._shown:
            named = [(k.removesuffix("_accuracy"), v) for k, v in metrics.items() if k.endswith("_accuracy")]
            accuracies = "  ".join(f"{name} {value:.2%}" for name, value in named)
            self._console.print(
                f"{self._recipe.name} seed {self._seed} epoch {self._epoch}/{self._recipe.epochs}  "
                f"loss {metrics['train_loss']:.3f}  {accuracies}  {metrics['images_per_second']:.0f} images/s",
                highlight=False,
                soft_wrap=True,
            )

    def _tell_tensorboard(self, events: _Events, metrics: Mapping[str, float]) -> None:
        """Where events cannot be written, training goes on without them."""
        try:
            events.write({k.replace("_", "/", 1): v for k, v in metrics.items() if k != "epoch"}, int(metrics["epoch"]))
        except OSError as error:
            self._events = None
            if self._shown:
                self._console.print(f"no more events for TensorBoard: {error}", highlight=False)


class _Events:
    """A file for TensorBoard in `folder`, made when there is something to write.

    Its own writer works in a thread, which on a full disk dies with a traceback and takes the training with it; and it
    names the host.
    """

    _number = itertools.count()

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        self._event, self._summary, self._record = event_pb2.Event, summary_pb2.Summary, RecordWriter
        self._file = folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}.{next(self._number)}"

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Add one epoch's figures; `OSError` where that is not possible."""
        told = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        events = [self._event(wall_time=time.time(), step=epoch, summary=self._summary(value=told))]
        if not self._file.exists():
            self._file.parent.mkdir(exist_ok=True)
            events.insert(0, self._event(wall_time=time.time(), file_version="brain.Event:2"))
        with self._file.open("ab") as file:
            for event in events:
                self._record(file).write(event.SerializeToString())


def _event_writer(folder: Path) -> _Events | None:
    """A writer where tensorboard is installed, else None."""
    try:
        return _Events(folder / "tensorboard")
    except ImportError:
        return None
