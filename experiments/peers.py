"""Other packages on PublicTest, judged beside ours. Writes results/peers.json.

Run:   python experiments/ask_peers.py ...        (its docstring has a command for each package)
       python experiments/peers.py fer2013.csv fer2013new.csv --predictions FOLDER

FOLDER holds what each package said, NAME.npy, float [3589,7] in FER2013's order of classes, and in NAME.json, if it is
there, which package that was and how it was asked. Ours are asked here, for the same crops. All are held against `fer`,
or against the first by name where it is not there; `mien judge base FOLDER/*.npy --data fer2013.csv --split val` holds
them against another.

Authors train on FER2013's Training rows, and some have seen more of it: what is implausible is said in the record's
`doubts`. Half a minute on one core, and another one where near-twins have not been sought before.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import VAL, Dataset, load
from mien.judge import Entry, contest
from mien.judge.predictions import classes_of, read_predictions
from mien.labels import FER7
from mien.model import load as load_net

HERE = Path(__file__).parent
FIRST = "fer"
OURS = ("base", "nano", "photo")


def entry(file: Path, data: Dataset) -> Entry:
    """What a package said, as one of a contest."""
    told_NK = read_predictions(file, len(data[VAL]))
    labels, _ = classes_of(None, data, told_NK.shape[1], file)
    return Entry(file.stem, labels, told_NK)


def how(file: Path) -> dict[str, Any]:
    """Which package that was and how it was asked, if that is known."""
    beside = file.with_suffix(".json")
    return json.loads(beside.read_text()) if beside.exists() else {}


def main(csv: str, votes: str, folder: Path) -> None:
    data = load(csv, votes=votes)
    files = sorted(folder.glob("*.npy"), key=lambda file: (file.stem != FIRST, file.stem))
    entries = [entry(file, data) for file in files]
    faces_NHW = data[VAL].pixels_NHW
    entries += [Entry(name, FER7, load_net(name).probabilities(faces_NHW), ("temperature",)) for name in OURS]
    record = {
        "question": "how do other packages do on the same faces",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": {file.stem: how(file) for file in files},
        **contest(entries, data, VAL, strict=True).to_dict(),
    }
    (HERE / "results" / "peers.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for sentence in record["doubts"]:
        print("implausible:", sentence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--predictions", type=Path, required=True, help="folder of what each package said")
    said = parser.parse_args()
    main(said.csv, said.votes, said.predictions)
