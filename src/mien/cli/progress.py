"""Progress bars of long commands."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ImageProgressBar:
    """A progress bar over images, and a summary line at the end; silent without a terminal.

    It is shown on stderr if that is a terminal, unless results are printed to the terminal too, where lines and bar
    would overlap. A table is printed by its own console, which then draws the bar too.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        """Create a bar that is not started yet.

        Args:
            total: Number of images.
            console: Console that prints the results, if any.
        """
        results_on_terminal = console is not None and console.is_terminal
        self._console = console if console is not None and results_on_terminal else Console(stderr=True)
        self._shown = self._console.is_terminal and (results_on_terminal or not sys.stdout.isatty())
        self._total, self._images, self._faces = total, 0, 0
        self._bar = Progress(
            TextColumn("reading"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,  # results go to stdout and not to the console of the bar
            redirect_stderr=False,
            disable=not self._shown,
        )
        self._task = self._bar.add_task("", total=total, rate="")

    def __enter__(self) -> ImageProgressBar:
        self._began = time.perf_counter()
        self._bar.start()
        return self

    def step(self, faces: int, *, images: int = 1, of: int | None = None) -> None:
        """Advance by the images read.

        Args:
            faces: Faces found in them.
            images: Number of images.
            of: New total, if it was unknown before.
        """
        self._images, self._faces = self._images + images, self._faces + faces
        self._total = self._total if of is None else of
        self._bar.update(self._task, advance=images, total=self._total, rate=f"{self._rate():.0f} images/s")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        if self._shown:
            summary = f"{self._images:,} of {self._total:,} images, {self._faces:,} faces"
            self._console.print(f"{summary}, {self._rate():.0f} images/s", highlight=False)

    def _rate(self) -> float:
        return self._images / max(time.perf_counter() - self._began, 1e-9)


class StepProgressBar:
    """A progress bar over steps on stderr that disappears at the end; silent without a terminal."""

    def __init__(self, name: str, total: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> StepProgressBar:
        self._bar.start()
        return self

    def step(self) -> None:
        """Advance by one step."""
        self._bar.update(self._task, advance=1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
