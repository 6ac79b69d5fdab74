"""Record a search on FER2013 with the accuracy of each trial without duplicates. Writes results/tune_quarter.json.

Run:   python experiments/tune_quarter.py fer2013.csv FOLDER

FOLDER is the output folder of `mien tune`. The search selects by the accuracy on all of PublicTest; the accuracy
without duplicates is computed from the predictions that the run of each trial keeps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mien.data import load
from mien.data.audit import without_duplicates
from mien.data.dataset import VAL
from mien.errors import MienError
from mien.train import Run

RESULT = Path(__file__).parent / "results" / "tune_quarter.json"


def main(csv: str, folder: Path) -> None:
    """Write the record.

    Raises:
        MienError: the faces or predictions differ from those of the search.
    """
    data, search = load(csv), json.loads((folder / "search.json").read_text())
    if data.digest != search["data"]["digest"]:
        raise MienError(f"{folder} was searched on other data than {csv}")
    keep_N = without_duplicates(data, VAL)
    for trial in search["trials"]:
        correct_N = Run(folder / "trials" / f"{trial['number']:04}").predictions()[VAL].argmax(1) == data[VAL].labels_N
        if correct_N.mean() != trial["accuracies"][-1]:
            raise MienError(f"trial {trial['number']} of {folder} has other predictions than the search")
        trial["accuracy_deduplicated"] = float(correct_N[keep_N].mean())
    RESULT.write_text(json.dumps(search, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
