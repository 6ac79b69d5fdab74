"""Work done in a thread of its own, a few items ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
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
