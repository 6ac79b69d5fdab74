"""A thread that works ahead: same items, same order, same errors, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mien.recognition.prefetch import BackgroundWorker, ByteSemaphore, prefetch


def left_behind() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in ("mien-ahead", "mien-behind")]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([])) == []
    assert not left_behind()


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    going = prefetch(items())
    assert [next(going) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="the sixth"):
        next(going)
    assert not left_behind()


def test_at_most_a_few_wait_and_closing_ends_it() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(10_000):
            taken.append(i)
            yield i

    going = prefetch(items(), 3)
    assert [next(going) for _ in range(10)] == list(range(10))
    going.close()
    assert not left_behind()
    assert len(taken) <= 10 + 3 + 2


def test_an_interrupt_as_the_thread_begins_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a moment that cannot be hit on purpose: it has a number, and does not count as started."""

    class Interrupted(threading.Thread):
        ident = 7

        def start(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch([1]))


def fail() -> None:
    raise ValueError("no")


def test_calls_are_made_in_order_and_in_another_thread() -> None:
    behind, made = BackgroundWorker(2), list[object]()
    for i in range(50):
        behind.do(lambda i=i: made.append(i))
    behind.close(lambda: made.append(threading.current_thread() is threading.main_thread()))
    assert made == [*range(50), False]
    behind.close(fail)  # closed already
    assert not left_behind()


def test_after_an_error_only_the_last_call_is_made() -> None:
    behind, made = BackgroundWorker(), list[str]()
    behind.do(fail)
    behind.do(lambda: made.append("after"))
    with pytest.raises(ValueError, match="no"):
        behind.close(lambda: made.append("last"))
    assert made == ["last"]
    assert not left_behind()


def test_a_room_lets_in_by_turns_and_as_much_as_fits() -> None:
    room, inside = ByteSemaphore(10), [threading.Event() for _ in range(4)]

    def come(turn: int, amount: int) -> threading.Thread:
        def run() -> None:
            if room.take(turn, amount):
                inside[turn].set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    early = come(1, 4)  # waits for turn 0, although there is room
    assert room.take(0, 6)
    early.join()
    assert (inside[1].is_set(), room.held) == (True, 10)
    large = come(2, 11)  # more than there ever is: comes in alone
    room.give(6)
    assert not inside[2].is_set()
    room.give(4)
    large.join()
    assert (inside[2].is_set(), room.held) == (True, 11)
    last = come(3, 1)
    room.close()
    last.join()
    assert not inside[3].is_set()
    assert not room.take(3, 0)
