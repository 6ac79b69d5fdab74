#!/usr/bin/env python3
"""Write the metrics of docs/model-card.md and of the cards of the models from the committed evaluation reports.

    python experiments/model_card.py [--check]

The section of a model is between `<!-- card:MODEL -->` and `<!-- /card -->`. The metrics are those of
results/evaluation_report/MODEL.json, which experiments/evaluation_reports.py writes; they are also written to the
scores of its card.json. Descriptions and excluded uses are those of the cards. It is an error if the evaluated file of
a model is not the shipped one, and, with `--check`, if a document or card is outdated.

The metrics of results/away.json, which experiments/away.py writes, are between `<!-- card:away -->` and
`<!-- /card -->`. If that record lacks a shipped model or is of an older file, the section says so, and `--check` fails.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.data.dataset import PUBLISHED, TRAIN
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.protocols import OTHER_LABELS_KEYS
from mien.evaluation.report.text import percent
from mien.model import SHIPPED, read_card, shipped_models
from mien.model_card import MAJORITY_VOTE, NOT_FOR, PROTOCOLS, Card, Score
from mien.recognition.recognizer import DEFAULT

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "model-card.md"
AWAY = "away"
OLD_CORRUPTIONS = {"mouth covered": "mouth occlusion", "eyes covered": "eye occlusion"}  # names in older records
SECTION = re.compile(r"(<!-- card:(\w+) -->\n).*?(<!-- /card -->)", re.DOTALL)


def interval_text(result: dict[str, Any]) -> str:
    """Return the bounds of an interval as text."""
    return f"{percent(result['low'])} to {percent(result['high'])}"


def all_evaluations(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all evaluations of a record: all protocols with the main labels, then with the other labels."""
    tops = [record, *(record[beside] for beside in OTHER_LABELS_KEYS.values() if beside in record)]
    return [e for top in tops for e in (top, *(top[p] for p in PROTOCOLS if p in top))]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def protocol_table(record: dict[str, Any]) -> str:
    """Return a table with one row per protocol and kind of label."""
    head = [
        "protocol",
        "ground truth",
        "faces",
        "accuracy, %",
        "95 % interval",
        "balanced, %",
        "macro-F1, %",
        "top-2, %",
    ]
    head += ["log loss", "Brier", "ECE, %"]
    rows = [
        [e["protocol"], truth_name(e), f"{e['n']:,}", percent(e["accuracy"]), interval_text(e["interval"])]
        + [percent(e[k]) for k in ("balanced_accuracy", "macro_f1", "top2")]
        + [f"{e['log_loss']:.3f}", f"{e['brier']:.3f}", percent(e["ece"])]
        for e in all_evaluations(record)
    ]
    return table(head, rows)


def truth_name(evaluation: dict[str, Any]) -> str:
    """Return the name of the labels that a model was evaluated against."""
    return "majority vote (FER+)" if evaluation["against"] == MAJORITY_VOTE else str(evaluation["against"])


def class_table(record: dict[str, Any]) -> str:
    """Return a table of recall, precision and the most frequent mistake per class."""
    names = [c["name"] for c in record["classes"]]
    rows = []
    for k, c in enumerate(record["classes"]):
        row = record["confusion_matrix"][k]
        most = max((j for j in range(len(names)) if j != k), key=lambda j: row[j])
        mistake = f"{names[most]} ({percent(row[most] / c['support'])} %)" if c["support"] and row[most] else "–"
        result = [percent(c[figure]) for figure in ("precision", "recall", "f1")]
        rows.append([c["name"], f"{c['support']:,}", *result, mistake])
    never = [f"{c['name']} ({c['support']})" for c in record["classes"] if c["support"] and not c["recall"]]
    note = f"\nThe recall is 0 for these classes (number of faces): {', '.join(never)}.\n" if never else ""
    return table(["class", "faces", "precision, %", "recall, %", "F1, %", "most frequent mistake"], rows) + note


def calibration_text(record: dict[str, Any]) -> str:
    """Return sentences on the calibration before and after temperature scaling, and on selective prediction."""
    calibration = record["calibration"]
    selective = {row["share"]: row["accuracy"] for row in calibration["accuracy_of_most_confident"]}
    before, after = calibration["before"], calibration["after"]
    return (
        f"The calibration error (ECE) is {percent(before['ece'])} % before temperature scaling and "
        f"{percent(after['ece'])} % after it. The accuracy is {percent(selective[0.8])} % on the 80 % of the faces "
        f"with the highest confidence, and {percent(selective[0.5])} % on the half with the highest confidence.\n"
    )


def robustness_text(record: dict[str, Any]) -> str:
    """Return the accuracy at the detector's boxes and on corrupted faces, if measured."""
    text = ""
    if "detector" in record:
        d = record["detector"]
        loss = d["lost"]
        text += (
            f"\nThe faces were pasted into larger images. The detector, {d['detector']}, finds {d['found']:,} of "
            f"{d['n']:,}. The accuracy on these is {percent(d['accuracy'])} % at the detector's boxes and "
            f"{percent(d['original'])} % on the crops of the data set: {percent(loss['mean'])} points lower "
            f"({percent(loss['low'])} to {percent(loss['high'])}).\n"
        )
    if "robustness" not in record:
        return text + "\nThe accuracy on corrupted faces has not been measured yet.\n"
    r = record["robustness"][0]
    rows = []
    for recorded, c in r["accuracy"].items():
        name = OLD_CORRUPTIONS.get(recorded, recorded)
        severities = ", ".join(f"{value:g}" for value in c.get("severities") or c["strengths"])  # the older key
        rows.append([name, f"{CORRUPTIONS[name].unit}: {severities}", " / ".join(map(percent, c["values"]))])
    return (
        text
        + "\nThe mean accuracy over twelve corruptions at five severities is "
        + f"{percent(r['mean']['mean'])} % ({interval_text(r['mean'])}); on the same faces without corruption it is "
        + f"{percent(r['unaltered'])} %:\n\n"
        + table(["corruption", "parameter at the five severities", "accuracy, %"], rows)
    )


def model_section(card: Card, record: dict[str, Any]) -> str:
    """Return the section of one model."""
    faces, seed, temperature = card.data["faces"]["train"], card.origin["seed"], card.calibration.temperature
    all_faces = PUBLISHED[TRAIN]
    others = f" (of {all_faces:,}; the others have no majority vote or are left out by the recipe)"
    dropped_note = "" if faces == all_faces else others
    return (
        f"{len(card.labels)} classes: {', '.join(card.labels.names)}. {card.parameters:,} parameters, "
        f"{card.flops / 1e9:.3f} GFLOP per face, license {card.licence}. Recipe `{card.recipe['name']}`, {faces:,} "
        f"faces of FER2013's Training{dropped_note}, random seed {seed}; temperature {temperature:.3f}.\n\n"
        f"{protocol_table(record)}\nMetrics per class, by {truth_name(record)}, all faces:\n\n"
        f"{class_table(record)}\n{calibration_text(record)}{robustness_text(record)}"
    )


def with_scores(card: Card, record: dict[str, Any]) -> Card:
    """Return `card` with the scores of its evaluation report; exit if the report is of another file."""
    if record["sha256"] != card.sha256:
        sys.exit(f"{card.name} is not the evaluated file; run: python experiments/evaluation_reports.py")
    result = (record, *([record["mirrored"]] if "mirrored" in record else []))
    return replace(card, scores=tuple(as_score(e) for one in result for e in all_evaluations(one)), not_for=NOT_FOR)


def as_score(e: dict[str, Any]) -> Score:
    """Return one evaluation of a record as a score of a card."""
    same = {
        key: e[key] for key in ("split", "protocol", "against", "tta", "n", "accuracy", "macro_f1", "log_loss", "ece")
    }
    bounds = {end: e["interval"][end] for end in ("low", "high")}
    return Score(**same, **bounds, selected_on=bool(e["selected_on"]), balanced_ece=e.get("balanced_ece"))


def outdated_models(record: dict[str, Any]) -> list[str]:
    """Return the shipped models that are missing in results/away.json or measured with another file."""
    measured = {name: one["sha256"] for name, one in record["models"].items()}
    return [name for name in shipped_models() if measured.get(name) != read_card(name).sha256]


def away_section(record: dict[str, Any]) -> str:
    """Return the section on the evaluation on another data set."""
    if names := outdated_models(record):
        return f"Not measured with the current files of {', '.join(names)}; run: python experiments/away.py FOLDER\n"
    models, detector, min_photos = record["models"], record["detector"], record["min_photos"]
    support = record["photos_per_class"]
    large = [name for name, n in support.items() if n >= min_photos]
    rows = [
        [f"`{name}`", percent(one["accuracy"]["value"]), interval_text(one["accuracy"])]
        + [percent(one["balanced_accuracy"][of]) for of in ("large_classes", "all_classes")]
        + [f"{one['log_loss']:.3f}", percent(one["ece"]), percent(one["class_balanced_ece"]["large_classes"])]
        + [percent(one["neutral"]["predicted"])]
        for name, one in models.items()
    ]
    head = ["model", "accuracy, %", "95 % interval", f"balanced, {len(large)} classes, %", "balanced, all classes, %"]
    head += ["log loss", "ECE, %", "class-balanced ECE, %", "classified as neutral, %"]
    recalls = [
        [f"`{name}`", *(percent(c["recall"]["value"]) for c in one["classes"] if c["support"])]
        for name, one in models.items()
    ]
    default = models[DEFAULT]
    confusion_matrix = default["confusion_matrix"]
    cells = [[name, *map(str, row)] for name, row in zip(support, confusion_matrix["rows"], strict=True)]
    dropped = "".join(
        f" `{name}` has further classes: the probability of {' and '.join(one['dropped_classes'])} is dropped and the "
        "rest are rescaled to a sum of 1."
        for name, one in models.items()
        if one["dropped_classes"]
    )
    peers = "".join(
        f" `{name}` is the model of another package, {one['package'].partition('-py3')[0]} "
        f"({one['fed'].replace('grey', 'gray')}), on the same boxes."
        for name, one in models.items()
        if "package" in one
    )
    detected = detector["detected"]
    return (
        f"{record['n']:,} photos ({', '.join(f'{name} {n}' for name, n in support.items())}). The detector, "
        f"{detector['name']}, finds a face in {detected['photos']:,} of them ({percent(detected['value'])} %, "
        f"{interval_text(detected)}).{dropped}{peers}\n\n"
        f"{table(head, rows)}\n"
        f"Balanced accuracy is the mean recall over the {len(large)} classes with at least {min_photos} photos "
        f"({', '.join(large)}), or over all classes; the class-balanced ECE is over the same {len(large)} classes.\n\n"
        f"{weakest_classes(default, min_photos)}\n\nRecall per class, %:\n\n"
        f"{table(['model', *(f'{name} ({n})' for name, n in support.items() if n)], recalls)}\n"
        f"Confusion matrix of `{DEFAULT}`, photos; a row per label, a column per prediction:\n\n"
        f"{table(['label', *confusion_matrix['columns']], cells)}"
    )


def weakest_classes(metrics: dict[str, Any], min_photos: int, number: int = 2) -> str:
    """Return a sentence on the classes with the lowest recall; those with few photos are listed separately."""
    classes = sorted((c for c in metrics["classes"] if c["support"]), key=lambda c: c["recall"]["value"])

    def listing(selection: list[dict[str, Any]]) -> str:
        return " and ".join(
            f"{c['name']} ({percent(c['recall']['value'])} % of {c['support']} photos, {interval_text(c['recall'])})"
            for c in selection
        )

    large, small = ([c for c in classes if (c["support"] >= min_photos) == is_large] for is_large in (True, False))
    few = f"; {listing(small)} have too few photos for a reliable estimate" if small else ""
    neutral = metrics["neutral"]
    return (
        f"`{DEFAULT}` has the lowest recall for {listing(large[:number])}, with 95 % intervals{few}. It classifies "
        f"{percent(neutral['predicted'])} % of the photos as neutral; {percent(neutral['labelled'])} % are labeled "
        "neutral."
    )


def read_away_record() -> dict[str, Any] | None:
    """Return the record of experiments/away.py, None if there is none."""
    file = HERE / "results" / f"{AWAY}.json"
    return json.loads(file.read_text()) if file.exists() else None


def read_evaluation_report(name: str) -> dict[str, Any] | None:
    """Return the evaluation report of a model, None if there is none yet."""
    file = HERE / "results" / "evaluation_report" / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def fill_sections(text: str) -> str:
    """Return `text` with the current metrics of every model."""

    def section(match: re.Match[str]) -> str:
        if match[2] == "not_for":
            return match[1] + "".join(f"- {line}\n" for line in NOT_FOR) + match[3]
        if match[2] == AWAY:
            away_record = read_away_record()
            return match[1] + (away_section(away_record) if away_record else "Not measured yet.\n") + match[3]
        record = read_evaluation_report(match[2])
        if record is None:
            return f"{match[1]}It has not been evaluated yet.\n{match[3]}"
        return match[1] + model_section(read_card(match[2]), record) + match[3]

    return SECTION.sub(section, text)


def main(check: bool) -> None:
    """Write the document and the cards, or exit with an error if `check` and one is outdated."""
    text = DOCUMENT.read_text()
    missing = set(shipped_models()) - {match[2] for match in SECTION.finditer(text)}
    if missing:
        sys.exit(f"{DOCUMENT} has no section for {', '.join(sorted(missing))}")
    away_record = read_away_record()
    if check and away_record and (names := outdated_models(away_record)):
        sys.exit(f"results/{AWAY}.json is of other files of {', '.join(names)}; run: python experiments/away.py FOLDER")
    contents = {DOCUMENT: fill_sections(text)}
    for name in shipped_models():
        if (record := read_evaluation_report(name)) is not None:
            contents[SHIPPED / name / "card.json"] = with_scores(read_card(name), record).to_json()
    for file, new in contents.items():
        if check and new != file.read_text():
            sys.exit(f"{file} does not show the committed results; run: python experiments/model_card.py")
        if not check:
            file.write_text(new)


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
