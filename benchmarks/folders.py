"""Compare the analysis of a folder of photos with decoding and detection alone. Writes results/folders.json.

usage: python benchmarks/folders.py [--photos 2000] [--rounds 5] [--note TEXT] [--only-costs]
                                    [--out benchmarks/results/folders.json]

The photos are generated in a temporary folder from the sample portrait of the package: cropped, mirrored, brightened,
side by side, from 400 to 2400 pixels wide, as JPEG of quality 60 to 95. The floor is a loop over the files: read the
bytes, `cv2.imdecode`, resize to 1280 pixels, and run the bare session of the detector, one image after another. Ours is
`mien.recognition.analyze_sources` with `nano`, which writes JSON lines to a file; it includes safe decoding,
non-maximum suppression, face crops and predictions. It detects in one size and takes photos as they are, with
`scales=one` and `orientation=off`, as the floor does. The third side, `several`, does not, and its cost is the ratio to
ours. `--only-costs` measures only this, and keeps the rest of the record.

Each side is a fresh process in each round, and the sides alternate. A process analyzes all photos after 20 photos of
warm-up, and prints the seconds and its resident memory after the first tenth of the photos and at the end. Median and
quartiles are over rounds; processor seconds are recorded too, as they depend less on the load of the machine. Ours has
to reach 0.85 times the rate of the floor, and its memory may grow by 30 MB at most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import machine, summary, update
from portraits import photos

from mien.threads import threads

HERE = Path(__file__).resolve().parent
WARM_UP = 20
PLAIN = {"scales": "one", "orientation": "off"}
LONGEST = 1280
LEAST_RATE, MOST_GROWTH_MB = 0.85, 30


def make(folder: Path, count: int) -> None:
    """Write `count` different photos."""
    for number, data in enumerate(photos(count, (400, 2400), several=0.3, most=4)):
        file = folder / f"{number % 20:02}" / f"{number:05}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)


def resident_mb() -> float:
    """Return the resident memory of this process in MB; its peak on systems without /proc."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)


def child(side: str, folder: Path) -> dict[str, float]:
    """Analyze all photos in this process and return seconds, faces and memory."""
    files = sorted(folder.rglob("*.jpg"))
    step = floor(folder) if side == "floor" else ours(folder, {} if side == "several" else PLAIN)
    for _ in step(files[:WARM_UP]):
        pass
    tenth, early, faces = len(files) // 10, 0.0, 0
    began, began_cpu = time.perf_counter(), time.process_time()
    for number, found in enumerate(step(files), 1):
        faces += found
        if number == tenth:
            early = resident_mb()
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"seconds": seconds, "cpu": cpu, "faces": faces, "early_mb": early, "late_mb": resident_mb()}


def floor(folder: Path) -> Any:
    """Return a function that only decodes and detects."""
    import onnxruntime

    from mien.model import SHIPPED

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    session = onnxruntime.InferenceSession(str(SHIPPED / "yunet.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def step(files: list[Path]) -> Any:
        for file in files:
            image_HW3 = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            high, wide = image_HW3.shape[:2]
            if (scale := LONGEST / max(high, wide)) < 1:
                image_HW3 = cv2.resize(
                    image_HW3, (round(wide * scale), round(high * scale)), interpolation=cv2.INTER_AREA
                )
            high, wide = image_HW3.shape[:2]
            padded_HW3 = cv2.copyMakeBorder(image_HW3, 0, -high % 32, 0, -wide % 32, cv2.BORDER_CONSTANT)
            session.run(None, {name: padded_HW3.transpose(2, 0, 1)[None].astype(np.float32)})
            yield 0

    return step


def ours(folder: Path, options: dict[str, Any]) -> Any:
    """Return a function that analyzes files and writes JSON lines."""
    import mien
    from mien.recognition import analyze_sources, find_sources, open_writer

    recognizer = mien.load("nano", **options)

    def step(files: list[Path]) -> Any:
        with open_writer("jsonl", recognizer.labels.names, out=folder.parent / "faces.jsonl") as writer:
            for _, analysis in analyze_sources(recognizer, find_sources(files)):
                writer.write(analysis)
                yield len(analysis.faces)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--note", default="", help="what to keep in mind of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "folders.json")
    parser.add_argument("--only-costs", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        print(json.dumps(child(wanted.child[0], Path(wanted.child[1]))))
        return
    record: dict[str, Any] = {
        "question": "how fast a folder of photos is read, beside decoding and detecting alone",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": wanted.photos,
        "note": wanted.note,
        "machine": machine("opencv-python-headless", "onnxruntime"),
    }
    result: dict[str, list[dict[str, float]]] = {"floor": [], "ours": [], "several": []}
    if wanted.only_costs:
        del result["floor"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        make(folder, wanted.photos)
        for _ in range(wanted.rounds):
            for side, rounds in result.items():
                command = [sys.executable, __file__, "--child", side, str(folder)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr)
                rounds.append(json.loads(done.stdout.splitlines()[-1]))
    costs = {
        kind: summary([b[kind] / a[kind] for a, b in zip(result["ours"], result["several"], strict=True)], 3)
        for kind in ("seconds", "cpu")
    }
    cost = {"photos": wanted.photos, "when": record["when"], "note": wanted.note, "machine": record["machine"], **costs}
    if wanted.only_costs:
        update(wanted.out, "cost_of_scales_and_orientation", cost)
        print(json.dumps(cost, indent=1))
        return
    record["cost_of_scales_and_orientation"] = cost
    for side, rounds in result.items():
        record[side] = {
            "photos_per_second": summary([wanted.photos / one["seconds"] for one in rounds]),
            "cpu_seconds": summary([one["cpu"] for one in rounds]),
            "early_mb": summary([one["early_mb"] for one in rounds]),
            "late_mb": summary([one["late_mb"] for one in rounds]),
        }
    ratio = [a["seconds"] / b["seconds"] for a, b in zip(result["floor"], result["ours"], strict=True)]
    cpu = [a["cpu"] / b["cpu"] for a, b in zip(result["floor"], result["ours"], strict=True)]
    growth = [one["late_mb"] - one["early_mb"] for one in result["ours"]]
    record["faces"] = result["ours"][0]["faces"]
    record["rate_beside_the_floor"] = {**summary(ratio), "at_least": LEAST_RATE}
    record["cpu_of_the_floor_beside_ours"] = summary(cpu)
    record["growth_mb"] = {**summary(growth), "at_most": MOST_GROWTH_MB}
    record["held"] = statistics.median(ratio) >= LEAST_RATE and statistics.median(growth) <= MOST_GROWTH_MB
    print(json.dumps(record, indent=1))
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
