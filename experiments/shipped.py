"""Evaluate the shipped models on faces as a detector would crop them. Writes results/shipped.json.

Run:   python experiments/shipped.py fer2013.csv fer2013new.csv [MODEL...]     (about five minutes on two cores)

Models are evaluated on PublicTest against FER2013's labels and the majority vote (FER+), on all faces and on those
without a duplicate in Training, without test-time augmentation, under these conditions: original faces; a margin around
the face; a shift, as the mean of four directions; and reduced resolution. FER2013's images have no context around the
face, so their border is replicated, which is harder than the context in a photo. A model of FER+'s eight classes
predicts the most probable of the seven classes for FER2013's labels, and of all eight for the majority vote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import Dataset, load
from mien.data.audit import without_duplicates
from mien.data.dataset import VAL
from mien.data.votes import relabel_by_majority
from mien.evaluation.corruptions import Faces, move, reduce_resolution
from mien.evaluation.statistics.metrics import accuracy, confusion_matrix, macro_f1
from mien.labels import FER7, projection
from mien.model import Model, shipped_models
from mien.model import load as load_model

HERE = Path(__file__).parent
MARGINS = (0.1, 0.2)  # of the box's side, added on each side of it
SHIFTS = (0.05, 0.1)  # of the side
SIZES = (32, 24, 16)  # pixels a side


def conditions(faces_NHW: Faces) -> Iterator[tuple[str, list[Faces]]]:
    """Yield the name of each condition and its images; the accuracies of several images are averaged."""
    yield "as they are", [faces_NHW]
    for margin in MARGINS:
        yield f"margin {100 * margin:.0f} %", [move(faces_NHW, size=1 / (1 + 2 * margin))]
    for shift in SHIFTS:
        offsets = ((shift, 0), (-shift, 0), (0, shift), (0, -shift))
        yield f"shift {100 * shift:.0f} %", [move(faces_NHW, right=x, down=y) for x, y in offsets]
    for pixels in SIZES:
        yield f"{pixels} pixels", [reduce_resolution(faces_NHW, pixels)]


def compute_metrics(
    model: Model, probs_NK: NDArray[np.float32], data: Dataset, deduplicated_N: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the number of faces, accuracy and macro-F1 by kind of labels and protocol."""
    fer7_N7 = probs_NK @ projection(model.labels, FER7).astype(np.float32)
    truths = {"labels": (data, fer7_N7), "raters' majority": (relabel_by_majority(data, model.labels), probs_NK)}
    metrics = {}
    for against, (truth, p_NK) in truths.items():
        faces, names = truth[VAL], truth.labels
        place_N = np.searchsorted(data[VAL].rows_N, faces.rows_N)
        for protocol, keep_N in (
            ("official", np.ones(len(faces), bool)),
            ("deduplicated", np.isin(faces.rows_N, deduplicated_N)),
        ):
            label_N, predicted_N = faces.labels_N[keep_N], p_NK[place_N[keep_N]].argmax(1)
            metrics[f"{against}, {protocol}"] = {
                "n": int(keep_N.sum()),
                "classes": len(names),
                "accuracy": round(accuracy(label_N, predicted_N), 6),
                "macro_f1": round(macro_f1(confusion_matrix(label_N, predicted_N, len(names))), 6),
            }
    return metrics


def mean_metrics(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean accuracy and macro-F1 over `parts`."""
    return {
        key: {**result, **{k: round(float(np.mean([p[key][k] for p in parts])), 6) for k in ("accuracy", "macro_f1")}}
        for key, result in parts[0].items()
    }


def main(csv: str, votes: str, names: list[str]) -> None:
    """Evaluate the models and write the record."""
    data = load(csv, votes=votes)
    deduplicated_N = data[VAL].rows_N[without_duplicates(data, VAL)]
    models = {name: load_model(name) for name in names or shipped_models()}
    results: dict[str, Any] = {n: {"sha256": m.card.sha256, "conditions": {}} for n, m in models.items()}
    for condition, altered in conditions(data[VAL].pixels_NHW):
        for name, model in models.items():
            parts = [
                compute_metrics(model, model.probabilities(faces_NHW), data, deduplicated_N) for faces_NHW in altered
            ]
            results[name]["conditions"][condition] = mean_metrics(parts)
            print(condition, name, {k: v["accuracy"] for k, v in mean_metrics(parts).items()}, flush=True)
    raters = relabel_by_majority(data, FER7)[VAL]
    label_N = data[VAL].labels_N[np.searchsorted(data[VAL].rows_N, raters.rows_N)]
    record = {
        "question": "how accurate are the shipped models with inaccurate boxes and on small faces",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels_meet_the_raters_majority": round(accuracy(raters.labels_N, label_N), 6),
        "models": results,
    }
    (HERE / "results" / "shipped.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
