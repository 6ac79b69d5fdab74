"""Measure recall and precision of the search for near-duplicates. Writes results/duplicates.json.

Run:   python experiments/duplicates.py fer2013.csv [SHEET.png]        (about a minute on two cores)

Recall and false positives are measured with altered copies of faces. Duplicates in FER2013 itself are counted by pair
of splits and by class, with the time and memory of the search. SHEET.png shows the pairs with the lowest correlation
for visual inspection; it contains faces of the data set, so do not commit it.
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
from mien.data.near_duplicates import MIN_CORRELATION, near_duplicate_pairs
from mien.threads import threads

RESULT = Path(__file__).parent / "results" / "duplicates.json"
FACES = 1000
SHOWN = 72
Face = NDArray[np.uint8]
Change = Callable[[Face, np.random.Generator], Face]


def shift_and_scale(face: Face, shift: tuple[float, float], scale: float) -> Face:
    """Return the face shifted, and scaled about its center; the border is replicated."""
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), 0, scale)
    matrix[:, 2] += np.array(shift)
    return np.asarray(cv2.warpAffine(face, matrix, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def jpeg(face: Face, quality: int) -> Face:
    """Return the face after JPEG compression."""
    encoded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))


def change_light(face: Face, contrast: float, brightness: float) -> Face:
    """Return the face with contrast multiplied and brightness added."""
    return (face * contrast + brightness).round().clip(0, 255).astype(np.uint8)


def all_at_once(face: Face, rng: np.random.Generator) -> Face:
    """Return the face with all random changes."""
    face = shift_and_scale(face, tuple(rng.uniform(-2, 2, 2)), rng.uniform(0.95, 1.05))
    return jpeg(change_light(face, rng.uniform(0.7, 1.3), rng.uniform(-40, 40)), int(rng.integers(50, 96)))[:, ::-1]


CHANGES: dict[str, Change] = {
    "shift, up to 2 pixels each way": lambda face, rng: shift_and_scale(face, tuple(rng.uniform(-2, 2, 2)), 1.0),
    "scale, up to 5 %": lambda face, rng: shift_and_scale(face, (0, 0), rng.uniform(0.95, 1.05)),
    "shift and scale": lambda face, rng: shift_and_scale(face, tuple(rng.uniform(-2, 2, 2)), rng.uniform(0.95, 1.05)),
    "2 pixels each way and 5 %, the corner of it": lambda face, rng: shift_and_scale(
        face, tuple(rng.choice([-2.0, 2.0], 2)), rng.choice([0.95, 1.05])
    ),
    "JPEG, quality 50 to 95": lambda face, rng: jpeg(face, int(rng.integers(50, 96))),
    "contrast 0.7 to 1.3, brightness by up to 40": lambda face, rng: change_light(
        face, rng.uniform(0.7, 1.3), rng.uniform(-40, 40)
    ),
    "gamma 0.6 to 1.6": lambda face, rng: (255 * (face / 255) ** rng.uniform(0.6, 1.6)).round().astype(np.uint8),
    "mirrored": lambda face, rng: face[:, ::-1],
    "shift, scale, light, JPEG and mirrored": all_at_once,
}


def measure_recall(faces_NHW: NDArray[np.uint8], change: Change) -> dict[str, float]:
    """Return the share of altered faces that are paired with their original, and the number of other pairs."""
    rng = np.random.default_rng(0)
    altered_NHW = np.stack([change(face, rng) for face in faces_NHW])
    pairs = near_duplicate_pairs(np.concatenate([faces_NHW, altered_NHW]))
    correct_P = pairs.b_P - pairs.a_P == len(faces_NHW)
    return {
        "found": len(np.unique(pairs.a_P[correct_P])) / len(faces_NHW),
        "other_pairs": int((~correct_P).sum()),
        "lowest_correlation": float(pairs.correlation_P[correct_P].min()),
    }


def faces_without_duplicates(data: Dataset) -> NDArray[np.uint8]:
    """Return `FACES` training faces without a near-duplicate, evenly spread over the file."""
    train, duplicates = data["train"], find_near_duplicates(data)
    excluded_N = np.zeros(len(train), bool)
    for split in data.splits.values():
        excluded_N |= duplicates.mask(train, split)
    excluded_N |= train.pixels_NHW.reshape(len(train), -1).std(1) < 8
    eligible_rows = np.flatnonzero(~excluded_N)
    return train.pixels_NHW[eligible_rows[np.linspace(0, len(eligible_rows) - 1, FACES).astype(int)]]


def draw_lowest(data: Dataset, file: str) -> None:
    """Write the pairs with the lowest correlation side by side, nine per line."""
    duplicates = find_near_duplicates(data)
    face_of = {row: face for s in data.splits.values() for row, face in zip(s.rows_N, s.pixels_NHW, strict=True)}
    lowest = np.argsort(duplicates.correlation_P)[:SHOWN]
    pairs = [np.hstack([face_of[duplicates.a_P[p]], face_of[duplicates.b_P[p]]]) for p in lowest]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % 9)
    lines = [np.hstack([np.pad(pair, 4) for pair in pairs[i : i + 9]]) for i in range(0, len(pairs), 9)]
    cv2.imwrite(file, np.vstack(lines))


def main(csv: str, sheet: str | None) -> None:
    """Measure with an empty cache."""
    data = load(csv)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MIEN_CACHE"] = cache  # an empty cache, so that the search runs, and only once
        record(data, sheet)


def record(data: Dataset, sheet: str | None) -> None:
    """Measure the search, write the record and draw the sheet."""
    start, cpu_start = time.perf_counter(), time.process_time()
    duplicates = find_near_duplicates(data)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    report = audit(data, near=True)
    assert report.near is not None
    faces_NHW = faces_without_duplicates(data)
    result = {
        "question": "how many duplicates are found among altered faces and in FER2013 itself",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": data.digest,
        "least_correlation": MIN_CORRELATION,
        "faces": sum(map(len, data.splits.values())),
        "seconds": round(seconds, 1),
        "processor_seconds": round(cpu_seconds, 1),
        "threads": threads(),
        "peak_memory_gb": round(memory, 2),
        "pairs": len(duplicates),
        "near": asdict(report.near),
        "byte_identical": {"across": report.across, "redundant": report.redundant},
        "altered": {name: {"n": FACES, **measure_recall(faces_NHW, change)} for name, change in CHANGES.items()},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if sheet:
        draw_lowest(data, sheet)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
