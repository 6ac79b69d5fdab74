"""Number of threads: the environment variable `MIEN_THREADS` sets it for the whole package.

Two processes that each use all cores run several times slower than two that share them. This setting therefore applies
to onnxruntime, torch, OpenCV and video decoding alike.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from mien.errors import MienError

VARIABLE = "MIEN_THREADS"
MAX_THREADS = 9999
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_UNLIMITED = 1_000_000


def threads_from_environment() -> int | None:
    """Return the value of `MIEN_THREADS`, or None where it is not set.

    Raises:
        MienError: The value is not a whole number from 1 to 9999.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, {"MIEN_THREADS": "2"}):
    ...     threads_from_environment()
    2
    """
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return None
    if not _is_count(value):
        raise MienError(f"{VARIABLE} must be a whole number from 1 to {MAX_THREADS}, got '{value[:40]}'")
    return int(value)


def threads() -> int:
    """Return the number of threads to use: `MIEN_THREADS`, else `OMP_NUM_THREADS`, else the available cores.

    The available cores are those that the process may run on. In a Linux container they are limited by its CPU quota
    (cgroup v2): with a quota of 2 on a machine with 64 cores, the result is 2.

    Raises:
        MienError: `MIEN_THREADS` is not a whole number from 1 to 9999.

    >>> threads() >= 1
    True
    """
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return threads_from_environment() or (int(openmp) if _is_count(openmp) else min(_cores(), _quota(_CPU_QUOTA)))


def resolve_threads(count: int | None) -> int:
    """Return `count` if it is a valid number of threads, or `threads()` if it is None.

    Args:
        count: Number of threads that the caller passed.

    Raises:
        MienError: `count` is not a whole number from 1 to 9999.

    >>> resolve_threads(3)
    3
    """
    if count is None:
        return threads()
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise MienError(f"threads must be a whole number from 1 to {MAX_THREADS}, got {count!r}")
    return count


def _is_count(text: str) -> bool:
    return re.fullmatch("[0-9]{1,4}", text) is not None and int(text) > 0


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(file: Path) -> int:
    """Return the CPU quota of the container in cores, rounded up; a very large number where there is no limit."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return _UNLIMITED
