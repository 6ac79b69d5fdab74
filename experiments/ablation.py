"""Ablate the parts of the release recipes. Writes results/ablation.json, a row at a time.

Run:   python experiments/ablation.py fer2013.csv fer2013new.csv [FOLDER]     (about 40 minutes on one core)

Each row is `release_nano` without its teacher, on milder images and a short schedule, with one change, three seeds;
judged on PublicTest by FER2013's labels, single forwards, and by the majority vote (FER+); all faces, and those without
a duplicate in Training. FOLDER keeps the runs, so that the same command resumes an interrupted run; rows that are there
are not trained again.

A short schedule favours what learns fast and penalises what needs time, such as strong augmentation.
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
# Row -> the fields that it changes; the other optimizer's rate is the one that is usual for it.
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


def judged(recipe: Recipe, data: Dataset, folder: Path, seed: int) -> dict[str, Any]:
    """Train one run and evaluate it in every way that the data allows."""
    run = train(recipe, data, folder / f"seed{seed}", seed=seed, device="cpu", resume=True)
    probs_NK = run.predictions()[VAL]
    found = evaluate_split(probs_NK, data[VAL].rows_N, data, data, VAL)
    scores = {
        f"{'labels' if e.against == OWN_LABELS else 'raters'}, {e.protocol}": round(e.accuracy, 6)
        for e in found.evaluations
        if e.protocol in (OFFICIAL, DEDUPLICATED)
    }
    return {
        "seed": seed,
        "accuracy": scores,
        "macro_f1": round(found.official.macro_f1, 6),
        "train_loss": run.history[-1]["train_loss"],
        "seconds": round(sum(m["seconds"] for m in run.history), 1),
    }


def rows_there(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an earlier call, if it started from the same recipe."""
    if not RESULT.exists():
        return []
    before = json.loads(RESULT.read_text())
    return list(before["changes"]) if before["recipe"] == recipe else []


def main(csv: str, votes: str, folder: Path) -> None:
    data = load(csv, votes=votes)
    rows = rows_there(SHORT.to_dict())
    for name, settings in CHANGES.items():
        if any(row["change"] == name for row in rows):
            continue
        recipe, place = apply_overrides(SHORT, settings), folder / "".join(c if c.isalnum() else "_" for c in name)
        rows.append({"change": name, "set": settings, "runs": [judged(recipe, data, place, s) for s in range(SEEDS)]})
        record = {
            "question": "what does each part of the release recipes bring, on a short schedule",
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
