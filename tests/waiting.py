"""Waiting for a condition, and not for a number of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 300.0  # seconds for what takes a few on an idle machine: a busy one starts processes slowly


def wait_until(condition: Callable[[], object], what: str, longest: float = LONGEST, pause: float = 0.01) -> None:
    """Return once `condition` holds; fail with a sentence about `what` was awaited if it does not come to hold."""
    until = time.monotonic() + longest
    while not condition():
        assert time.monotonic() < until, f"waited {longest:.0f} seconds in vain for {what}"
        time.sleep(pause)  # a loop without a pause would take a core from those it waits for
