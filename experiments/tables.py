#!/usr/bin/env python3
"""Write the tables of README.md and other documents from the committed results; `--check` fails if they differ.

    python experiments/tables.py [--check]

The table of `results/NAME.json`, here or in benchmarks/, is between `<!-- table:NAME -->` and `<!-- /table -->`. The
record is a `comparison.json` of `mien compare` or the output of another script. `models` is the table of the shipped
cards.
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
    "rankings": noise,  # before "changes", which its records also have
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


# Terms in older records -> current terms.
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
    return in_current_terms(next(table_of(result) for key, table_of in KINDS.items() if key in result))


def in_current_terms(text: str) -> str:
    """Return `text` with the terms of older records replaced."""
    for old, current in CURRENT_TERMS:
        text = text.replace(old, current)
    return text


def _read_record(name: str) -> dict[str, Any]:
    """Return a record of this folder or of benchmarks/, an empty dict if there is none."""
    folders = (HERE / "results", HERE.parent / "benchmarks" / "results")
    files = [folder / f"{name}.json" for folder in folders if (folder / f"{name}.json").exists()]
    result: dict[str, Any] = json.loads(files[0].read_text()) if files else {}
    return result


def fill_tables(text: str) -> str:
    """Return `text` with all tables generated from the records."""

    def section(match: re.Match[str]) -> str:
        if match[2] == "models":
            return match[1] + in_current_terms(models()) + match[3]
        result = _read_record(match[2])
        return match[1] + (table(result) if result else f"Not measured yet: no {match[2]}.json.\n") + match[3]

    return PLACE.sub(section, text)


def main(check: bool) -> None:
    """Write the tables into the documents, or exit with an error if `check` and one is outdated."""
    for document in DOCUMENTS:
        text = document.read_text()
        new = fill_tables(text)
        if check and new != text:
            sys.exit(f"{document} does not show the committed results; run: python experiments/tables.py")
        if not check:
            document.write_text(new)


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
