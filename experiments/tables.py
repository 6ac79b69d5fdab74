#!/usr/bin/env python3
"""Write the tables of README.md and other documents from the committed results; `--check` fails if they differ.

    python experiments/tables.py [--check]

Between `<!-- table:NAME -->` and `<!-- /table -->` is the table of `results/NAME.json`, here or in benchmarks/: a
`comparison.json` that `mien compare` wrote, or what another script did. `models` is made from the shipped cards.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tables_of_models import (
    ablation,
    comparison,
    coverage,
    ensembles,
    models,
    papers,
    peers,
    search,
    shapes,
    shipped,
    starts,
)
from tables_of_reading import cluster, crop_rule, face_quality, service, speeds, stages
from tables_of_trust import altered, noise

from mien.evaluation.contamination import THRESHOLD_NOTE

HERE = Path(__file__).parent
DOCUMENTS = [
    HERE.parent / "README.md",
    HERE / "LOG.md",
    *(HERE.parent / "docs" / f"{n}.md" for n in ("face-quality", "scale", "serve")),
]
PLACE = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- /table -->)", re.DOTALL)

KINDS = {
    "arms": comparison,
    "starts": starts,
    "replicates": coverage,
    "papers": papers,
    "shapes": shapes,
    "rankings": noise,  # whose records have changes too
    "changes": ablation,
    "ensembles": ensembles,
    "threads": speeds,
    "steps": crop_rule,
    "kept_at_the_limit": face_quality,
    "models": shipped,
    "rounds": peers,
    "altered_arms": altered,
    "trials": search,
    "stages": stages,
    "undisturbed": cluster,
    "harm": service,
}


# Words in the texts of older records, and those that the documents use.
CURRENT_TERMS = (
    ("near-twin", "near-duplicate"),
    ("twin", "duplicate"),
    ("raters' majority", "majority vote (FER+)"),
    (" nets ", " models "),
    ("colour", "color"),
    ("its mean color taken off", "minus its mean color"),
    ("taught by", "distilled from"),
    (" grey ", " gray "),
    ("No difference shown", "No significant difference"),
    ("(over faces only)", "(it accounts for variation of faces only)"),
    (
        "people reach about 65 %, and models without access to these labels at most 80 %, because FER2013's labels are "
        "noisy: it was probably trained on these faces",
        THRESHOLD_NOTE,
    ),
)


def table(result: dict[str, Any]) -> str:
    """Return the table of a record in Markdown, in the current terms."""
    return in_current_terms(next(make(result) for key, make in KINDS.items() if key in result))


def in_current_terms(text: str) -> str:
    """Return `text` with the terms of older records replaced."""
    for old, current in CURRENT_TERMS:
        text = text.replace(old, current)
    return text


def _result(name: str) -> dict[str, Any]:
    folders = (HERE / "results", HERE.parent / "benchmarks" / "results")
    there = [folder / f"{name}.json" for folder in folders if (folder / f"{name}.json").exists()]
    result: dict[str, Any] = json.loads(there[0].read_text()) if there else {}
    return result


def filled(text: str) -> str:
    """Return `text` with all tables generated from the records."""

    def one(place: re.Match[str]) -> str:
        if place[2] == "models":
            return place[1] + in_current_terms(models()) + place[3]
        result = _result(place[2])
        return place[1] + (table(result) if result else f"Not measured yet: no {place[2]}.json.\n") + place[3]

    return PLACE.sub(one, text)


def main(check: bool) -> None:
    for document in DOCUMENTS:
        text = document.read_text()
        new = filled(text)
        if check and new != text:
            sys.exit(f"{document} does not show the committed results; run: python experiments/tables.py")
        if not check:
            document.write_text(new)


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
