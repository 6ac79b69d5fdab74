#!/usr/bin/env python3
"""Write the tables of README.md from the committed results; `--check` fails where they differ.

    python experiments/tables.py [--check]

Between `<!-- table:NAME -->` and `<!-- /table -->` stands the table of `results/NAME.json`: a `comparison.json` that
`mien compare` wrote, or what `verdict_coverage.py` did.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
DOCUMENTS = [HERE.parent / "README.md", HERE / "LOG.md"]
PLACE = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def table(result: dict[str, Any]) -> str:
    """The table that this kind of result has."""
    return comparison(result) if "arms" in result else coverage(result)


def coverage(result: dict[str, Any]) -> str:
    """How often each interval held the truth over the realistic scenarios, and how wide it was."""
    rows = ["| seeds | interval | coverage, worst, % | median, % | median width, points |", "|---|---|---|---|---|"]
    real = [row for row in result["rows"] if not row["scenario"]["name"].startswith("stress")]
    for seeds in sorted({row["seeds"] for row in real}):
        for method in real[0]["coverage_percent"]:
            held, wide = (
                [row[key][method] for row in real if row["seeds"] == seeds]
                for key in ("coverage_percent", "mean_width_points")
            )
            rows.append(f"| {seeds} | {method} | {min(held):.1f} | {median(held):.1f} | {median(wide):.2f} |")
    return "\n".join(rows) + f"\n\n{result['replicates']:,} replicates of each of {len(real) // 3} scenarios.\n"


def comparison(result: dict[str, Any]) -> str:
    """One row an arm: last-epoch figures, mean ± std over the seeds."""
    split = result["protocol"]["verdict_split"]
    arms = result["arms"]
    seeds, faces = len(arms[0]["seeds"]), arms[0]["last_epoch"][split]["n"]
    rows = [
        f"| arm (n = {seeds} seeds) | training loss | {split} accuracy, % | 95 % interval | macro-F1, % | "
        f"gap, points | {split} peaks at epoch | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in arms:
        last, curves = arm["last_epoch"][split], arm["curves"]
        low, high = (100 * last["accuracy"]["interval"][side] for side in ("low", "high"))
        peak = arm["validation_peak_epoch"]["of_mean"]
        rows.append(
            f"| `{arm['arm']}` | {curves['train_loss']['mean'][-1]:.2f} | {_spread(last['accuracy'])} | "
            f"{low:.1f} to {high:.1f} | {_spread(last['macro_f1'])} | {_last(curves['gap_clean'])} | "
            f"{peak} of {arm['epochs']} | {arm['seconds']['mean'] / 60:.0f} |"
        )
    verdicts = "".join(f"\n- {verdict['sentence']}" for verdict in result["verdicts"])
    return "\n".join(rows) + f"\n\n{faces:,} faces in `{split}`; net `{arms[0]['recipe']['model']}`.\n{verdicts}\n"


def _spread(figure: dict[str, Any]) -> str:
    return f"{100 * figure['mean']:.1f} ± {100 * figure['std']:.1f}"


def _last(curve: dict[str, Any]) -> str:
    return f"{100 * curve['mean'][-1]:.1f} ± {100 * curve['std'][-1]:.1f}"


def filled(text: str) -> str:
    """`text` with every table made anew."""

    def one(place: re.Match[str]) -> str:
        result = json.loads((HERE / "results" / f"{place[2]}.json").read_text())
        return place[1] + table(result) + place[3]

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
