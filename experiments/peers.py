"""Benchmark other packages and our models on PublicTest. Writes results/peers.json.

Run:   python experiments/ask_peers.py ...        (its docstring has a command for each package)
       python experiments/peers.py fer2013.csv fer2013new.csv --predictions FOLDER

FOLDER holds what each package said, NAME.npy, float [3589,7] in FER2013's order of classes, and in NAME.json, if it is
there, which package that was and how it was asked. Ours are asked here, for the same crops. All are held against `fer`,
or against the first by name where it is not there; `mien benchmark base FOLDER/*.npy --data fer2013.csv --split val`
compares them with another.

Authors train on FER2013's Training rows, and some have seen more of it: what is implausible is said in the record's
`contamination`. Half a minute on one core, and another one where near-duplicates have not been sought before.
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
FIRST = "fer"
OURS = ("base", "nano", "photo")


def ours(name: str, data: Dataset) -> BenchmarkEntry:
    """Return the predictions of one of our models as an entry of the benchmark."""
    model = Predictor.of(load_model(name))
    return BenchmarkEntry(name, data.labels, model.predict(data[VAL].pixels_NHW), selected_on_split(model, data, VAL))


def how(file: Path) -> dict[str, Any]:
    """Which package that was and how it was asked, if that is known."""
    beside = file.with_suffix(".json")
    return json.loads(beside.read_text()) if beside.exists() else {}


def main(csv: str, votes: str, folder: Path) -> None:
    data = load(csv, votes=votes)
    files = sorted(folder.glob("*.npy"), key=lambda file: (file.stem != FIRST, file.stem))
    entries = [BenchmarkEntry(file.stem, *read_predictions_of_split(file, data, VAL)) for file in files]
    entries += [ours(name, data) for name in OURS]
    record = {
        "question": "how do other packages do on the same faces",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": {file.stem: how(file) for file in files},
        **benchmark(entries, data, VAL, strict=True).to_dict(),
    }
    (HERE / "results" / "peers.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for sentence in record["contamination"]:
        print("implausible:", sentence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--predictions", type=Path, required=True, help="folder of what each package said")
    said = parser.parse_args()
    main(said.csv, said.votes, said.predictions)
