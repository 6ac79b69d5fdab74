"""A thread that works ahead: same items, same order, same errors, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mien.read.ahead import ahead


def left_behind() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "mien-ahead"]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([])) == []
    assert not left_behind()


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    going = ahead(items())
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

    going = ahead(items(), 3)
    assert [next(going) for _ in range(10)] == list(range(10))
    going.close()
    assert not left_behind()
    assert len(taken) <= 10 + 3 + 2
