#!/usr/bin/env python3
"""Write the figures of docs/model-card.md from the committed examinations; `--check` fails where they differ.

    python experiments/model_card.py [--check]

Between `<!-- card:NET -->` and `<!-- /card -->` stands what is known of that net. The figures are those of
results/examination/NET.json, which python experiments/examination.py writes; what a net is and what it must not be used
for are those of its card.json. A net that was examined with another file than the one that
ships, or whose card tells other figures than its examination, is an error.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mien.card import NOT_FOR, PROTOCOLS, Card
from mien.model import read_card, shipped_models

HERE = Path(__file__).parent
CARD = HERE.parent / "docs" / "model-card.md"
FIGURES = ("n", "accuracy", "macro_f1", "nll")
PLACE = re.compile(r"(<!-- card:(\w+) -->\n).*?(<!-- /card -->)", re.DOTALL)


def percent(share: float) -> str:
    """In hundredths, with one digit."""
    return f"{100 * share:.1f}"


def span(told: dict[str, Any]) -> str:
    """The two ends of an interval."""
    return f"{percent(told['low'])} to {percent(told['high'])}"


def ways(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every evaluation in a record: official first, then its other protocols, then the raters' likewise."""
    tops = [record, *([record["raters"]] if "raters" in record else [])]
    return [e for top in tops for e in (top, *(top[p] for p in PROTOCOLS if p in top))]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def protocols(record: dict[str, Any]) -> str:
    """One row a protocol and truth."""
    head = ["faces", "judged by", "n", "accuracy, %", "95 % interval", "balanced, %", "macro-F1, %", "top-2, %"]
    head += ["log loss", "Brier", "ECE, %"]
    rows = [
        [e["protocol"], e["against"], f"{e['n']:,}", percent(e["accuracy"]), span(e["interval"])]
        + [percent(e[k]) for k in ("balanced_accuracy", "macro_f1", "top2")]
        + [f"{e['nll']:.3f}", f"{e['brier']:.3f}", percent(e["ece"])]
        for e in ways(record)
    ]
    return table(head, rows)


def classes(record: dict[str, Any]) -> str:
    """Recall, precision and the commonest mistake of each class, by what the net is judged by."""
    names = [c["name"] for c in record["classes"]]
    rows = []
    for k, c in enumerate(record["classes"]):
        row = record["confusion"][k]
        most = max((j for j in range(len(names)) if j != k), key=lambda j: row[j])
        mistaken = f"{names[most]} ({percent(row[most] / c['support'])} %)" if c["support"] and row[most] else "–"
        told = [percent(c[figure]) for figure in ("precision", "recall", "f1")]
        rows.append([c["name"], f"{c['support']:,}", *told, mistaken])
    return table(["class", "faces", "precision, %", "recall, %", "F1, %", "most often taken for"], rows)


def sureness(record: dict[str, Any]) -> str:
    """Calibration before and after, and what refusing buys, in a sentence each."""
    trust = record["trust"]
    kept = {row["share"]: row["accuracy"] for row in trust["accuracy_of_the_surest"]}
    before, after = trust["before"], trust["after"]
    return (
        f"Its calibration error is {percent(before['ece'])} % without its temperature and {percent(after['ece'])} % "
        f"with it. Answering only the surest 80 % of the faces, it is right about {percent(kept[0.8])} % of them; of "
        f"the surest half, about {percent(kept[0.5])} %.\n"
    )


def worse(record: dict[str, Any]) -> str:
    """Accuracy under corruptions and at the detector's box, as far as measured."""
    said = ""
    if "detector" in record:
        d = record["detector"]
        lost = d["lost"]
        said += (
            f"\nLaid into larger pictures, {d['found']:,} of {d['n']:,} faces are found by {d['detector']}; "
            f"at its box it is right about {percent(d['accuracy'])} % of them, {percent(lost['mean'])} points less "
            f"({percent(lost['low'])} to {percent(lost['high'])}) than on the data set's own crops.\n"
        )
    if "robustness" not in record:
        return said + "\nOn altered faces it has not been measured yet.\n"
    r = record["robustness"][0]
    rows = [
        [name, f"{', '.join(f'{s:g}' for s in c['strengths'])} ({c['unit']})", " / ".join(map(percent, c["values"]))]
        for name, c in r["accuracy"].items()
    ]
    return (
        said
        + f"\nOver twelve corruptions of five strengths it keeps {percent(r['mean']['mean'])} % ({span(r['mean'])}) of "
        + f"{percent(r['clean'])} %:\n\n"
        + table(["corruption", "strengths", "accuracy, %"], rows)
    )


def net(card: Card, record: dict[str, Any]) -> str:
    """The section of one net."""
    faces, seed, degree = card.data["faces"]["train"], card.origin["seed"], card.calibration.temperature
    return (
        f"{len(card.labels)} classes: {', '.join(card.labels.names)}. {card.parameters:,} parameters, "
        f"{card.flops / 1e9:.3f} GFLOP a face, licence {card.licence}. Recipe `{card.recipe['name']}`, {faces:,} faces "
        f"of FER2013's Training, seed {seed}; temperature {degree:.3f}.\n\n"
        f"{protocols(record)}\nClass by class, judged by {record['against']}, all faces:\n\n"
        f"{classes(record)}\n{sureness(record)}{worse(record)}"
    )


def agrees(card: Card, record: dict[str, Any]) -> None:
    """Ends the program where the record is of another file, or the card tells other figures."""
    if record["sha256"] != card.sha256:
        sys.exit(f"{card.name} has another file than the one examined; run: python experiments/examination.py")
    told = {(e["protocol"], e["against"]): e for e in ways(record)}
    for s in card.scores:
        e = told.get((s.protocol, s.against))
        if s.split == "val" and s.tta == "none" and e is not None:
            off = [f for f in FIGURES if abs(getattr(s, f) - e[f]) > 1e-3]
            if off:
                sys.exit(
                    f"{card.name}: its card tells other {', '.join(off)} ({s.protocol}, {s.against}) than its record"
                )


def filled(text: str) -> str:
    """`text` with what is known of every net put in anew."""

    def one(place: re.Match[str]) -> str:
        if place[2] == "not_for":
            return place[1] + "".join(f"- {line}\n" for line in NOT_FOR) + place[3]
        file = HERE / "results" / "examination" / f"{place[2]}.json"
        if not file.exists():
            return f"{place[1]}It has not been examined yet.\n{place[3]}"
        card, record = read_card(place[2]), json.loads(file.read_text())
        agrees(card, record)
        return place[1] + net(card, record) + place[3]

    return PLACE.sub(one, text)


def main(check: bool) -> None:
    text = CARD.read_text()
    lacking = set(shipped_models()) - {place[2] for place in PLACE.finditer(text)}
    if lacking:
        sys.exit(f"{CARD} has no place for {', '.join(sorted(lacking))}")
    new = filled(text)
    if check and new != text:
        sys.exit(f"{CARD} does not show the committed results; run: python experiments/model_card.py")
    if not check:
        CARD.write_text(new)


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
