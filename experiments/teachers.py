"""Compare ensembles of shipped models as teachers, with and without logit adjustment. Writes results/teachers.json.

Run:   python experiments/teachers.py fer2013.csv fer2013new.csv

An ensemble is the weighted geometric mean of the probabilities of its models. Logit adjustment divides it by the class
frequencies of `photo`'s training data to the power of the strength (Menon et al. 2021, arXiv 2007.07314). Metrics are
those of PublicTest by the majority vote (FER+) and by FER2013's labels, without test-time augmentation.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import load
from mien.data.dataset import VAL, Split
from mien.data.votes import relabel_by_majority
from mien.evaluation.statistics.metrics import accuracy, balanced_accuracy, confusion_matrix, macro_f1
from mien.labels import FER7, projection
from mien.model import load as load_model

RESULT = Path(__file__).parent / "results" / "teachers.json"
ENSEMBLES: tuple[dict[str, float], ...] = (
    {"photo": 1},
    {"photo": 1, "ferplus": 1},
    {"photo": 1, "base": 0.25},
    {"photo": 1, "base": 0.5},
    {"photo": 1, "ferplus": 1, "base": 1},
    {"base": 1},
    {"base": 1, "photo": 0.25},
    {"base": 1, "nano": 0.5},
)
STRENGTHS = (0, 0.5)


def log_probabilities(name: str, split: Split) -> NDArray[np.float64]:
    """Return the log probabilities of FER2013's classes, [N,7], without contempt."""
    model = load_model(name)
    probs_N7 = model.probabilities(split.pixels_NHW) @ projection(model.labels, FER7)
    scores: NDArray[np.float64] = np.log(probs_N7 / probs_N7.sum(1, keepdims=True) + 1e-9)
    return scores


def compute_metrics(scores_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, class-averaged accuracy and macro-F1 of scores [N,7], 0 to 1."""
    matrix_KK = confusion_matrix(labels_N, scores_NK.argmax(1), len(FER7))
    return {
        "accuracy": accuracy(labels_N, scores_NK.argmax(1)),
        "balanced_accuracy": balanced_accuracy(matrix_KK),
        "macro_f1": macro_f1(matrix_KK),
    }


def main(csv: str, votes: str) -> None:
    """Evaluate all ensembles and write the record."""
    data = load(csv, votes=votes)
    splits = {"majority vote": relabel_by_majority(data, FER7)[VAL], "labels": data[VAL]}
    names = sorted({name for ensemble in ENSEMBLES for name in ensemble})
    log_probs = {(name, truth): log_probabilities(name, split) for name in names for truth, split in splits.items()}
    frequencies = load_model("photo").card.class_frequencies
    assert frequencies is not None, "shipped cards state the class frequencies"
    rows: list[dict[str, Any]] = []
    for ensemble in ENSEMBLES:
        for strength in STRENGTHS:
            row: dict[str, Any] = {"models": ensemble, "strength": strength}
            for truth, split in splits.items():
                mean_NK = sum(w * log_probs[name, truth] for name, w in ensemble.items()) / sum(ensemble.values())
                row[truth] = compute_metrics(mean_NK - strength * np.log(frequencies.training), split.labels_N)
            rows.append(row)
    record = {
        "question": "which ensembles of shipped models are good teachers",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python experiments/teachers.py fer2013.csv fer2013new.csv",
        "trained_by": {name: load_model(name).card.recipe["name"] for name in names},
        "faces": {truth: len(split) for truth, split in splits.items()},
        "ensembles": rows,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
