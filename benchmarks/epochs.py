"""Measure the training time of the release recipes in seconds per epoch. Writes results/epochs.json.

usage: python benchmarks/epochs.py fer2013.csv fer2013new.csv [--repeats 3] [--recipes release_nano release_base]

Runs `mien.train.train` on FER2013's Training with `mien.threads.threads` cores, or on a GPU if there is one. The
recipes alternate. The second epoch is timed: its steps only (`steps`), and with evaluation and checkpoint (`whole`:
the difference between runs of two epochs and of one). `release_nano` runs with its teacher and, as `release_nano,
alone`, without. `minutes` is the time of all epochs of the recipe.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import Dataset, load
from mien.train import Recipe, find_recipe, train
from mien.train.fabric import machine, make_fabric

HERE = Path(__file__).resolve().parent


def seconds(recipe: Recipe, data: Dataset) -> tuple[float, float]:
    """Return the seconds of the second epoch: the steps only, and with evaluation and checkpoint."""
    with tempfile.TemporaryDirectory() as temporary:
        seconds_spent = []
        for epochs in (1, 2):
            start = time.perf_counter()
            run = train(replace(recipe, epochs=epochs, warmup=0.0), data, Path(temporary) / f"{epochs}")
            seconds_spent.append(time.perf_counter() - start)
        return run.history[-1]["seconds"], seconds_spent[1] - seconds_spent[0]


def main() -> None:
    """Time all recipes and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=["release_nano", "release_base"])
    args = parser.parse_args()
    data = load(args.csv, votes=args.votes)
    recipes = {name: find_recipe(name) for name in args.recipes}
    recipes |= {f"{name}, alone": replace(recipe, teacher="") for name, recipe in recipes.items() if recipe.teacher}
    seconds_spent: dict[str, list[tuple[float, float]]] = {name: [] for name in recipes}
    for _ in range(args.repeats):
        for name, recipe in recipes.items():
            seconds_spent[name].append(seconds(recipe, data))
            print(name, seconds_spent[name][-1], flush=True)
    rows = {}
    for name, values in seconds_spent.items():
        steps, whole = zip(*values, strict=True)
        rows[name] = {
            "steps": {"median": round(statistics.median(steps), 2), "all": [round(s, 2) for s in steps]},
            "whole": {"median": round(statistics.median(whole), 2), "all": [round(s, 2) for s in whole]},
            "epochs": recipes[name].epochs,
            "minutes": round(recipes[name].epochs * statistics.median(whole) / 60, 1),
        }
    record: dict[str, Any] = {
        "question": "seconds per epoch of the release recipes",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(make_fabric("auto", "auto")),
        "faces": len(data["train"]),
        "recipes": rows,
    }
    (HERE / "results" / "epochs.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
