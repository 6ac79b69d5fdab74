"""Measure the time to the first result for a photo in a fresh process. Writes results/first_answer.json.

usage: python benchmarks/first_answer.py [--rounds 15] [--note TEXT] [--out benchmarks/results/first_answer.json]

Each command runs in a fresh process, timed externally, including the start and exit of Python; the commands alternate,
after one round of warm-up. The sample portrait of the package has 512x512 pixels.

  python        nothing: the time to start Python
  floor         imports numpy, cv2 and onnxruntime, and opens the two sessions
  api           `mien.load().analyze(...)`, and prints the label
  command       `python -m mien analyze FILE`, which prints a line of JSON
  12 megapixels `api` on the portrait enlarged to 4000x3000, as JPEG

Memory is the peak of the process. On an idle laptop the result should take half a second; the bounds for any machine
are relative to the floor: twice its time, 170 MB, and 320 MB for 12 megapixels.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
from figures import machine, summary

from mien.imaging.load import read_image
from mien.model import SHIPPED
from mien.recognition import sample
from mien.threads import threads

HERE = Path(__file__).resolve().parent
FLOOR = (
    "import numpy, cv2, onnxruntime as o, sys\n"
    "options = o.SessionOptions(); options.intra_op_num_threads = int(sys.argv[1])\n"
    "models = [o.InferenceSession(file, options, providers=['CPUExecutionProvider']) for file in sys.argv[2:]]"
)
API = "import sys, mien; print(mien.load().analyze(sys.argv[1]).faces[0].label)"
BOUNDS = {"api beside floor, times": 2.0, "api, MB": 170, "12 megapixels, MB": 320}


def commands_in(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of each command."""
    large = folder / "large.jpg"
    cv2.imwrite(str(large), cv2.resize(read_image(sample()), (4000, 3000), interpolation=cv2.INTER_CUBIC))
    models = [str(SHIPPED / "yunet.onnx"), str(SHIPPED / "nano" / "model.onnx")]
    return {
        "python": ["-c", ""],
        "floor": ["-c", FLOOR, str(threads()), *models],
        "api": ["-c", API, str(sample())],
        "command": ["-m", "mien", "analyze", str(sample())],
        "12 megapixels": ["-c", API, str(large)],
    }


def time_process(arguments: list[str]) -> tuple[float, float]:
    """Run one process and return its seconds and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(arguments)}")
    return time.perf_counter() - start, _megabytes(usage)


def _megabytes(usage: resource.struct_rusage) -> float:
    """Return the peak memory in MB; the unit of ru_maxrss depends on the system."""
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Time all commands and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--note", default="", help="note on the circumstances of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "first_answer.json")
    args = parser.parse_args()
    record: dict[str, Any] = {
        "question": "how long does the first result for a photo take in a fresh process",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": args.rounds,
        "note": args.note,
        "machine": machine("onnxruntime"),
    }
    with tempfile.TemporaryDirectory() as temporary:
        commands = commands_in(Path(temporary))
        for arguments in commands.values():  # warm-up of the page cache
            time_process(arguments)
        rounds = [{name: time_process(arguments) for name, arguments in commands.items()} for _ in range(args.rounds)]
    for name in commands:
        record[name] = {
            "seconds": summary([one[name][0] for one in rounds], 3),
            "most_mb": summary([one[name][1] for one in rounds], 1),
        }
    measured = {
        "api beside floor, times": round(statistics.median(one["api"][0] / one["floor"][0] for one in rounds), 2),
        "api, MB": record["api"]["most_mb"]["median"],
        "12 megapixels, MB": record["12 megapixels"]["most_mb"]["median"],
    }
    record["bounds"] = {
        name: {"measured": measured[name], "at_most": most, "held": measured[name] <= most}
        for name, most in BOUNDS.items()
    }
    print(json.dumps(record, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
