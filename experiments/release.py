"""Export a trained run as a shipped model: a graph with the training weights, and a card.

Run:   python experiments/release.py NAME RUN fer2013.csv fer2013new.csv [STRENGTH]

Writes src/mien/assets/NAME/ as `mien export --storage float16 --prior-strength STRENGTH` does; STRENGTH is 0 by
default, or `auto`. Then the tables of README.md and LOG.md are updated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tables

from mien.data import load
from mien.train import export

ASSETS = Path(__file__).resolve().parents[1] / "src" / "mien" / "assets"


def main(name: str, run: str, csv: str, votes: str, strength: str = "0") -> None:
    """Export the run and update the tables."""
    card = export(
        run, ASSETS / name, load(csv, votes=votes), name=name, storage="float16", overwrite=True,
        prior_strength="auto" if strength == "auto" else float(strength),
    )  # fmt: skip
    (ASSETS / f"{name}.safetensors").unlink(missing_ok=True)  # of older releases, whose graphs had no training weights
    tables.main(check=False)
    for score in card.scores:
        print(f"{name}: {score.against}, {score.protocol}, {score.tta}: {100 * score.accuracy:.2f} % of {score.n:,}")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
