"""Background threads: prefetching, a worker queue, a semaphore of bytes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3  # items in a queue: enough to even out different durations, and few enough for images


def prefetch(items: Iterable[T], depth: int = DEPTH) -> Generator[T]:
    """Yield `items` in their order, taken from the iterable in a thread; at most `depth` items wait.

    An exception of `items` is raised in its place. The thread ends with the generator, also if it is closed early.

    Args:
        items: Iterable that runs in the thread.
        depth: Maximum number of items that wait.

    Example:
        >>> list(prefetch(range(3)))
        [0, 1, 2]
    """
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(is_item: bool, item: T | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put((is_item, item), timeout=0.1)
                return

    def run() -> None:
        try:
            for item in items:
                put(True, item)
                if stop.is_set():
                    return
            put(False, None)
        except BaseException as error:  # raised again in the thread that takes the items
            put(False, error)

    thread = threading.Thread(target=run, name="mien-prefetch", daemon=True)
    try:
        thread.start()
        while True:
            is_item, item = waiting.get()
            if not is_item:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        with suppress(RuntimeError):  # interrupted before the thread started; it ends at once if it starts later
            thread.join()


class ByteSemaphore:
    """A number of bytes that threads acquire in the order of their turns: 0, 1, 2 and so on.

    A thread waits until its bytes are free. An amount above the capacity is granted when no other bytes are held.

    Args:
        capacity: Number of bytes.

    Attributes:
        held: Number of bytes that are held now.

    Example:
        >>> semaphore = ByteSemaphore(100)
        >>> semaphore.acquire(0, 60), semaphore.held
        (True, 60)
        >>> semaphore.release(60)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self.held, self._next, self._closed = capacity, 0, 0, False
        self._changed = threading.Condition()

    def acquire(self, turn: int, amount: int) -> bool:
        """Wait for the turn, and then for `amount` bytes; return False if the semaphore was closed before."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (turn == self._next and self._fits(amount)))
            if self._closed:
                return False
            self.held, self._next = self.held + amount, self._next + 1
            self._changed.notify_all()
            return True

    def release(self, amount: int) -> None:
        """Give back `amount` bytes."""
        with self._changed:
            self.held -= amount
            self._changed.notify_all()

    def close(self) -> None:
        """Make all waiting and later calls of `acquire` return False."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, amount: int) -> bool:
        return self.held == 0 or self.held + amount <= self._capacity


class BackgroundWorker:
    """A thread that makes calls in their order, a few behind the thread that submits them.

    Python raises KeyboardInterrupt only in the main thread, so it never interrupts these calls. Neither a video encoder
    nor OpenCV's text drawing may be interrupted: OpenCV 5.0.0 crashes when it is interrupted in `getTextSize`.

    Args:
        depth: Maximum number of calls that wait.

    Example:
        >>> results = []
        >>> worker = BackgroundWorker()
        >>> worker.submit(lambda: results.append(1))
        >>> worker.close(lambda: results.append(2))
        >>> results
        [1, 2]
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mien-worker", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # interrupted while it starts: end the thread
            self._waiting.put(None)
            self._waiting.put(lambda: None)
            raise

    def submit(self, call: Callable[[], object]) -> None:
        """Queue a call; raise the exception of an earlier call, after which no further calls are made."""
        self._raise()
        self._waiting.put(call)

    def close(self, last: Callable[[], object]) -> None:
        """Make the call `last`, even after an exception, wait for the thread to end, and raise as `submit` does."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._waiting.put(last)
            self._thread.join()
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        failed, closing = False, False
        while True:
            call = self._waiting.get()
            if call is None:
                closing = True
                continue
            if not failed or closing:
                try:
                    call()
                except BaseException as error:  # raised again in the thread that submits calls
                    failed, self._error = True, self._error or error
            if closing:
                return
