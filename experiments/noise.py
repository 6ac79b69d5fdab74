"""Find label noise without votes, and train without it. Writes results/noise.json.

Run:   python experiments/noise.py fer2013.csv fer2013new.csv FOLDER [--folds 5] [--epochs 8] [--seeds 3] [--json FILE]

Models like `release_nano`, trained on FER2013's labels alone, are trained on all folds but one and predict that one.
The training faces are ranked by these predictions, the least plausible label first. The ground truth is the majority
vote of ten raters (FER+): a face is mislabelled if the majority is another class than its label, contempt included;
faces without a majority are not counted. The table has the share of mislabelled faces among the first 500 and 2,000: by
confident learning, by the loss of models that did not learn the label, by the loss of a model that did, and at random,
which is the share in all of them.

The second part trains with and without the worst, or with softer targets for them, and judges on PublicTest. FOLDER
keeps the runs and the doubts, so that the same command resumes an interrupted run.
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
# Row -> the fields that it changes, beside the doubts.
CHANGES: dict[str, list[str]] = {
    "nothing": [],
    "worst 5 % dropped": ["drop_noisy=0.05"],
    "worst 10 % dropped": ["drop_noisy=0.1"],
    "worst 20 % dropped": ["drop_noisy=0.2"],
    "worst 10 % softened": ["soften_noisy=0.1"],
    "worst 20 % softened": ["soften_noisy=0.2"],
}


def recipe_of(epochs: int) -> Recipe:
    """`release_nano` without its teacher and without the votes."""
    return replace(find_recipe("release_nano"), name="noise", teacher="", scheme="fer2013", epochs=epochs)


def mislabelled(data: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which training faces have a majority of raters for another class than their label, and which have a majority."""
    faces = data[TRAIN]
    assert faces.votes_NV is not None, "the votes were given"
    share_NK, known_N = majority(faces.votes_NV)
    right_N = projection(data.labels, FERPLUS8)[faces.labels_N].argmax(1) == share_NK.argmax(1)
    return known_N & ~right_N, known_N


def precision(order: NDArray[np.int64], wrong_N: NDArray[np.bool_], known_N: NDArray[np.bool_]) -> dict[str, float]:
    """Share of mislabelled faces among the first of a ranking, faces without a majority passed over."""
    ranked = wrong_N[order[known_N[order]]]
    return {str(first): round(float(ranked[:first].mean()), 4) for first in FIRST if first <= len(ranked)}


def rankings(data: Dataset, label_noise: LabelNoise, seen: Path) -> dict[str, dict[str, float]]:
    """The precision of each way to rank; `seen` is a run that learned all the labels."""
    faces = data[TRAIN]
    (wrong_N, known_N), probs_NK = mislabelled(data), label_noise.of(faces.rows_N)
    learned_NK = predict(seen, data, TRAIN, device="cpu")
    base = round(float(wrong_N[known_N].mean()), 4)
    return {
        "confident learning": precision(rank_by_confident_learning(faces.labels_N, probs_NK), wrong_N, known_N),
        "loss, label not learned": precision(rank_by_self_confidence(faces.labels_N, probs_NK), wrong_N, known_N),
        "loss, label learned": precision(rank_by_self_confidence(faces.labels_N, learned_NK), wrong_N, known_N),
        "random": {str(first): base for first in FIRST},
    }


def judged(recipe: Recipe, data: Dataset, place: Path, seed: int) -> dict[str, Any]:
    """One run of the second part, and what it is worth."""
    run = train(recipe, data, place, seed=seed, device="cpu", resume=True)
    found = evaluate_split(run.predictions()[VAL], data[VAL].rows_N, data, data, VAL)
    scores = {
        f"{'labels' if e.against == OWN_LABELS else 'raters'}, {e.protocol}": round(e.accuracy, 6)
        for e in found.evaluations
    }
    return {
        "seed": seed,
        "accuracy": scores,
        "macro_f1": round(found.official.macro_f1, 6),
        "train_loss": run.history[-1]["train_loss"],
        "seconds": round(sum(m["seconds"] for m in run.history), 1),
    }


def main(options: argparse.Namespace) -> None:
    data, recipe = load(options.csv, votes=options.votes), recipe_of(options.epochs)
    place = options.folder / f"folds{options.folds}-epochs{options.epochs}"
    out_of_fold(recipe, data, place, folds=options.folds, device="cpu")
    label_noise = read_label_noise(place / "label_noise.npz")
    record: dict[str, Any] = {
        "question": "are mislabelled training faces found without the raters, and does it help to leave them out",
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
        about = [f"label_noise={place / 'label_noise.npz'}"] if settings else []
        changed = apply_overrides(recipe, [*about, *settings])
        folder = place / "".join(c if c.isalnum() else "_" for c in name)
        runs = [judged(changed, data, folder / f"seed{seed}", seed) for seed in range(options.seeds)]
        record["changes"].append({"change": name, "set": settings, "runs": runs})
        if not settings:
            record["rankings"] = rankings(data, label_noise, folder / "seed0")
            print(json.dumps(record["rankings"], indent=1), flush=True)
        print(name, [run["accuracy"] for run in runs], flush=True)
        write(record, options.json)


def write(record: Mapping[str, Any], file: Path) -> None:
    now = {**record, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    file.write_text(json.dumps(now, indent=1) + "\n")


def options() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("csv", "votes", "folder"):
        words.add_argument(name, type=Path)
    words.add_argument("--folds", type=int, default=5)
    words.add_argument("--epochs", type=int, default=8)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--json", type=Path, default=RESULT)
    return words


if __name__ == "__main__":
    main(options().parse_args())
