"""Find label noise without votes, and train without it. Writes results/noise.json.

Run:   python experiments/noise.py fer2013.csv fer2013new.csv FOLDER [--folds 5] [--epochs 8] [--seeds 3] [--json FILE]

Models like `release_nano`, with FER2013's labels as targets, are trained on all folds but one and predict the faces of
that fold. The training faces are ranked by these predictions, the least plausible label first. The ground truth is the
majority vote of ten raters (FER+): a face is mislabeled if the majority vote is another class than its label, contempt
included; faces without a majority are not counted. The table has the share of mislabeled faces among the first 500 and
2,000 by four rankings: confident learning, the loss of models that were not trained on the face, the loss of a model
that was, and random order, which has the share of mislabeled faces in the training split.

The second part trains without the faces of the least plausible labels, or with softened targets for them, and evaluates
on PublicTest. The runs and the label noise are kept in FOLDER, so the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import Dataset, load
from mien.data.dataset import TRAIN, VAL
from mien.data.votes import majority
from mien.evaluation.protocols import evaluate_split
from mien.labels import FERPLUS8, projection
from mien.model_card import OWN_LABELS
from mien.train import Recipe, apply_overrides, find_recipe, out_of_fold, predict, train
from mien.train.label_noise.scores import (
    LabelNoise,
    rank_by_confident_learning,
    rank_by_self_confidence,
    read_label_noise,
)

RESULT = Path(__file__).parent / "results" / "noise.json"
FIRST = (500, 2000)
# Row name -> overrides of the recipe, besides the file of label noise.
CHANGES: dict[str, list[str]] = {
    "nothing": [],
    "worst 5 % dropped": ["drop_noisy=0.05"],
    "worst 10 % dropped": ["drop_noisy=0.1"],
    "worst 20 % dropped": ["drop_noisy=0.2"],
    "worst 10 % softened": ["soften_noisy=0.1"],
    "worst 20 % softened": ["soften_noisy=0.2"],
}


def recipe_of(epochs: int) -> Recipe:
    """Return `release_nano` without its teacher and without votes."""
    return replace(find_recipe("release_nano"), name="noise", teacher="", scheme="fer2013", epochs=epochs)


def mislabeled_masks(data: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the mislabeled training faces and of those with a majority vote, bool [N] each."""
    faces = data[TRAIN]
    assert faces.votes_NV is not None, "the votes were given"
    share_NK, known_N = majority(faces.votes_NV)
    correct_N = projection(data.labels, FERPLUS8)[faces.labels_N].argmax(1) == share_NK.argmax(1)
    return known_N & ~correct_N, known_N


def precision(order: NDArray[np.int64], wrong_N: NDArray[np.bool_], known_N: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share of mislabeled faces among the first of a ranking, ignoring faces without a majority vote."""
    ranked = wrong_N[order[known_N[order]]]
    return {str(first): round(float(ranked[:first].mean()), 4) for first in FIRST if first <= len(ranked)}


def rankings(data: Dataset, label_noise: LabelNoise, in_sample: Path) -> dict[str, dict[str, float]]:
    """Return the precision of each ranking; `in_sample` is the folder of a run trained on all faces."""
    faces = data[TRAIN]
    (wrong_N, known_N), probs_NK = mislabeled_masks(data), label_noise.of(faces.rows_N)
    in_sample_NK = predict(in_sample, data, TRAIN, device="cpu")
    overall = round(float(wrong_N[known_N].mean()), 4)
    return {
        "confident learning": precision(rank_by_confident_learning(faces.labels_N, probs_NK), wrong_N, known_N),
        "loss, label not learned": precision(rank_by_self_confidence(faces.labels_N, probs_NK), wrong_N, known_N),
        "loss, label learned": precision(rank_by_self_confidence(faces.labels_N, in_sample_NK), wrong_N, known_N),
        "random": {str(first): overall for first in FIRST},
    }


def train_and_evaluate(recipe: Recipe, data: Dataset, place: Path, seed: int) -> dict[str, Any]:
    """Train one run of the second part and return its metrics."""
    run = train(recipe, data, place, seed=seed, device="cpu", resume=True)
    evaluation = evaluate_split(run.predictions()[VAL], data[VAL].rows_N, data, data, VAL)
    scores = {
        f"{'labels' if e.against == OWN_LABELS else 'raters'}, {e.protocol}": round(e.accuracy, 6)
        for e in evaluation.evaluations
    }
    return {
        "seed": seed,
        "accuracy": scores,
        "macro_f1": round(evaluation.official.macro_f1, 6),
        "train_loss": run.history[-1]["train_loss"],
        "seconds": round(sum(m["seconds"] for m in run.history), 1),
    }


def main(options: argparse.Namespace) -> None:
    """Train all runs; write the record after each change."""
    data, recipe = load(options.csv, votes=options.votes), recipe_of(options.epochs)
    place = options.folder / f"folds{options.folds}-epochs{options.epochs}"
    out_of_fold(recipe, data, place, folds=options.folds, device="cpu")
    label_noise = read_label_noise(place / "label_noise.npz")
    record: dict[str, Any] = {
        "question": "can mislabeled training faces be found without votes, and does it help to drop them",
        "digest": data.digest,
        "folds": options.folds,
        "recipe": recipe.to_dict(),
        "agreement_out_of_fold": round(
            float((label_noise.of(data[TRAIN].rows_N).argmax(1) == data[TRAIN].labels_N).mean()), 4
        ),
        "rankings": {},
        "changes": [],
    }
    for name, settings in CHANGES.items():
        label_noise_settings = [f"label_noise={place / 'label_noise.npz'}"] if settings else []
        changed = apply_overrides(recipe, [*label_noise_settings, *settings])
        folder = place / "".join(c if c.isalnum() else "_" for c in name)
        runs = [train_and_evaluate(changed, data, folder / f"seed{seed}", seed) for seed in range(options.seeds)]
        record["changes"].append({"change": name, "set": settings, "runs": runs})
        if not settings:
            record["rankings"] = rankings(data, label_noise, folder / "seed0")
            print(json.dumps(record["rankings"], indent=1), flush=True)
        print(name, [run["accuracy"] for run in runs], flush=True)
        write(record, options.json)


def write(record: Mapping[str, Any], file: Path) -> None:
    """Write the record with the current time."""
    dated = {**record, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    file.write_text(json.dumps(dated, indent=1) + "\n")


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("csv", "votes", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULT)
    return parser


if __name__ == "__main__":
    main(options().parse_args())
