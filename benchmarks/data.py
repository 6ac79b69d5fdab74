"""Measure the time to read fer2013.csv with pandas, with mien, and from the cache of mien.

usage: python benchmarks/data.py FER2013_CSV [--repeats 5] [--out benchmarks/results/data.json]

Each measurement runs in a fresh process; imports are not timed; memory is the peak resident size of the process,
imports included. The three methods alternate within each repeat. The file is read once before, so that it is in the
system's page cache. All methods must return the same arrays: their checksums are compared. Needs pandas.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

# Code of each process: it reads argv[1] into `pixels`, train, val and test, and prints time and memory.
PROLOGUE = """
import json, resource, sys, time, zlib
import numpy as np
"""
EPILOGUE = """
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == 'linux' else 1024**2)
crc = 0
for part in filter(len, parts):
    crc = zlib.crc32(np.ascontiguousarray(part).data.cast('B'), crc)
print(json.dumps({'seconds': seconds, 'cpu': cpu, 'peak_mib': peak, 'crc': crc, 'faces': sum(map(len, parts))}))
"""
METHODS = {
    # The fastest of the usual methods: [int(p) for p in text.split()] and list(map(int, ...)) take 1.5 times as long.
    "pandas": """
import pandas
began, cpu = time.perf_counter(), time.process_time()
table = pandas.read_csv(sys.argv[1])
usage = table['Usage'].to_numpy()
pixels = np.stack([np.array(text.split(' '), dtype=np.uint8) for text in table['pixels']]).reshape(-1, 48, 48)
parts = [pixels[usage == u] for u in ('Training', 'PublicTest', 'PrivateTest')]
""",
    "mien": """
from mien.data import load
began, cpu = time.perf_counter(), time.process_time()
parts = [split.pixels_NHW for split in load(sys.argv[1], cache=False).splits.values()]
""",
    "mien, cached": """
from mien.data import load
began, cpu = time.perf_counter(), time.process_time()
parts = [split.pixels_NHW for split in load(sys.argv[1]).splits.values()]
""",
}


def measure(method: str, csv: Path, cache: Path) -> dict[str, Any]:
    """Return seconds, peak MiB and the checksum of one load in a fresh process."""
    code = PROLOGUE + METHODS[method] + EPILOGUE
    environment = {**os.environ, "MIEN_CACHE": str(cache)}
    process = subprocess.run(
        [sys.executable, "-c", code, csv], capture_output=True, text=True, env=environment, check=False
    )
    if process.returncode:
        sys.exit(f"{method}: {process.stderr}")
    return dict(json.loads(process.stdout))


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median, the quartiles and all values."""
    seconds = sorted(run["seconds"] for run in runs)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else (seconds * 3)
    return {
        "seconds_median": round(statistics.median(seconds), 4),
        "seconds_quartiles": [round(low, 4), round(high, 4)],
        "seconds_all": [round(run["seconds"], 4) for run in runs],
        "cpu_seconds_median": round(statistics.median(run["cpu"] for run in runs), 4),
        "peak_mib_max": round(max(run["peak_mib"] for run in runs), 1),
    }


def machine() -> dict[str, Any]:
    """Return the machine, versions and load average."""
    import numpy
    import pandas

    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": [round(n, 2) for n in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "pandas": pandas.__version__,
    }


def main() -> None:
    """Run all methods and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "data.json")
    args = parser.parse_args()
    csv: Path = args.csv
    if not csv.is_file():
        sys.exit(f"{csv}: no such file")
    machine_info = machine()
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as cache:
        measure("mien, cached", csv, Path(cache))  # warm-up of the page cache and the cache of mien
        for _ in range(args.repeats):
            for method in METHODS:
                runs[method].append(measure(method, csv, Path(cache)))
    if len({(run["crc"], run["faces"]) for runs_of_method in runs.values() for run in runs_of_method}) != 1:
        sys.exit("the methods return different pixels")
    results = {method: summary(runs_of_method) for method, runs_of_method in runs.items()}
    pandas_s = results["pandas"]["seconds_median"]
    record = {
        "question": "seconds from fer2013.csv to arrays",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "file": {"name": csv.name, "bytes": csv.stat().st_size, "faces": runs["mien"][0]["faces"]},
        "repeats": args.repeats,
        "machine": machine_info,
        "results": results,
        "times_faster_than_pandas": {
            method: round(pandas_s / results[method]["seconds_median"], 1) for method in ("mien", "mien, cached")
        },
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{csv.name}, {csv.stat().st_size / 1e6:.0f} MB, {args.repeats} repeats")
    for method, result in results.items():
        low, high = result["seconds_quartiles"]
        print(
            f"{method:20} {result['seconds_median']:8.3f} s  ({low:.3f} to {high:.3f})"
            f"  {result['cpu_seconds_median']:7.3f} s of CPU  {result['peak_mib_max']:7.0f} MiB"
            f"  {pandas_s / result['seconds_median']:7.1f}x"
        )


if __name__ == "__main__":
    main()
