"""Compare the accuracy of training on two devices and on one. Writes results/devices.json.

Run:   python experiments/devices.py fer2013.csv FOLDER [--epochs 6] [--seeds 3]       (ten minutes on two cores)

Trains `release_nano` without its teacher in one CPU process and in two, each with half of every batch and its own batch
normalization. Runs are paired by seed and evaluated on PublicTest. The interval of the difference covers the draw of
seeds and faces. The runs are kept in FOLDER, so the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from mien.data import load
from mien.data.dataset import VAL
from mien.evaluation.statistics.intervals import two_way_interval
from mien.train import find_recipe
from mien.train.processes import train_on_devices

RESULT = Path(__file__).parent / "results" / "devices.json"
DEVICES = (1, 2)


def main(csv: Path, folder: Path, epochs: int, seeds: int) -> None:
    """Train all runs and write the record."""
    data = load(csv)
    recipe = replace(find_recipe("release_nano"), name="devices", teacher="", scheme="fer2013", epochs=epochs)
    correct: dict[int, list[Any]] = {devices: [] for devices in DEVICES}
    rows = []
    for devices in DEVICES:
        for seed in range(seeds):
            run_folder = folder / f"on{devices}-seed{seed}"
            run = train_on_devices(devices, recipe, data, run_folder, seed=seed, device="cpu", resume=True)
            correct[devices].append(run.predictions()[VAL].argmax(1) == data[VAL].labels_N)
            print(f"{devices} devices, seed {seed}: {100 * correct[devices][-1].mean():.2f} %", flush=True)
        accuracies = [float(r.mean()) for r in correct[devices]]
        rows.append(
            {
                "devices": devices,
                "accuracy": {"mean": mean(accuracies), "std": stdev(accuracies), "per_seed": accuracies},
            }
        )
    difference = two_way_interval(np.stack(correct[2]).astype(float) - np.stack(correct[1]))
    record = {
        "question": "do two devices reach the accuracy of one",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": data.digest,
        "recipe": recipe.to_dict(),
        "faces": len(data[VAL]),
        "devices": rows,
        "two_minus_one": asdict(difference),
        "held": 0 in difference,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    main(args.csv, args.folder, args.epochs, args.seeds)
