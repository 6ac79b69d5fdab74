"""Compare training from scratch with fine-tuning. Writes results/fine_tune.json and prints its figures.

Run:   python experiments/fine_tune.py            (about four minutes on two cores)

The data set is a generated folder like a user's: 300 synthetic faces as PNG and JPEG of many sizes with three made-up
labels, 60 of each label for training and 40 for validation. The quarter-width model is trained with one recipe and five
seeds from three starts: from scratch, from the shipped model (trained on FER2013's photos), and from a run on 1,400
other synthetic faces with the usual seven labels. The accuracies are those of synthetic faces: they show that `--init`
works with the labels of a folder, not how much fine-tuning improves accuracy on photos.
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
    """Write images SPLIT/LABEL/N.png or .jpg of 32 to 200 pixels; no other data set of this script has these faces."""
    rng = np.random.default_rng(0)
    faces = sketch(train=1400, val=900, test=0, seed=7)
    for split, count in PER_LABEL.items():
        for label, folder_label in LABELS.items():
            (folder / split / folder_label).mkdir(parents=True)
            rows = np.flatnonzero(faces[split].labels_N == faces.labels.index(label))[:count]
            for row in rows:
                side, extension = int(rng.integers(32, 200)), ("png", "jpg")[row % 2]
                image = cv2.resize(faces[split].pixels_NHW[row], (side, side), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(folder / split / folder_label / f"{row}.{extension}"), image)


def main() -> None:
    """Train all runs and write the record."""
    recipe = replace(find_recipe("seed_augmented"), model="seed_cnn_quarter", epochs=8, schedule="cosine")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        make_folder(work / "faces")
        folder_data = load(work / "faces")
        pretrained = train(recipe, sketch(train=1400, val=7, test=0, seed=8), work / "earlier")
        starts: dict[str, Any] = {"nothing": None, "seed_quarter": "seed_quarter", "a run on sketch": pretrained.folder}
        rows = []
        for name, init in starts.items():
            runs = [train(recipe, folder_data, work / f"{name}{s}", seed=s, init=init) for s in range(SEEDS)]
            per_seed = [run.history[-1]["val_accuracy"] for run in runs]
            after_one_epoch = [run.history[0]["val_accuracy"] for run in runs]
            rows.append({"start": name, "val_accuracy": per_seed, "val_accuracy_after_one_epoch": after_one_epoch})
            print(f"{name:18} {100 * statistics.mean(per_seed):.1f} ± {100 * statistics.stdev(per_seed):.1f} %")
        record = {
            "question": "how much do pretrained weights help on three made-up labels",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "recipe": recipe.to_dict(),
            "faces": {split: len(folder_data[split]) for split in PER_LABEL},
            "labels": list(folder_data.labels.names),
            "machine": runs[0].machine,
            "starts": rows,
        }
    (HERE / "results" / "fine_tune.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
