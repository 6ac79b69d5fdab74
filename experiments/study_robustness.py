"""Evaluate the runs of a study on corrupted images. Writes results/NAME_robustness.json and .png.

Run:   python experiments/study_robustness.py fer2013.csv FOLDER NAME      (minutes a run)

FOLDER is what `mien compare` wrote. The model of each run predicts PublicTest's faces under twelve corruptions at five
severities; all arms of a random seed get the same corrupted faces. Metrics are means over seeds; differences to the
first arm are paired by seed and face. With three seeds or more their intervals account for variation of both, as those
of the comparison do, else for that of faces alone. FOLDER keeps the predictions of each seed, so that the same command
resumes an interrupted run.
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
    """Every arm's run of one seed on the same altered faces; what is kept of it is kept with the weights it is of."""
    runs = {arm: folder / f"{arm}-seed{seed}" for arm in arms}
    weights = {
        arm: hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest() for arm, run in runs.items()
    }
    kept = folder / f"robustness-seed{seed}.npz"
    if not kept.exists() or json.loads(str(np.load(kept)["weights"])) != weights:
        faces = data[VAL]
        models = {arm: load_predictor(run, device="cpu").predict for arm, run in runs.items()}
        found = measure_robustness(models, faces.pixels_NHW, faces.labels_N)
        arrays = {f"{r.model} unaltered": r.unaltered_N for r in found} | {
            f"{r.model} altered": r.altered_accuracy_N for r in found
        }
        draft = kept.with_name(f"unfinished-{kept.name}")
        result = {"accuracy": json.dumps({r.model: r.accuracy for r in found}), "weights": json.dumps(weights)}
        np.savez(draft, **arrays, **result)
        draft.replace(kept)
    with np.load(kept) as of:
        accuracy = json.loads(str(of["accuracy"]))
        return {
            arm: Robustness(
                arm, of[f"{arm} unaltered"], {name: tuple(a) for name, a in accuracy[arm].items()}, of[f"{arm} altered"]
            )
            for arm in arms
        }


def of_arm(runs: list[Robustness], keep_N: NDArray[np.bool_]) -> dict[str, Any]:
    """One arm's figures over its seeds; `keep_N` are the faces without a duplicate in Training."""
    each = {name: np.mean([r.accuracy[name] for r in runs], 0) for name in runs[0].accuracy}
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
            for name, values in each.items()
        },
    }


def apart(runs: list[Robustness], first: list[Robustness]) -> dict[str, Any]:
    """By how much an arm is ahead of the first, on the faces as they are and altered."""
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


def drawn(arms: dict[str, list[Robustness]], file: Path) -> None:
    """The curves of the arms, each the mean over its seeds."""
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
    data = load(csv)
    compared = json.loads((folder / "comparison.json").read_text())
    arms, seeds = [arm["arm"] for arm in compared["arms"]], compared["arms"][0]["seeds"]
    runs: dict[str, list[Robustness]] = {arm: [] for arm in arms}
    for seed in seeds:
        for arm, found in predictions_by_seed(data, folder, arms, seed).items():
            runs[arm].append(found)
            print(
                f"seed {seed}, {arm}: {100 * found.unaltered:.1f} %, "
                f"altered {100 * found.altered_accuracy_N.mean():.1f} %",
                flush=True,
            )
    keep_N = without_duplicates(data, VAL)
    record = {
        "question": "what does augmentation buy where images are worse than the data",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": data.digest,
        "split": VAL,
        "faces": len(data[VAL]),
        "model": compared["arms"][0]["recipe"]["model"],
        "seeds": seeds,
        "faces_without_duplicates": int(keep_N.sum()),
        "altered_arms": [of_arm(each, keep_N) for each in runs.values()],
        "pairs": [apart(runs[arm], runs[arms[0]]) for arm in arms[1:]],
    }
    (RESULTS / f"{name}_robustness.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    drawn(runs, RESULTS / f"{name}_robustness.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    said = parser.parse_args()
    main(said.csv, said.folder, said.name)
