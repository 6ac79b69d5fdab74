"""Benchmark other packages and our models on PublicTest. Writes results/peers.json.

Run:   python experiments/ask_peers.py ...        (its docstring has a command for each package)
       python experiments/peers.py fer2013.csv fer2013new.csv --predictions FOLDER

FOLDER holds the predictions of each package: NAME.npy, float [3589,7] in FER2013's class order, and optionally
NAME.json with the package and its preprocessing. Our models predict the same crops here. All are compared with `fer`,
or with the first by name if it is missing; `mien benchmark base FOLDER/*.npy --data fer2013.csv --split val` compares
them with another model.

Packages are usually trained on FER2013's Training rows, some on more of its rows; implausible metrics are listed under
`contamination` in the record. Takes half a minute on one core, and another half if near-duplicates are not cached.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import Dataset, load
from mien.data.dataset import VAL
from mien.evaluation import benchmark
from mien.evaluation.comparison.benchmark import BenchmarkEntry
from mien.evaluation.predictions_file import read_predictions_of_split
from mien.evaluation.predictor import Predictor
from mien.evaluation.training_data import selected_on_split
from mien.model import load as load_model

HERE = Path(__file__).parent
REFERENCE = "fer"
OURS = ("base", "nano", "photo")


def ours(name: str, data: Dataset) -> BenchmarkEntry:
    """Return the predictions of one of our models as an entry of the benchmark."""
    model = Predictor.of(load_model(name))
    return BenchmarkEntry(name, data.labels, model.predict(data[VAL].pixels_NHW), selected_on_split(model, data, VAL))


def provenance(file: Path) -> dict[str, Any]:
    """Return the package and its preprocessing, an empty dict if unknown."""
    sidecar = file.with_suffix(".json")
    return json.loads(sidecar.read_text()) if sidecar.exists() else {}


def main(csv: str, votes: str, folder: Path) -> None:
    """Compare all models and write the record."""
    data = load(csv, votes=votes)
    files = sorted(folder.glob("*.npy"), key=lambda file: (file.stem != REFERENCE, file.stem))
    entries = [BenchmarkEntry(file.stem, *read_predictions_of_split(file, data, VAL)) for file in files]
    entries += [ours(name, data) for name in OURS]
    record = {
        "question": "how accurate are other packages on the same faces",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": {file.stem: provenance(file) for file in files},
        **benchmark(entries, data, VAL, strict=True).to_dict(),
    }
    (HERE / "results" / "peers.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for sentence in record["contamination"]:
        print("implausible:", sentence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--predictions", type=Path, required=True, help="folder of the predictions of each package")
    args = parser.parse_args()
    main(args.csv, args.votes, args.predictions)
