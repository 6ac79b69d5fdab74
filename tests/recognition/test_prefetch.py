"""Background threads: items, order and errors are kept, and no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mien.recognition.prefetch import BackgroundWorker, ByteSemaphore, prefetch


def running_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in ("mien-prefetch", "mien-worker")]


def test_prefetch_yields_items_in_order() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([])) == []
    assert not running_threads()


def test_prefetch_raises_the_error_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    items_ahead = prefetch(items())
    assert [next(items_ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="the sixth"):
        next(items_ahead)
    assert not running_threads()


def test_prefetch_holds_few_items_and_can_be_closed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(10_000):
            taken.append(i)
            yield i

    items_ahead = prefetch(items(), 3)
    assert [next(items_ahead) for _ in range(10)] == list(range(10))
    items_ahead.close()
    assert not running_threads()
    assert len(taken) <= 10 + 3 + 2


def test_prefetch_interrupted_while_starting_raises_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has an identifier, and does not count as started."""

    class Interrupted(threading.Thread):
        ident = 7

        def start(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch([1]))


def fail() -> None:
    raise ValueError("no")


def test_worker_makes_calls_in_order_in_another_thread() -> None:
    worker, calls = BackgroundWorker(2), list[object]()
    for i in range(50):
        worker.submit(lambda i=i: calls.append(i))
    worker.close(lambda: calls.append(threading.current_thread() is threading.main_thread()))
    assert calls == [*range(50), False]
    worker.close(fail)  # closed already
    assert not running_threads()


def test_worker_after_an_error_makes_only_the_last_call() -> None:
    worker, calls = BackgroundWorker(), list[str]()
    worker.submit(fail)
    worker.submit(lambda: calls.append("after"))
    with pytest.raises(ValueError, match="no"):
        worker.close(lambda: calls.append("last"))
    assert calls == ["last"]
    assert not running_threads()


def test_semaphore_grants_by_turns_what_fits() -> None:
    semaphore, granted = ByteSemaphore(10), [threading.Event() for _ in range(4)]

    def request(turn: int, amount: int) -> threading.Thread:
        def run() -> None:
            if semaphore.acquire(turn, amount):
                granted[turn].set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    early = request(1, 4)  # waits for turn 0, although there are enough bytes
    assert semaphore.acquire(0, 6)
    early.join()
    assert (granted[1].is_set(), semaphore.held) == (True, 10)
    large = request(2, 11)  # above the capacity: granted alone
    semaphore.release(6)
    assert not granted[2].is_set()
    semaphore.release(4)
    large.join()
    assert (granted[2].is_set(), semaphore.held) == (True, 11)
    last = request(3, 1)
    semaphore.close()
    last.join()
    assert not granted[3].is_set()
    assert not semaphore.acquire(3, 0)
