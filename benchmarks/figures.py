"""Summaries over rounds and a description of the machine, shared by all benchmarks."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien.threads import threads


def summary(figures: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """Return the median, the quartiles and all values; the quartiles of a single value are that value."""
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else [*figures] * 3
    return {
        "median": round(middle, digits),
        "quartiles": [round(low, digits), round(high, digits)],
        "all": [round(figure, digits) for figure in figures],
    }


def update(out: Path, section: str, value: dict[str, Any]) -> None:
    """Write one section of a record and keep its other sections."""
    record = json.loads(out.read_text()) if out.exists() else {}
    record[section] = value
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")


def machine(*packages: str) -> dict[str, Any]:
    """Return the machine, the versions of `packages` and the load average."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": names[0] if names else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "threads": threads(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "load_average": [round(n, 2) for n in os.getloadavg()],
    }
