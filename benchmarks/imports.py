"""Compare the time of `import mien` with that of importing numpy and OpenCV alone. Writes results/imports.json.

Run:   python benchmarks/imports.py

Each import runs in a fresh process; the sides alternate, after one warm-up of each. Figures are milliseconds of
processor time, as the machines are shared. `import mien` may take at most 1.3 times as long as the baseline. It imports
almost nothing, because each public name is imported at its first use; so the import of `load` and of all public names
is recorded too.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "imports.json"
BOUND, TIMES = 1.3, 21
SIDES = {
    "numpy and cv2": "import numpy, cv2",
    "mien": "import mien",
    "what reads images": "from mien import load",
    "all public names": "from mien import *",
}
CODE = "import time; begun = time.process_time(); {}; print(time.process_time() - begun)"
MODULES = "import sys; from mien import load; print(*sorted(set(name.split('.')[0] for name in sys.modules)))"
HEAVY = ("onnxruntime", "torch", "matplotlib", "rich", "typer", "PIL", "av", "pyarrow", "pandas", "scipy")


def milliseconds(code: str) -> float:
    """Return the processor time of an import in a fresh process."""
    process = subprocess.run([sys.executable, "-c", CODE.format(code)], capture_output=True, text=True, check=True)
    return 1000 * float(process.stdout)


def spread(times: list[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, middle, high = statistics.quantiles(times, n=4)
    return {"median": round(middle, 1), "low": round(low, 1), "high": round(high, 1)}


def main() -> None:
    """Time all imports and write the record."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for repeat in range(TIMES + 1):
        for side, code in SIDES.items():
            elapsed = milliseconds(code)
            if repeat:
                times[side].append(elapsed)
    modules = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True).stdout.split()
    baseline = times["numpy and cv2"]
    ratios = {
        s: [t / base for t, base in zip(times_of_side, baseline, strict=True)] for s, times_of_side in times.items()
    }
    record = {
        "question": "how long does import mien take",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()},
        "milliseconds": {side: spread(times_of_side) for side, times_of_side in times.items()},
        "ratio": {side: round(statistics.median(times_of_side), 3) for side, times_of_side in ratios.items()},
        "bound": BOUND,
        "imported_to_read_images": [name for name in HEAVY if name in modules],
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
