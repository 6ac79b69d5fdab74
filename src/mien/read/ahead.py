"""Work done in a thread of its own: a few items ahead of whoever takes them, or a few behind whoever hands them in."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3  # items that wait: enough to even out what takes unequal times, and few enough for pictures


def ahead(items: Iterable[T], depth: int = DEPTH) -> Generator[T]:
    """The `items`, in their order, taken in a thread; at most `depth` wait.

    What `items` raises is raised here, in its place. The thread ends with the generator, be that closed early.
    """
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(going: bool, item: T | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put((going, item), timeout=0.1)
                return

    def take() -> None:
        try:
            for item in items:
                put(True, item)
                if stop.is_set():
                    return
            put(False, None)
        except BaseException as why:  # raised again where the items are wanted
            put(False, why)

    thread = threading.Thread(target=take, name="mien-ahead", daemon=True)
    thread.start()
    try:
        while True:
            going, item = waiting.get()
            if not going:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


class Behind:
    """Calls made in a thread, in their order, a few behind whoever asks for them.

    Python raises what Ctrl-C means in the main thread alone, so what is called here is never torn in two by it. Neither
    a video's encoder nor OpenCV's letters may be: OpenCV 5.0.0 crashes when it is interrupted in `getTextSize`.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(depth)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mien-behind", daemon=True)
        self._thread.start()

    def do(self, act: Callable[[], object]) -> None:
        """Have `act` called; raises here what an earlier call raised, after which no more are made."""
        self._tell()
        self._waiting.put(act)

    def close(self, last: Callable[[], object]) -> None:
        """Have `last` called, whatever an earlier call raised, and wait until all is done; then raise as `do`."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._waiting.put(last)
            self._thread.join()
        self._tell()

    def _tell(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _run(self) -> None:
        broken, closing = False, False
        while True:
            act = self._waiting.get()
            if act is None:
                closing = True
                continue
            if not broken or closing:
                try:
                    act()
                except BaseException as why:  # raised again where it can be caught
                    broken, self._failed = True, self._failed or why
            if closing:
                return
