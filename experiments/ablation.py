"""Ablate the parts of the release recipes. Writes results/ablation.json, a row at a time.

Run:   python experiments/ablation.py fer2013.csv fer2013new.csv [FOLDER]     (about 40 minutes on one core)

Each row is `release_nano` without its teacher, with weaker augmentation, a short schedule and one change, for three
seeds. The runs are evaluated on PublicTest without test-time augmentation, against FER2013's labels and the majority
vote (FER+), on all faces and on those without a duplicate in Training. The runs are kept in FOLDER, so the same command
resumes an interrupted run; finished rows are not trained again.

A short schedule favors changes that learn fast and penalizes those that need time, such as strong augmentation.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import Dataset, load
from mien.data.dataset import VAL
from mien.evaluation.protocols import evaluate_split
from mien.model_card import DEDUPLICATED, OFFICIAL, OWN_LABELS
from mien.train import Recipe, apply_overrides, find_recipe, train
from mien.train.batches import steps_per_epoch

HERE = Path(__file__).parent
RESULT = HERE / "results" / "ablation.json"
SEEDS = 3
EPOCHS = 5
AFFINE = "affine(degrees=10.0,shift=0.05,scale=0.1)"
SHORT = replace(
    apply_overrides(find_recipe("release_nano"), [f"augment=flip+{AFFINE}"]),
    name="ablation", teacher="", teacher_weight=0.5, views=0, epochs=EPOCHS,
)  # fmt: skip
# Row name -> overrides of the recipe. Nesterov has the learning rate that is usual for it.
CHANGES: dict[str, list[str]] = {
    "nothing": [],
    "Nesterov, lr 0.1, decay 0.0005": ["optimizer=nesterov", "lr=0.1", "momentum=0.9", "weight_decay=0.0005"],
    "no weight decay": ["weight_decay=0"],
    "no running average": ["ema=0"],
    "FER2013's labels alone": ["scheme=fer2013"],
    "what votes make one expect alone": ["mix=1"],
    "votes themselves, half": ["scheme=mixed"],
    "label smoothing 0.1": ["label_smoothing=0.1"],
    "no flip": [f"augment={AFFINE}"],
    "no affine": ["augment=flip"],
    "and cutout 12": [f"augment=flip+{AFFINE}+cutout(holes=1,size=12)"],
    "taught by base, half": ["teacher=base"],
}


def train_and_evaluate(recipe: Recipe, data: Dataset, folder: Path, seed: int) -> dict[str, Any]:
    """Train one run and return its metrics for both kinds of labels and both protocols."""
    run = train(recipe, data, folder / f"seed{seed}", seed=seed, device="cpu", resume=True)
    probs_NK = run.predictions()[VAL]
    evaluation = evaluate_split(probs_NK, data[VAL].rows_N, data, data, VAL)
    scores = {
        f"{'labels' if e.against == OWN_LABELS else 'raters'}, {e.protocol}": round(e.accuracy, 6)
        for e in evaluation.evaluations
        if e.protocol in (OFFICIAL, DEDUPLICATED)
    }
    return {
        "seed": seed,
        "accuracy": scores,
        "macro_f1": round(evaluation.official.macro_f1, 6),
        "train_loss": run.history[-1]["train_loss"],
        "seconds": round(sum(m["seconds"] for m in run.history), 1),
    }


def read_finished_rows(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the existing record if its base recipe is the same, else an empty list."""
    if not RESULT.exists():
        return []
    previous = json.loads(RESULT.read_text())
    return list(previous["changes"]) if previous["recipe"] == recipe else []


def main(csv: str, votes: str, folder: Path) -> None:
    data = load(csv, votes=votes)
    rows = read_finished_rows(SHORT.to_dict())
    for name, settings in CHANGES.items():
        if any(row["change"] == name for row in rows):
            continue
        recipe, run_folder = apply_overrides(SHORT, settings), folder / "".join(c if c.isalnum() else "_" for c in name)
        runs = [train_and_evaluate(recipe, data, run_folder, seed) for seed in range(SEEDS)]
        rows.append({"change": name, "set": settings, "runs": runs})
        record = {
            "question": "how much does each part of the release recipes contribute on a short schedule",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": SHORT.epochs * steps_per_epoch(len(data["train"]), SHORT),
            "recipe": SHORT.to_dict(),
            "changes": rows,
        }
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
        print(name, [run["accuracy"]["labels, official"] for run in rows[-1]["runs"]], flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) == 4 else tempfile.mkdtemp()))
