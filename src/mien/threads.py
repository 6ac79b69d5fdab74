"""Number of threads: `MIEN_THREADS` for all parts of the package.

Two processes that each take all cores for themselves run several times slower than if they shared them, so this is
one setting for the whole program: `MIEN_THREADS`.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from mien.errors import MienError

SETTING = "MIEN_THREADS"
MOST = 9999
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def asked() -> int | None:
    """What `MIEN_THREADS` says; None where it is not set.

    Raises:
        MienError: it is no whole number from 1 to 9999.
    """
    said = os.environ.get(SETTING, "").strip()
    if not said:
        return None
    if not _is_count(said):
        raise MienError(f"{SETTING} is the number of threads to use, a whole number above 0, not '{said[:40]}'")
    return int(said)


def threads() -> int:
    """What `MIEN_THREADS` says, else `OMP_NUM_THREADS`, else the cores that this process may run on.

    A Linux container's quota (cgroup v2) counts: on a host of 64 cores, with a quota of 2, the answer is 2.

    Raises:
        MienError: `MIEN_THREADS` is no whole number from 1 to 9999.
    """
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return asked() or (int(openmp) if _is_count(openmp) else min(_cores(), _quota(_QUOTA)))


def of_one(forward: int | None) -> int:
    """The threads that someone asks for one forward of a model, None as `threads`.

    Raises:
        MienError: `forward` is no whole number from 1 to 9999.
    """
    if forward is None:
        return threads()
    if isinstance(forward, bool) or not isinstance(forward, int) or not 1 <= forward <= MOST:
        raise MienError(f"threads is a whole number from 1 to {MOST}, got {forward!r}")
    return forward


def _is_count(text: str) -> bool:
    return re.fullmatch("[0-9]{1,4}", text) is not None and int(text) > 0


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(file: Path) -> int:
    """Cores that a Linux container was given, rounded up; many where there is no limit."""
    try:
        most, period = file.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(most) / int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return 1_000_000
