"""Record a search on FER2013 with each trial's accuracy without duplicates. Writes results/tune_quarter.json.

Run:   python experiments/tune_quarter.py fer2013.csv FOLDER

FOLDER is what `mien tune` wrote. The search itself knows the accuracy on all of PublicTest alone, by which it chooses;
what each trial says of every face lies in its run.
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
    """Raises `MienError` where the faces, or what was said of them, are others than those of the search."""
    data, found = load(csv), json.loads((folder / "search.json").read_text())
    if data.digest != found["data"]["digest"]:
        raise MienError(f"{folder} searched on other data than {csv}")
    unmet_N = without_duplicates(data, VAL)
    for trial in found["trials"]:
        right_N = Run(folder / "trials" / f"{trial['number']:04}").predictions()[VAL].argmax(1) == data[VAL].labels_N
        if right_N.mean() != trial["accuracies"][-1]:
            raise MienError(f"trial {trial['number']} of {folder} says something else of the faces than the search")
        trial["accuracy_deduplicated"] = float(right_N[unmet_N].mean())
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
