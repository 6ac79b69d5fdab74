"""Compare training from scratch with fine-tuning. Writes results/fine_tune.json and prints its figures.

Run:   python experiments/fine_tune.py            (about four minutes on two cores)

A folder of 300 sketch faces is made, as a user would have it: PNG and JPEG of many sizes under three made-up labels, 60
of each label to train and 40 to validate. The quarter-width model learns them from nothing, from the shipped model
(trained on FER2013's photos) and from a run of its own on 1,400 other sketch faces with the usual seven labels; five
seeds each, the same recipe. Figures are of sketch faces: they say that `--init` and a folder's own labels work, not how
much fine-tuning brings on photos.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.data import load, sketch
from mien.train import find_recipe, train

HERE = Path(__file__).parent
LABELS = {"happy": "delighted", "angry": "cross", "surprise": "startled"}
PER_LABEL = {"train": 60, "val": 40}
SEEDS = 5


def make_folder(folder: Path) -> None:
    """Images SPLIT/LABEL/N.png or .jpg, 32 to 200 pixels a side, drawn from faces that no other data here has."""
    rng = np.random.default_rng(0)
    faces = sketch(train=1400, val=900, test=0, seed=7)
    for split, wanted in PER_LABEL.items():
        for usual, made_up in LABELS.items():
            (folder / split / made_up).mkdir(parents=True)
            rows = np.flatnonzero(faces[split].labels_N == faces.labels.index(usual))[:wanted]
            for row in rows:
                side, ending = int(rng.integers(32, 200)), ("png", "jpg")[row % 2]
                image = cv2.resize(faces[split].pixels_NHW[row], (side, side), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(folder / split / made_up / f"{row}.{ending}"), image)


def main() -> None:
    recipe = replace(find_recipe("seed_augmented"), model="seed_cnn_quarter", epochs=8, schedule="cosine")
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make_folder(work / "faces")
        mine = load(work / "faces")
        earlier = train(recipe, sketch(train=1400, val=7, test=0, seed=8), work / "earlier")
        starts: dict[str, Any] = {"nothing": None, "seed_quarter": "seed_quarter", "a run on sketch": earlier.folder}
        rows = []
        for name, init in starts.items():
            runs = [train(recipe, mine, work / f"{name}{s}", seed=s, init=init) for s in range(SEEDS)]
            per_seed = [run.history[-1]["val_accuracy"] for run in runs]
            first = [run.history[0]["val_accuracy"] for run in runs]
            rows.append({"start": name, "val_accuracy": per_seed, "val_accuracy_after_one_epoch": first})
            print(f"{name:18} {100 * statistics.mean(per_seed):.1f} ± {100 * statistics.stdev(per_seed):.1f} %")
        record = {
            "question": "what trained weights save on three made-up labels",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "recipe": recipe.to_dict(),
            "faces": {split: len(mine[split]) for split in PER_LABEL},
            "labels": list(mine.labels.names),
            "machine": runs[0].machine,
            "starts": rows,
        }
    (HERE / "results" / "fine_tune.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
