"""Background threads: prefetching, a worker queue, a semaphore of bytes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3  # items that wait: enough to even out what takes unequal times, and few enough for images


def prefetch(items: Iterable[T], depth: int = DEPTH) -> Generator[T]:
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
        except BaseException as error:  # raised again where the items are wanted
            put(False, error)

    thread = threading.Thread(target=take, name="mien-ahead", daemon=True)
    try:
        thread.start()
        while True:
            going, item = waiting.get()
            if not going:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        with suppress(RuntimeError):  # interrupted as it begins: it will find that there is nothing left to do
            thread.join()


class ByteSemaphore:
    """So many bytes for threads to fill, let in one after another by their turns: 0, 1, 2 and so on.

    Who comes next waits until there is room; what is larger than all of it comes in when nobody else is there.

    Attributes:
        held: bytes that are taken now.
    """

    def __init__(self, most: int) -> None:
        self._most, self.held, self._next, self._closed = most, 0, 0, False
        self._changed = threading.Condition()

    def take(self, turn: int, amount: int) -> bool:
        """Wait for the turn, and then for `amount` bytes; False where the room was closed before."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (turn == self._next and self._fits(amount)))
            if self._closed:
                return False
            self.held, self._next = self.held + amount, self._next + 1
            self._changed.notify_all()
            return True

    def give(self, amount: int) -> None:
        """Leave so many of the bytes that were taken."""
        with self._changed:
            self.held -= amount
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more; who waits is told so."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, amount: int) -> bool:
        return self.held == 0 or self.held + amount <= self._most


class BackgroundWorker:
    """Calls made in a thread, in their order, a few behind whoever asks for them.

    Python raises what Ctrl-C means in the main thread alone, so what is called here is never torn in two by it. Neither
    a video's encoder nor OpenCV's letters may be: OpenCV 5.0.0 crashes when it is interrupted in `getTextSize`.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(depth)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mien-behind", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # interrupted as it begins: it is to end again
            self._waiting.put(None)
            self._waiting.put(lambda: None)
            raise

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
                except BaseException as error:  # raised again where it can be caught
                    broken, self._failed = True, self._failed or error
            if closing:
                return
