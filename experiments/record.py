#!/usr/bin/env python3
"""Copy the results of a finished comparison to results/: `python experiments/record.py FOLDER NAME`.

FOLDER is the output folder of `mien compare`. Its comparison.json becomes results/NAME.json and its plots
results/NAME/*.png, except plots that show faces: no face of a data set is committed. Then the tables are updated.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import tables

RESULTS = Path(__file__).parent / "results"
SHOWS_FACES = {"augmentation.png"}


def main(folder: Path, name: str) -> None:
    """Copy the record and the plots, and update the tables."""
    shutil.copy(folder / "comparison.json", RESULTS / f"{name}.json")
    plots = RESULTS / name
    plots.mkdir(exist_ok=True)
    for plot in sorted((folder / "plots").glob("*.png")):
        if plot.name not in SHOWS_FACES:
            shutil.copy(plot, plots / plot.name)
    tables.main(check=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
