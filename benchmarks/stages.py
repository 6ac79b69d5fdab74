"""Measure the time of each stage of an analysis by image size. Writes results/stages.json.

usage: python benchmarks/stages.py [--rounds 15] [--note TEXT] [--out benchmarks/results/stages.json]

The sample portrait is enlarged to photos of four sizes, JPEG of quality 90, one face each, and taken through the stages
of `photo` one at a time, with one thread: read the header and decode the bytes, detect faces (in a copy of 1280 pixels
if the photo is larger), crop the face, and predict for 64 faces at once, with the time per face. Figures are processor
milliseconds, the median of the rounds after one round of warm-up. Nothing is read from a disk or a network; the number
of bytes is recorded, from which the network load can be estimated.
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


def photo(width: int, height: int) -> bytes:
    """Return a JPEG of the portrait on noise that is as hard to decode as the texture of a photo."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    image_HW3 = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image_HW3[top : top + side, left : left + side] = cv2.resize(read_image(sample()), (side, side))
    return cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """Return the median processor time of a call."""
    call()
    result = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        result.append(1000 * (time.process_time() - start))
    return round(statistics.median(result), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--note", default="", help="note on the circumstances of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "stages.json")
    wanted = parser.parse_args()
    cv2.setNumThreads(1)
    recognizer = load(threads=1, scales="one", orientation="off")
    stages = []
    for name, (width, height) in SIDES.items():
        data = photo(width, height)
        image_HW3 = decode(data, checked_header(data, name), name).image_HW3
        faces = recognizer.pipeline.detect(image_HW3)
        if len(faces) != 1:
            raise SystemExit(f"{name}: {len(faces)} faces were detected, expected one")
        faces_NHW = np.repeat(recognizer.pipeline.crop_faces(image_HW3, faces), BATCH, 0)
        times = {
            "decode": milliseconds(
                lambda data=data, name=name: decode(data, checked_header(data, name), name), wanted.rounds
            ),
            "find": milliseconds(lambda p=image_HW3: recognizer.pipeline.detect(p), wanted.rounds),
            "cut": milliseconds(lambda p=image_HW3, f=faces: recognizer.pipeline.crop_faces(p, f), wanted.rounds),
            "tell": round(milliseconds(lambda f=faces_NHW: recognizer.probabilities(f), wanted.rounds) / BATCH, 3),
        }
        stages.append({"photo": name, "width": width, "height": height, "bytes": len(data), "milliseconds": times})
    record = {
        "question": "how long does each stage of an analysis take, by image size",
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
