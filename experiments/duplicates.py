"""Measure recall and precision of the search for near-duplicates. Writes results/duplicates.json.

Run:   python experiments/duplicates.py fer2013.csv [SHEET.png]        (about a minute on two cores)

Two questions. Of faces that were altered on purpose, how many are found beside their original, and how many pairs are
found that are none? And what is there in FER2013 itself, by split pair and class, in what time and memory? SHEET.png
gets the found pairs with the lowest correlation, to be looked at; it shows faces of the data set, so it stays outside.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data import Dataset, find_near_duplicates, load
from mien.data.audit import audit
from mien.data.near_duplicates import LEAST, near_duplicate_pairs
from mien.threads import threads

RESULT = Path(__file__).parent / "results" / "duplicates.json"
FACES = 1000
SHOWN = 72
Face = NDArray[np.uint8]
Change = Callable[[Face, np.random.Generator], Face]


def recut(face: Face, shift: tuple[float, float], scale: float) -> Face:
    """Moved and sized about its middle; what comes in from outside repeats the rim."""
    turn = cv2.getRotationMatrix2D((23.5, 23.5), 0, scale)
    turn[:, 2] += np.array(shift)
    return np.asarray(cv2.warpAffine(face, turn, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def jpeg(face: Face, quality: int) -> Face:
    stored = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE))


def lit(face: Face, contrast: float, brightness: float) -> Face:
    return (face * contrast + brightness).round().clip(0, 255).astype(np.uint8)


def all_at_once(face: Face, rng: np.random.Generator) -> Face:
    face = recut(face, tuple(rng.uniform(-2, 2, 2)), rng.uniform(0.95, 1.05))
    return jpeg(lit(face, rng.uniform(0.7, 1.3), rng.uniform(-40, 40)), int(rng.integers(50, 96)))[:, ::-1]


CHANGES: dict[str, Change] = {
    "shift, up to 2 pixels each way": lambda face, rng: recut(face, tuple(rng.uniform(-2, 2, 2)), 1.0),
    "scale, up to 5 %": lambda face, rng: recut(face, (0, 0), rng.uniform(0.95, 1.05)),
    "shift and scale": lambda face, rng: recut(face, tuple(rng.uniform(-2, 2, 2)), rng.uniform(0.95, 1.05)),
    "2 pixels each way and 5 %, the corner of it": lambda face, rng: recut(
        face, tuple(rng.choice([-2.0, 2.0], 2)), rng.choice([0.95, 1.05])
    ),
    "JPEG, quality 50 to 95": lambda face, rng: jpeg(face, int(rng.integers(50, 96))),
    "contrast 0.7 to 1.3, brightness by up to 40": lambda face, rng: lit(
        face, rng.uniform(0.7, 1.3), rng.uniform(-40, 40)
    ),
    "gamma 0.6 to 1.6": lambda face, rng: (255 * (face / 255) ** rng.uniform(0.6, 1.6)).round().astype(np.uint8),
    "mirrored": lambda face, rng: face[:, ::-1],
    "shift, scale, light, JPEG and mirrored": all_at_once,
}


def found_again(faces_NHW: NDArray[np.uint8], change: Change) -> dict[str, float]:
    """Altered faces found beside their originals, as a share, and pairs of faces that are not one."""
    rng = np.random.default_rng(0)
    altered_NHW = np.stack([change(face, rng) for face in faces_NHW])
    pairs = near_duplicate_pairs(np.concatenate([faces_NHW, altered_NHW]))
    right_P = pairs.b_P - pairs.a_P == len(faces_NHW)
    return {
        "found": len(np.unique(pairs.a_P[right_P])) / len(faces_NHW),
        "other_pairs": int((~right_P).sum()),
        "lowest_correlation": float(pairs.correlation_P[right_P].min()),
    }


def unlike_faces(data: Dataset) -> NDArray[np.uint8]:
    """`FACES` faces of training that have no near-duplicate anywhere, spread over the file."""
    train, duplicates = data["train"], find_near_duplicates(data)
    some = np.zeros(len(train), bool)
    for split in data.splits.values():
        some |= duplicates.mask(train, split)
    some |= train.pixels_NHW.reshape(len(train), -1).std(1) < 8
    free = np.flatnonzero(~some)
    return train.pixels_NHW[free[np.linspace(0, len(free) - 1, FACES).astype(int)]]


def draw_lowest(data: Dataset, file: str) -> None:
    """The found pairs with the lowest correlation, side by side, nine to a line."""
    duplicates = find_near_duplicates(data)
    face_of = {row: face for s in data.splits.values() for row, face in zip(s.rows_N, s.pixels_NHW, strict=True)}
    lowest = np.argsort(duplicates.correlation_P)[:SHOWN]
    pairs = [np.hstack([face_of[duplicates.a_P[p]], face_of[duplicates.b_P[p]]]) for p in lowest]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % 9)
    lines = [np.hstack([np.pad(pair, 4) for pair in pairs[i : i + 9]]) for i in range(0, len(pairs), 9)]
    cv2.imwrite(file, np.vstack(lines))


def main(csv: str, sheet: str | None) -> None:
    data = load(csv)
    with tempfile.TemporaryDirectory() as fresh:
        os.environ["MIEN_CACHE"] = fresh  # so that they are looked for, and once
        record(data, sheet)


def record(data: Dataset, sheet: str | None) -> None:
    """Look, measure, write the record and draw the sheet."""
    began, spent = time.perf_counter(), time.process_time()
    duplicates = find_near_duplicates(data)
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = audit(data, near=True)
    assert found.near is not None
    faces_NHW = unlike_faces(data)
    result = {
        "question": "how many faces that are one image are found, altered on purpose and in FER2013 itself",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": data.digest,
        "least_correlation": LEAST,
        "faces": sum(map(len, data.splits.values())),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "threads": threads(),
        "peak_memory_gb": round(memory, 2),
        "pairs": len(duplicates),
        "near": asdict(found.near),
        "byte_identical": {"across": found.across, "redundant": found.redundant},
        "altered": {name: {"n": FACES, **found_again(faces_NHW, change)} for name, change in CHANGES.items()},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if sheet:
        draw_lowest(data, sheet)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
