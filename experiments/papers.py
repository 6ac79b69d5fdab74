"""Compare the models of two papers, trained here, with the reported accuracies. Writes results/papers.json.

Run:   python experiments/papers.py fer2013.csv fer2013new.csv RUN...

Each RUN is the folder of a finished run of the recipe `deep_emotion` or `vgg13_ferplus`; it is evaluated on PublicTest.
The row of a recipe without a RUN does not change. The papers report accuracy on PrivateTest, which is not used here, so
no difference is computed.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import load
from mien.data.dataset import VAL
from mien.evaluation.protocols import evaluate_predictor
from mien.model_card import DEDUPLICATED
from mien.train import Run, find_recipe
from mien.train.predict import load_predictor

RESULT = Path(__file__).parent / "results" / "papers.json"
CLAIMS = {
    "deep_emotion": {"paper": "arXiv 1902.01019", "accuracy": 0.7002, "of": "FER2013's labels, PrivateTest"},
    "vgg13_ferplus": {"paper": "arXiv 1608.01041", "accuracy": 0.84716, "of": "the raters' majority, PrivateTest"},
}


def row(folder: Path, csv: str, votes: str) -> dict[str, Any]:
    """Return the metrics of one run on PublicTest and the accuracy that its paper reports."""
    run, data = Run(folder), load(csv, votes=votes)
    recipe = run.checkpoint().state["recipe"]
    _, evaluation = evaluate_predictor(load_predictor(folder, device="cpu"), data, VAL)
    assert evaluation is not None, "PublicTest has labels"
    epochs = find_recipe(recipe["name"]).epochs
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe,
        "epochs_of_the_paper": epochs,
        "minutes": round(sum(m["seconds"] for m in run.history) / 60, 1),
        "evaluation": evaluation.official.to_dict(),
        "evaluation_clean": next(e for e in evaluation.evaluations if e.protocol == DEDUPLICATED).to_dict(),
        "val_accuracy_per_epoch": [m["val_accuracy"] for m in run.history],
        "claim": CLAIMS[recipe["name"]],
    }


def main(csv: str, votes: str, folders: list[str]) -> None:
    """Update the rows of the given runs."""
    rows = {one["recipe"]["name"]: one for one in json.loads(RESULT.read_text())["papers"]} if RESULT.exists() else {}
    rows |= {one["recipe"]["name"]: one for one in (row(Path(folder), csv, votes) for folder in folders)}
    record = {"question": "how accurate are the models of two papers when trained here", "papers": list(rows.values())}
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
