"""Choose the limits of face quality: below which size, sharpness and brightness is a label not usable?

    python experiments/face_quality.py fer2013.csv fer2013new.csv [--photos FOLDER]        (five minutes on one core)

Faces of PublicTest are degraded in one respect at a time: reduced to N pixels and enlarged again, blurred by a Gaussian
or in one direction, darkened or brightened by a factor. For each face the quality is measured and the models of photos
and of videos predict. Faces of all strengths are sorted by the measured value into bins; the accuracy that a bin keeps
is the accuracy of its faces divided by that of the same faces before they were degraded. A limit is where one of the
models keeps three quarters, interpolated between bins; the stricter of the two models counts, as quality does not
depend on the model. The limits in `mien.recognition.quality` are these values, rounded. Motion blur does not choose
anything; its rows show whether sharpness detects it. Labels are the majority vote (FER+).

Faces are also rotated in a larger image and mirrored, to see how far roll and yaw, which come from the landmarks of the
detector, follow. `--photos` adds a final check, which chooses nothing: how many faces in a folder of photos become
uncertain. `--only` runs one part and keeps the others of the record.

Writes results/face_quality.json and results/face_quality.png.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien.data import load, relabel_by_majority
from mien.data.dataset import NO_LABEL, VAL, Split
from mien.detection.boxes import Box, Detection
from mien.detection.detectors import build_detector
from mien.evaluation.detector_loop import CANVAS, canvas
from mien.imaging.crop import CropRule, crop
from mien.labels import FER7
from mien.model import load as load_model
from mien.recognition import quality
from mien.recognition.recognizer import DEFAULT, NANO

RESULTS = Path(__file__).parent / "results"
MODELS = (DEFAULT, NANO)
KEPT = 0.75  # share of the accuracy on the original faces, at the limit
BINS = 20
SIZES = (32, 28, 24, 20, 18, 16, 14, 12, 10)  # pixels
SIGMAS = (0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)  # pixels of the crop
LENGTHS = (7, 13)  # pixels of the crop
ANGLES, POSES = (10, 20, 30, 45), 100  # degrees; faces
FACTORS = (0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0)

Pixels = NDArray[np.uint8]
Degrade = Callable[[Pixels, float], Pixels]


def reduce(face_HW: Pixels, pixels: float) -> Pixels:
    """Return a face as the crop of a box of so many pixels."""
    side = int(pixels)
    small_HW = np.asarray(cv2.resize(face_HW, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return crop(small_HW, Box(0, 0, side, side), (), CropRule(), len(face_HW))


def blur(face_HW: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(face_HW, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def move(face_HW: Pixels, length: float) -> Pixels:
    kernel = np.full((1, int(length)), 1 / length, np.float32)
    return np.asarray(cv2.filter2D(face_HW, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def expose(face_HW: Pixels, factor: float) -> Pixels:
    return np.clip(np.rint(face_HW * float(factor)), 0, 255).astype(np.uint8)


# Degradation: function, strengths, and what is measured.
DEGRADATIONS: dict[str, tuple[Degrade, tuple[float, ...], str]] = {
    "reduced": (reduce, SIZES, "size"),
    "blurred": (blur, SIGMAS, "sharpness"),
    "moved": (move, LENGTHS, "sharpness"),
    "exposed": (expose, FACTORS, "brightness"),
}


def measure(faces_NHW: Pixels, size: float) -> dict[str, NDArray[np.float64]]:
    """Return size, sharpness and brightness of each crop of a box of `size` pixels, and whether it is uncertain."""
    detection = Detection(Box(0, 0, size, size), 1.0)
    measured = [quality.measure_quality(detection, face_HW) for face_HW in faces_NHW]
    values = {name: np.array([getattr(one, name) for one in measured]) for name in ("size", "sharpness", "brightness")}
    return {**values, "uncertain": np.array([one.defect != "" for one in measured], float)}


def curve(value_N: NDArray[Any], right_MN: NDArray[Any], original_MN: NDArray[Any], bins: int) -> list[dict[str, Any]]:
    """Return, from low to high values, the accuracy of each model in a bin, and the share of its accuracy it keeps."""
    order = np.argsort(value_N, kind="stable")
    rows = []
    for chosen in np.array_split(order, bins):
        accuracy, before = right_MN[:, chosen].mean(1), original_MN[:, chosen].mean(1)
        rows.append(
            {
                "value": round(float(np.median(value_N[chosen])), 5),
                "faces": len(chosen),
                "accuracy": dict(zip(MODELS, accuracy.round(4).tolist(), strict=True)),
                "kept": dict(zip(MODELS, (accuracy / before).round(4).tolist(), strict=True)),
            }
        )
    return rows


def limit(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return where each model keeps `KEPT`, going from good values (last row) to bad ones (first row)."""
    limits = {}
    for model in MODELS:
        for worse, better in zip(reversed(rows[:-1]), reversed(rows[1:]), strict=True):
            low, high = worse["kept"][model], better["kept"][model]
            if low < KEPT:
                share = (KEPT - low) / max(high - low, 1e-9)
                limits[model] = round(worse["value"] + min(share, 1.0) * (better["value"] - worse["value"]), 5)
                break
    return limits


def check_photos(folder: Path) -> dict[str, Any]:
    """Return how many faces in the photos of a folder are uncertain, by the beginning of the reason."""
    faces = [face for one in mien.load(NANO).analyze_many(sorted(folder.glob("*.jpg"))) for face in one.faces]
    reasons = Counter(face.uncertain_reason.partition(":")[0] for face in faces if face.uncertain_reason)
    return {"faces": len(faces), "uncertain": reasons.total(), "share": round(reasons.total() / len(faces), 4),
            "reasons": dict(reasons)}  # fmt: skip


def pose(faces_NHW: Pixels) -> dict[str, Any]:
    """Return how the reported roll follows a rotation in the image, and how yaw differs from that of the mirror image.

    Each face is compared with itself, since faces of a data set have a pose of their own.
    """
    detector = build_detector("yunet")

    def measured(face_HW: Pixels, angle: float) -> tuple[float, float] | None:
        """Return yaw and roll of a face that is enlarged four times and rotated clockwise; None if it is not found."""
        canvas_HW = canvas(face_HW, 4, float(np.radians(angle)), (CANVAS / 2, CANVAS / 2), True)
        found = detector(np.dstack([canvas_HW] * 3))
        return quality.head_pose(max(found, key=lambda one: one.box.width).landmarks) if found else None

    level = [measured(face_HW, 0) for face_HW in faces_NHW]
    roll = []
    for angle in ANGLES:
        change = []
        for side in (-1, 1):
            for face_HW, before in zip(faces_NHW, level, strict=True):
                after = measured(face_HW, side * angle)
                if after is not None and before is not None:
                    change.append(side * (after[1] - before[1]))
        quartiles = np.percentile(change, [25, 50, 75]).round(1).tolist()
        roll.append({"degrees": angle, "faces": len(change), "change_of_roll_quartiles": quartiles})
        print("rotated", roll[-1], flush=True)
    mirrored = [measured(np.ascontiguousarray(face_HW[:, ::-1]), 0) for face_HW in faces_NHW]
    sums = [abs(a[0] + b[0]) for a, b in zip(level, mirrored, strict=True) if a is not None and b is not None]
    yaws = [abs(one[0]) for one in level if one is not None]
    return {
        "faces": len(faces_NHW),
        "rotated": roll,
        "yaw": {
            "median_of_absolute_yaw": round(float(np.median(yaws)), 1),
            "median_of_absolute_sum_with_mirror_image": round(float(np.median(sums)), 1),
        },
    }


def choose(val: Split, faces: int, seed: int) -> dict[str, Any]:
    """Return the curves, the limits that follow from them, and those of the package."""
    labelled_N = np.flatnonzero(val.labels_N != NO_LABEL)
    rows_N = np.sort(np.random.default_rng(seed).choice(labelled_N, min(faces, len(labelled_N)), replace=False))
    faces_NHW, labels_N = val.pixels_NHW[rows_N], val.labels_N[rows_N]
    models = {name: load_model(name) for name in MODELS}

    def right(crops_NHW: Pixels) -> NDArray[np.bool_]:
        return np.array([model.probabilities(crops_NHW).argmax(1) == labels_N for model in models.values()])

    original_MN, original = right(faces_NHW), measure(faces_NHW, faces_NHW.shape[1])
    strengths: dict[str, list[dict[str, Any]]] = {}
    pooled: dict[str, tuple[list[Any], list[Any]]] = {}
    for name, (degrade, values, what) in DEGRADATIONS.items():
        strengths[name] = []
        measured_N, right_MN = [original[what]], [original_MN]
        for value in values:
            crops_NHW = np.stack([degrade(face_HW, value) for face_HW in faces_NHW])
            measured = measure(crops_NHW, value if what == "size" else faces_NHW.shape[1])
            found_MN = right(crops_NHW)
            measured_N.append(measured[what])
            right_MN.append(found_MN)
            accuracy = dict(zip(MODELS, found_MN.mean(1).round(4).tolist(), strict=True))
            median = round(float(np.median(measured[what])), 4)
            uncertain = round(float(measured["uncertain"].mean()), 4)
            strengths[name].append(
                {"strength": value, f"median_{what}": median, "accuracy": accuracy, "uncertain": uncertain}
            )
            print(name, value, median, accuracy, uncertain, flush=True)
        pooled[name] = measured_N, right_MN

    def curve_of(name: str, bins: int) -> list[dict[str, Any]]:
        measured_N, right_MN = pooled[name]
        times = len(measured_N)
        return curve(np.concatenate(measured_N), np.hstack(right_MN), np.tile(original_MN, times), bins)

    curves = {
        "size": curve_of("reduced", 1 + len(SIZES)),
        "sharpness": curve_of("blurred", BINS),
        "brightness": curve_of("exposed", BINS),
    }
    middle = max(range(BINS), key=lambda i: min(curves["brightness"][i]["kept"].values()))
    computed = {
        "min_size": limit(curves["size"]),
        "min_sharpness": limit(curves["sharpness"]),
        "min_brightness": limit(curves["brightness"][: middle + 1]),
        "max_brightness": limit(curves["brightness"][middle:][::-1]),
    }
    limits = {name: getattr(quality, name.upper()) for name in computed}
    outside = {
        "too small": original["size"] < quality.MIN_SIZE,
        "too blurred": original["sharpness"] < quality.MIN_SHARPNESS,
        "too dark": original["brightness"] < quality.MIN_BRIGHTNESS,
        "too bright": original["brightness"] > quality.MAX_BRIGHTNESS,
    }
    return {
        "models": {name: model.card.sha256 for name, model in models.items()},
        "split": VAL,
        "faces": len(rows_N),
        "seed": seed,
        "kept_at_the_limit": KEPT,
        "accuracy": dict(zip(MODELS, original_MN.mean(1).round(4).tolist(), strict=True)),
        "computed": computed,
        "limits": limits,
        "original_faces_outside": {name: round(float(mask.mean()), 4) for name, mask in outside.items()},
        "strengths": strengths,
        "curves": curves,
    }


def main(csv: str, votes: str, faces: int, seed: int, photos: Path | None, only: str | None) -> None:
    file = RESULTS / "face_quality.json"
    val = relabel_by_majority(load(csv, votes=votes), FER7)[VAL]
    record: dict[str, Any] = json.loads(file.read_text()) if only is not None else {}
    record["question"] = "below which size, sharpness and brightness is the label of a face not usable"
    record["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    if only in (None, "limits"):
        record |= choose(val, faces, seed)
    if only in (None, "pose"):
        record["pose"] = pose(val.pixels_NHW[np.random.default_rng(seed).choice(len(val), POSES, replace=False)])
    if only in (None, "photos") and photos is not None:
        record["photos"] = check_photos(photos)
    file.write_text(json.dumps(record, indent=1) + "\n")
    draw(record)
    print(json.dumps({name: record[name] for name in record if name not in ("strengths", "curves")}, indent=1))


def draw(record: dict[str, Any]) -> None:
    """Write the curves and the limits as a figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    titles = {"size": "size, pixels", "sharpness": "sharpness", "brightness": "brightness, gray levels"}
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        rows = record["curves"][name]
        for model, color in zip(MODELS, ("#0072b2", "#d55e00"), strict=True):
            values = [row["value"] for row in rows]
            axis.plot(values, [row["accuracy"][model] for row in rows], "o-", color=color, ms=3, label=model)
            axis.axhline(KEPT * record["accuracy"][model], color=color, lw=0.8, ls=":")
        for side in ("min", "max"):
            if f"{side}_{name}" in record["limits"]:
                axis.axvline(record["limits"][f"{side}_{name}"], color="black", lw=1, ls="--")
        axis.set(xlabel=title, ylim=(0, 1))
    axes[0].set_ylabel("accuracy by majority vote")
    axes[0].legend(frameon=False)
    figure.savefig(RESULTS / "face_quality.png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--faces", type=int, default=1000, help="so many of PublicTest at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=Path, help="folder of photos for the final check")
    parser.add_argument("--only", choices=("limits", "pose", "photos"), help="run this part only")
    given = parser.parse_args()
    main(given.csv, given.votes, given.faces, given.seed, given.photos, given.only)
