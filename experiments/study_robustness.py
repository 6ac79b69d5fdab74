"""Evaluate the runs of a study on corrupted images. Writes results/NAME_robustness.json and .png.

Run:   python experiments/study_robustness.py fer2013.csv FOLDER NAME      (minutes a run)

FOLDER is the output folder of `mien compare`. The model of each run predicts PublicTest under twelve corruptions at
five severities; all arms of a seed predict the same corrupted faces. Accuracies are means over seeds; the differences
to the first arm are paired by seed and face. With three seeds or more their intervals cover seeds and faces, as in the
comparison, else only faces. The predictions of each seed are kept in FOLDER, so the same command resumes an interrupted
run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import Dataset, load
from mien.data.audit import without_duplicates
from mien.data.dataset import VAL
from mien.evaluation.comparison.verdict import interval_for
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.report.curves import robustness_curves
from mien.evaluation.robustness import Robustness, measure_robustness
from mien.train.predict import load_predictor

RESULTS = Path(__file__).parent / "results"


def predictions_by_seed(data: Dataset, folder: Path, arms: list[str], seed: int) -> dict[str, Robustness]:
    """Return the robustness of every arm for one seed; it is cached with the checksums of the weights."""
    runs = {arm: folder / f"{arm}-seed{seed}" for arm in arms}
    weights = {
        arm: hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest() for arm, run in runs.items()
    }
    cache = folder / f"robustness-seed{seed}.npz"
    if not cache.exists() or json.loads(str(np.load(cache)["weights"])) != weights:
        faces = data[VAL]
        models = {arm: load_predictor(run, device="cpu").predict for arm, run in runs.items()}
        robustness = measure_robustness(models, faces.pixels_NHW, faces.labels_N)
        arrays = {f"{r.model} unaltered": r.unaltered_N for r in robustness} | {
            f"{r.model} altered": r.altered_accuracy_N for r in robustness
        }
        temporary = cache.with_name(f"unfinished-{cache.name}")
        result = {"accuracy": json.dumps({r.model: r.accuracy for r in robustness}), "weights": json.dumps(weights)}
        np.savez(temporary, **arrays, **result)
        temporary.replace(cache)
    with np.load(cache) as arrays_of_seed:
        accuracy = json.loads(str(arrays_of_seed["accuracy"]))
        return {
            arm: Robustness(
                arm,
                arrays_of_seed[f"{arm} unaltered"],
                {name: tuple(a) for name, a in accuracy[arm].items()},
                arrays_of_seed[f"{arm} altered"],
            )
            for arm in arms
        }


def arm_metrics(runs: list[Robustness], keep_N: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the metrics of one arm over its seeds; `keep_N` is the mask of faces without a duplicate in Training."""
    mean_accuracy = {name: np.mean([r.accuracy[name] for r in runs], 0) for name in runs[0].accuracy}
    unaltered = [r.unaltered for r in runs]
    return {
        "arm": runs[0].model,
        "unaltered": {"mean": mean(unaltered), "std": stdev(unaltered) if len(unaltered) > 1 else None},
        "altered": asdict(interval_for(np.stack([r.altered_accuracy_N for r in runs]))),
        "altered_std": stdev(float(r.altered_accuracy_N.mean()) for r in runs) if len(runs) > 1 else None,
        "without_duplicates": {
            "unaltered": mean(float(r.unaltered_N[keep_N].mean()) for r in runs),
            "altered": mean(float(r.altered_accuracy_N[keep_N].mean()) for r in runs),
        },
        "accuracy": {
            name: {
                "unit": CORRUPTIONS[name].unit,
                "severities": list(CORRUPTIONS[name].severities),
                "values": [round(float(v), 5) for v in values],
            }
            for name, values in mean_accuracy.items()
        },
    }


def difference(runs: list[Robustness], first: list[Robustness]) -> dict[str, Any]:
    """Return the difference of an arm to the first on clean and corrupted faces, with intervals."""
    pairs = list(zip(runs, first, strict=True))
    by_kind = {
        name: float(np.mean([np.mean(a.accuracy[name]) - np.mean(b.accuracy[name]) for a, b in pairs]))
        for name in runs[0].accuracy
    }
    return {
        "a": first[0].model,
        "b": runs[0].model,
        "unaltered": asdict(interval_for(np.stack([a.unaltered_N.astype(float) - b.unaltered_N for a, b in pairs]))),
        "altered": asdict(interval_for(np.stack([a.altered_accuracy_N - b.altered_accuracy_N for a, b in pairs]))),
        "altered_by_corruption": {name: round(value, 5) for name, value in by_kind.items()},
    }


def plot_curves(arms: dict[str, list[Robustness]], file: Path) -> None:
    """Plot the curves of the arms, each the mean over its seeds."""
    means = [
        Robustness(
            arm,
            np.concatenate([r.unaltered_N for r in runs]),
            {name: tuple(np.mean([r.accuracy[name] for r in runs], 0).tolist()) for name in runs[0].accuracy},
            np.mean([r.altered_accuracy_N for r in runs], 0),
        )
        for arm, runs in arms.items()
    ]
    robustness_curves(means).savefig(file, dpi=110)


def main(csv: Path, folder: Path, name: str) -> None:
    """Evaluate all runs; write the record and the plot."""
    data = load(csv)
    comparison = json.loads((folder / "comparison.json").read_text())
    arms, seeds = [arm["arm"] for arm in comparison["arms"]], comparison["arms"][0]["seeds"]
    runs: dict[str, list[Robustness]] = {arm: [] for arm in arms}
    for seed in seeds:
        for arm, robustness in predictions_by_seed(data, folder, arms, seed).items():
            runs[arm].append(robustness)
            print(
                f"seed {seed}, {arm}: {100 * robustness.unaltered:.1f} %, "
                f"altered {100 * robustness.altered_accuracy_N.mean():.1f} %",
                flush=True,
            )
    keep_N = without_duplicates(data, VAL)
    record = {
        "question": "how much does augmentation improve accuracy on corrupted images",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": data.digest,
        "split": VAL,
        "faces": len(data[VAL]),
        "model": comparison["arms"][0]["recipe"]["model"],
        "seeds": seeds,
        "faces_without_duplicates": int(keep_N.sum()),
        "altered_arms": [arm_metrics(runs_of_arm, keep_N) for runs_of_arm in runs.values()],
        "pairs": [difference(runs[arm], runs[arms[0]]) for arm in arms[1:]],
    }
    (RESULTS / f"{name}_robustness.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    plot_curves(runs, RESULTS / f"{name}_robustness.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    args = parser.parse_args()
    main(args.csv, args.folder, args.name)
