"""Compare the analysis of a video with decoding alone, and the memory of a short and a long video.

usage: python benchmarks/video.py [--rounds 9] [--seconds 10] [--model nano] [--busy]
                                  [--only-costs] [--out benchmarks/results/video.json]

The clip is made on the spot from the sample portrait, which moves, grows and brightens before a wall: 720p, 25 frames
a second, H.264 with a sine beside it. One process measures the rates: in each round the clip is decoded to BGR arrays
by PyAV alone, with as many threads as the reader gives it, and then read by `analyze_video`; the ratio is of the
medians. The processor's time for a frame, of all threads, stands beside it, as it suffers less from other work. For the
memory, a clip and one ten times as long (640x360) are each read in a fresh process with everything that can be written,
and their peaks compared. All of these search whole frames in one size, with `scales=one`. The cost of several sizes is
the processor's time of `analyze_video` with them over that without, in alternating rounds, for this clip and for one
of 1080p; `--only-costs` measures only this, and keeps the rest of the record. `--busy` marks a record that was taken
beside other work.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from figures import machine, summary, update

import mien
from mien.threads import threads

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tests"))
LEAST_RATIO, MOST_MB, MOST_COST = 0.5, 20.0, 1.1


def clip(path: Path, wide: int, high: int, seconds: float) -> Path:
    """Write a clip of a face that moves, grows and changes in brightness."""
    import videos

    def scene(i: int) -> videos.Pixels:
        t = i / 25
        place = (
            0.4 + 0.15 * np.sin(t),
            0.5 + 0.05 * np.sin(2 * t),
            0.3 + 0.04 * np.sin(t / 2),
            1 + 0.2 * np.sin(3 * t),
        )
        return videos.frame(wide, high, place)

    return videos.write(path, scene, videos.times(round(25 * seconds)))


def decode(path: Path) -> int:
    """Decode every frame to a BGR array: the floor."""
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads()
        return sum(1 for frame in file.decode(stream) if frame.to_ndarray(format="bgr24") is not None)


def read(path: Path, model: str, scales: str = "one") -> Callable[[], int]:
    """Analyze every frame and write nothing."""
    recognizer = mien.load(model, scales=scales)
    return lambda: sum(1 for _ in recognizer.analyze_video(path))


def rates(path: Path, model: str, rounds: int) -> dict[str, Any]:
    """Return frames per second of both sides, in alternating rounds."""
    sides: dict[str, Callable[[], int]] = {"decoded to arrays": lambda: decode(path), "read": read(path, model)}
    found: dict[str, list[float]] = {name: [] for name in sides}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):  # the first warms up
        for name, side in sides.items():
            began, used = time.perf_counter(), time.process_time()
            frames = side()
            if number:
                found[name].append(frames / (time.perf_counter() - began))
                spent[name].append(1000 * (time.process_time() - used) / frames)
    ratio = statistics.median(found["read"]) / statistics.median(found["decoded to arrays"])
    return {
        "frames_per_second": {name: summary(figures) for name, figures in found.items()},
        "processor_milliseconds_per_frame": {name: summary(figures) for name, figures in spent.items()},
        "ratio": {"measured": round(ratio, 3), "at_least": LEAST_RATIO, "held": ratio >= LEAST_RATIO},
    }


def costs(folder: Path, model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the processor's time of `analyze_video` with several sizes over that without, in alternating rounds."""
    result: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine("av")}
    for width, height in ((1280, 720), (1920, 1080)):
        path = clip(folder / f"{height}.mp4", width, height, seconds)
        sides = {scales: read(path, model, scales) for scales in ("auto", "one")}
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds + 1):  # the first warms up
            for name, side in sides.items():
                began = time.process_time()
                side()
                if number:
                    spent[name].append(time.process_time() - began)
        cost = summary([a / b for a, b in zip(*spent.values(), strict=True)], 3)
        result[f"{width}x{height}"] = {**cost, "at_most": MOST_COST, "held": cost["median"] <= MOST_COST}
    return {**result, "rounds": rounds, "seconds": seconds}


def peak(path: Path, model: str, folder: Path) -> float:
    """The most memory that reading `path` takes, with all files written, in MB; for a process of its own."""
    frames = mien.load(model, scales="one").analyze_video(
        path, annotate=folder / "seen.mp4", out=folder / "seen.csv", srt=folder / "seen.srt",
        timeline=folder / "seen.png",
    )  # fmt: skip
    for _ in frames:
        pass
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell the peak of the process that started this one, where that is higher
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def memory(folder: Path, model: str, seconds: float, times: int) -> dict[str, Any]:
    """Return the peak memory of a clip and of one ten times as long, medians of fresh processes."""
    found: dict[str, float] = {}
    for name, lasts in (("short", seconds), ("ten times as long", 10 * seconds)):
        path = clip(folder / f"{name}.mp4", 640, 360, lasts)
        command = [sys.executable, __file__, "--model", model, "--peak-of", str(path)]
        peaks = []
        for _ in range(times):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            peaks.append(float(done.stdout.split()[-1]))
        found[name] = round(statistics.median(peaks), 1)
    more = round(found["ten times as long"] - found["short"], 1)
    return {
        "seconds": [seconds, 10 * seconds],
        "peak_mb": found,
        "more_mb": {"measured": more, "at_most": MOST_MB, "held": more <= MOST_MB},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "video.json")
    parser.add_argument("--only-costs", action="store_true")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted.peak_of:
            print(peak(wanted.peak_of, wanted.model, folder))
            return
        if wanted.only_costs:
            found = costs(folder, wanted.model, wanted.rounds, wanted.seconds)
            update(wanted.out, "cost_of_scales", {**found, "busy": wanted.busy})
            print(json.dumps(found, indent=1))
            return
        before = machine("av")
        record: dict[str, Any] = {
            "question": "how fast a video is read, beside decoding it alone, and what a longer one takes of memory",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "busy": wanted.busy,
            "rounds": wanted.rounds,
            "clip": {"width": 1280, "height": 720, "rate": 25, "seconds": wanted.seconds, "faces": 1},
            "machine": before,
            "model": {wanted.model: mien.load(wanted.model).model.card.sha256},
            **rates(clip(folder / "clip.mp4", 1280, 720, wanted.seconds), wanted.model, wanted.rounds),
            "cost_of_scales": costs(folder, wanted.model, wanted.rounds, wanted.seconds),
            "memory": memory(folder, wanted.model, wanted.seconds, 1 if wanted.busy else 3),
        }
    for side, figure in record["frames_per_second"].items():
        low, high = figure["quartiles"]
        print(f"{side:20} {figure['median']:7.1f} frames/s ({low:.1f} to {high:.1f})")
    for what, bound in (
        ("of decoding's rate", record["ratio"]),
        ("MB more for ten times", record["memory"]["more_mb"]),
    ):
        print(f"{bound['measured']} {what}: {'held' if bound['held'] else 'MISSED'}")
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
