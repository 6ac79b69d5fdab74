#!/usr/bin/env python3
"""Write the figures of docs/model-card.md and of the nets' cards from the committed examinations.

    python experiments/model_card.py [--check]

Between `<!-- card:NET -->` and `<!-- /card -->` stands what is known of that net. The figures are those of
results/examination/NET.json, which python experiments/examination.py writes; they become the scores of its card.json
too. What a net is and what it must not be used for are those of its card. A net that was examined with another file
than the one that ships is an error; so is, with `--check`, a document or a card that tells other figures.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.card import NOT_FOR, PROTOCOLS, Card, Score
from mien.data.split import PUBLISHED, TRAIN
from mien.judge.protocols import BESIDE
from mien.judge.tables import percent
from mien.model import SHIPPED, read_card, shipped_models

HERE = Path(__file__).parent
CARD = HERE.parent / "docs" / "model-card.md"
PLACE = re.compile(r"(<!-- card:(\w+) -->\n).*?(<!-- /card -->)", re.DOTALL)


def span(told: dict[str, Any]) -> str:
    """The two ends of an interval."""
    return f"{percent(told['low'])} to {percent(told['high'])}"


def ways(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every evaluation in a record: official first, then its other protocols, then the same by the other truth."""
    tops = [record, *(record[beside] for beside in BESIDE.values() if beside in record)]
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
    never = [f"{c['name']} ({c['support']})" for c in record["classes"] if c["support"] and not c["recall"]]
    said = f"\nOf these classes it finds no face at all: {', '.join(never)}.\n" if never else ""
    return table(["class", "faces", "precision, %", "recall, %", "F1, %", "most often taken for"], rows) + said


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
            f"at its box it is right about {percent(d['accuracy'])} % of them, on the data set's own crops of the same "
            f"faces about {percent(d['original'])} %: {percent(lost['mean'])} points less "
            f"({percent(lost['low'])} to {percent(lost['high'])}).\n"
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
        + "\nOf faces altered by twelve corruptions of five strengths it is right about "
        + f"{percent(r['mean']['mean'])} % ({span(r['mean'])}), of the same faces as they are "
        + f"{percent(r['clean'])} %:\n\n"
        + table(["corruption", "strengths", "accuracy, %"], rows)
    )


def net(card: Card, record: dict[str, Any]) -> str:
    """The section of one net."""
    faces, seed, degree = card.data["faces"]["train"], card.origin["seed"], card.calibration.temperature
    all_faces = PUBLISHED[TRAIN]
    left = "" if faces == all_faces else f" (of {all_faces:,}: those that the recipe's rule for votes keeps)"
    return (
        f"{len(card.labels)} classes: {', '.join(card.labels.names)}. {card.parameters:,} parameters, "
        f"{card.flops / 1e9:.3f} GFLOP a face, licence {card.licence}. Recipe `{card.recipe['name']}`, {faces:,} faces "
        f"of FER2013's Training{left}, seed {seed}; temperature {degree:.3f}.\n\n"
        f"{protocols(record)}\nClass by class, judged by {record['against']}, all faces:\n\n"
        f"{classes(record)}\n{sureness(record)}{worse(record)}"
    )


def scored(card: Card, record: dict[str, Any]) -> Card:
    """`card` with the scores of its examination alone, and what it is not for; ends if that was of another file."""
    if record["sha256"] != card.sha256:
        sys.exit(f"{card.name} has another file than the one examined; run: python experiments/examination.py")
    told = (record, *([record["mirrored"]] if "mirrored" in record else []))
    return replace(card, scores=tuple(as_score(e) for one in told for e in ways(one)), not_for=NOT_FOR)


def as_score(e: dict[str, Any]) -> Score:
    """One evaluation of a record as a card keeps it."""
    same = {key: e[key] for key in ("split", "protocol", "against", "tta", "n", "accuracy", "macro_f1", "nll", "ece")}
    span = {end: e["interval"][end] for end in ("low", "high")}
    return Score(**same, **span, selected_on=bool(e["selected_on"]), balanced_ece=e.get("balanced_ece"))


def examined(name: str) -> dict[str, Any] | None:
    """The examination of a net; None where there is none yet."""
    file = HERE / "results" / "examination" / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def filled(text: str) -> str:
    """`text` with what is known of every net put in anew."""

    def one(place: re.Match[str]) -> str:
        if place[2] == "not_for":
            return place[1] + "".join(f"- {line}\n" for line in NOT_FOR) + place[3]
        record = examined(place[2])
        if record is None:
            return f"{place[1]}It has not been examined yet.\n{place[3]}"
        return place[1] + net(read_card(place[2]), record) + place[3]

    return PLACE.sub(one, text)


def main(check: bool) -> None:
    text = CARD.read_text()
    lacking = set(shipped_models()) - {place[2] for place in PLACE.finditer(text)}
    if lacking:
        sys.exit(f"{CARD} has no place for {', '.join(sorted(lacking))}")
    wanted = {CARD: filled(text)}
    for name in shipped_models():
        if (record := examined(name)) is not None:
            wanted[SHIPPED / name / "card.json"] = scored(read_card(name), record).to_json()
    for file, new in wanted.items():
        if check and new != file.read_text():
            sys.exit(f"{file} does not show the committed results; run: python experiments/model_card.py")
        if not check:
            file.write_text(new)


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
