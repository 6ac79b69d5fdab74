"""Progress bars of long commands."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ImageProgressBar:
    """A bar over images while they are read, and a lasting line at the end; silent where nobody would see it.

    It is shown on stderr if that is a terminal, unless the results go to the terminal too: lines and bar would run into
    each other. A table is printed by a console of its own, which then draws the bar too.
    """

    def __init__(self, total: int, console: Console | None, *, shown: bool) -> None:
        """
        Args:
            total: images.
            console: what prints the results, if anything does.
            shown: whether there is enough to do for a bar.
        """
        results_seen = console is not None and console.is_terminal
        self._console = console if console is not None and results_seen else Console(stderr=True)
        self._shown = shown and self._console.is_terminal and (results_seen or not sys.stdout.isatty())
        self._total, self._images, self._faces = total, 0, 0
        self._bar = Progress(
            TextColumn("reading"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,  # what is written there goes to stdout, and not to the bar's console
            redirect_stderr=False,
            disable=not self._shown,
        )
        self._task = self._bar.add_task("", total=total, rate="")

    def __enter__(self) -> ImageProgressBar:
        self._began = time.perf_counter()
        self._bar.start()
        return self

    def step(self, faces: int, *, images: int = 1, of: int | None = None) -> None:
        """An image is read, or several; `of` how many there are, where that was not known at first."""
        self._images, self._faces = self._images + images, self._faces + faces
        self._total = self._total if of is None else of
        self._bar.update(self._task, advance=images, total=self._total, rate=f"{self._rate():.0f} images/s")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        if self._shown:
            told = f"{self._images:,} of {self._total:,} images, {self._faces:,} faces"
            self._console.print(f"{told}, {self._rate():.0f} images/s", highlight=False)

    def _rate(self) -> float:
        return self._images / max(time.perf_counter() - self._began, 1e-9)


class StepProgressBar:
    """A bar over so many steps on stderr, gone at the end; silent where that is no terminal."""

    def __init__(self, name: str, total: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> StepProgressBar:
        self._bar.start()
        return self

    def step(self) -> None:
        """One is done."""
        self._bar.update(self._task, advance=1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
