"""Measure what the quality of faces costs. Writes results/quality_cost.json.

usage: python benchmarks/quality_cost.py [--rounds 12] [--note TEXT] [--out benchmarks/results/quality_cost.json]

The images of `recognition.py` (640x480, with one face and with four) and a crop of 48x48, which has no detection, are
analyzed by `nano` with `quality` on and off. The sides alternate, and so does which one comes first; a ratio is
computed within each round, as the speed of a shared machine drifts. Times are processor time. Medians and quartiles are
over rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from figures import machine, summary

import mien
from mien.recognition import Recognizer
from recognition import images

HERE = Path(__file__).resolve().parent
BOUND = 1.03  # time with quality over time without, at most, for an image in which faces are detected
REPEATS = {"one face": 2, "four faces": 2, "crop of 48x48": 50}


def measure(rounds: int) -> dict[str, Any]:
    """Return the milliseconds of both sides and their ratio for each image."""
    result = {}
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for name, image in {**images(), "crop of 48x48": crop}.items():
        detector = "whole" if name not in images() else "yunet"
        on = mien.load("nano", detector=detector, threads=1)
        # The same sessions for both sides, as the speed of a session depends on where its memory is.
        sides = {True: on, False: Recognizer(on.model, on.detector, quality=False)}
        spent: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds + 1):  # the first warms up
            for side in (True, False) if number % 2 else (False, True):
                start = time.process_time()
                for _ in range(REPEATS[name]):
                    sides[side].analyze(image, order="bgr")
                if number:
                    spent[side].append(1000 * (time.process_time() - start) / REPEATS[name])
        ratios = summary([a / b for a, b in zip(spent[True], spent[False], strict=True)], 4)
        result[name] = {
            "milliseconds with quality": summary(spent[True], 4),
            "milliseconds without": summary(spent[False], 4),
            "ratio": ratios,
        }
        if detector != "whole":
            result[name]["bound"] = {"at_most": BOUND, "held": ratios["median"] <= BOUND}
        print(name, {key: value.get("median", value) for key, value in result[name].items()})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--note", default="")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "quality_cost.json")
    given = parser.parse_args()
    record = {
        "question": "what does measuring the quality of faces cost",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": given.note,
        "rounds": given.rounds,
        "machine": machine("onnxruntime"),
        "models": {"nano": mien.model.load("nano").card.sha256},
        "images": measure(given.rounds),
    }
    given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
