"""Waiting for a condition instead of a number of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 300.0  # seconds; most conditions take a few, but a busy machine starts processes slowly


def wait_until(condition: Callable[[], object], what: str, longest: float = LONGEST, pause: float = 0.01) -> None:
    """Return once `condition` holds; fail with `what` in the message if it does not within `longest` seconds."""
    until = time.monotonic() + longest
    while not condition():
        assert time.monotonic() < until, f"timed out after {longest:.0f} seconds waiting for {what}"
        time.sleep(pause)  # a loop without a pause would take a core from the processes that it waits for
