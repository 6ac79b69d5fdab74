"""Measure the time of each stage of an analysis by image size. Writes results/stages.json.

usage: python benchmarks/stages.py [--rounds 15] [--note TEXT] [--out benchmarks/results/stages.json]

The sample portrait is enlarged to photos of four sizes, JPEG of quality 90, one face each, and taken through the stages
of `photo` one at a time, with one thread: read the header and decode the bytes, detect faces (in a copy of 1280 pixels
if the photo is larger), crop the face, and predict for 64 faces at once, with the time per face. Figures are processor
milliseconds, the median of the rounds after one round of warm-up. Nothing is read from a disk or a network; the number
of bytes is recorded, so that the load on a network can be estimated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import machine

from mien.imaging.decode import decode
from mien.imaging.load import checked_header, read_image
from mien.recognition import load, sample

HERE = Path(__file__).resolve().parent
SIDES = {"thumbnail": (240, 240), "web": (800, 600), "full HD": (1920, 1080), "camera": (4032, 3024)}
BATCH = 64


def photo(wide: int, high: int) -> bytes:
    """Return a portrait in the middle of noise that is as hard to decode as the texture of a photo, as JPEG."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (high // 8 + 1, wide // 8 + 1, 3), np.uint8)
    image_HW3 = cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)
    side = min(wide, high)
    left, top = (wide - side) // 2, (high - side) // 2
    image_HW3[top : top + side, left : left + side] = cv2.resize(read_image(sample()), (side, side))
    return cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def milliseconds(act: Callable[[], Any], rounds: int) -> float:
    """Return the median of one thread's processor time."""
    act()
    result = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        result.append(1000 * (time.process_time() - began))
    return round(statistics.median(result), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--note", default="", help="what to keep in mind of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "stages.json")
    wanted = parser.parse_args()
    cv2.setNumThreads(1)
    recognizer = load(threads=1)
    stages = []
    for name, (wide, high) in SIDES.items():
        data = photo(wide, high)
        image_HW3 = decode(data, checked_header(data, name), name).image_HW3
        found = recognizer.pipeline.detect(image_HW3)
        if len(found) != 1:
            raise SystemExit(f"{name}: {len(found)} faces were detected, expected one")
        faces_NHW = np.repeat(recognizer.pipeline.crop_faces(image_HW3, found), BATCH, 0)
        took = {
            "decode": milliseconds(
                lambda data=data, name=name: decode(data, checked_header(data, name), name), wanted.rounds
            ),
            "find": milliseconds(lambda p=image_HW3: recognizer.pipeline.detect(p), wanted.rounds),
            "cut": milliseconds(lambda p=image_HW3, f=found: recognizer.pipeline.crop_faces(p, f), wanted.rounds),
            "tell": round(milliseconds(lambda f=faces_NHW: recognizer.probabilities(f), wanted.rounds) / BATCH, 3),
        }
        stages.append({"photo": name, "width": wide, "height": high, "bytes": len(data), "milliseconds": took})
    record = {
        "question": "where an image's time goes, by its size",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": wanted.note,
        "model": recognizer.model.card.name,
        "rounds_of_each": wanted.rounds,
        "machine": machine("opencv-python-headless", "onnxruntime"),
        "stages": stages,
    }
    print(json.dumps(record, indent=1))
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
