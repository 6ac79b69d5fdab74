"""Markdown tables of the accuracy of models, one function for each kind of record."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from mien.evaluation.comparison import verdict
from mien.evaluation.report.text import percent

HERE = Path(__file__).parent
PROTOCOL_NAMES = {"deduplicated": "without duplicates", "strict": "without near-duplicates"}


def coverage(result: dict[str, Any]) -> str:
    """Return a table of the coverage and the width of each interval over the realistic scenarios."""
    rows = ["| seeds | interval | coverage, worst, % | median, % | median width, points |", "|---|---|---|---|---|"]
    realistic = [row for row in result["rows"] if not row["scenario"]["name"].startswith("stress")]
    for seeds in sorted({row["seeds"] for row in realistic}):
        for method in realistic[0]["coverage_percent"]:
            coverages, widths = (
                [row[key][method] for row in realistic if row["seeds"] == seeds]
                for key in ("coverage_percent", "mean_width_points")
            )
            rows.append(
                f"| {seeds} | {method} | {min(coverages):.1f} | {median(coverages):.1f} | {median(widths):.2f} |"
            )
    return "\n".join(rows) + f"\n\n{result['replicates']:,} replicates of each of {len(realistic) // 3} scenarios.\n"


def comparison(result: dict[str, Any]) -> str:
    """Return a table with one row per arm: metrics at the evaluated epoch, mean ± std over the seeds."""
    split = result["protocol"]["verdict_split"]
    arms = result["arms"]
    seeds, faces = len(arms[0]["seeds"]), arms[0]["scores"][split]["n"]
    rows = [
        f"| arm (n = {seeds} random seed{'s' if seeds > 1 else ''}) | training loss | {split} accuracy, % "
        f"| 95 % interval | without duplicates, % | macro-F1, % | gap, points | {split} peaks at epoch | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in arms:
        score = arm["scores"][split]
        loss, gap = (_at_evaluated_epoch(arm, curve) for curve in ("train_loss", "gap_train_eval"))
        low, high = (100 * score["accuracy"]["interval"][side] for side in ("low", "high"))
        peak = arm["validation_peak_epoch"]["of_mean"]
        deduplicated = arm["scores_deduplicated"][split]
        rows.append(
            f"| `{arm['arm']}` | {loss['mean']:.2f} | {spread(score['accuracy'])} | "
            f"{low:.1f} to {high:.1f} | {spread(deduplicated['accuracy'])} | "
            f"{spread(score['macro_f1'])} | {spread(gap)} | "
            f"{peak} of {arm['epochs']} | {arm['seconds']['mean'] / 60:.0f} |"
        )
    verdicts = "".join(f"\n- {verdict['sentence']}" for verdict in result["verdicts"])
    model = f"model `{arms[0]['recipe']['model']}`{_selection(result)}"
    deduplicated_note = (
        f"{arms[0]['scores_deduplicated'][split]['n']:,} of them without a byte-identical duplicate in Training"
    )
    return "\n".join(rows) + f"\n\n{faces:,} faces in `{split}`, {deduplicated_note}; {model}.\n{verdicts}\n"


def starts(result: dict[str, Any]) -> str:
    """Return a table with one row per start: accuracy after the first and the last epoch, mean ± std over the seeds."""
    rows = ["| start from | val accuracy after one epoch, % | after all, % |", "|---|---|---|"]
    for row in result["starts"]:
        measured = [row["val_accuracy_after_one_epoch"], row["val_accuracy"]]
        first, last = (spread({"mean": mean(values), "std": stdev(values)}) for values in measured)
        rows.append(f"| {row['start']} | {first} | {last} |")
    faces, recipe = result["faces"], result["recipe"]
    seeds = len(result["starts"][0]["val_accuracy"])
    return "\n".join(rows) + (
        f"\n\n{faces['train']} faces to train, {faces['val']} to validate, labelled {', '.join(result['labels'])}; "
        f"{seeds} seeds; model `{recipe['model']}`, {recipe['epochs']} epochs.\n"
    )


def papers(result: dict[str, Any]) -> str:
    """Return a table with one row per paper: the accuracy of its model here, and the claim of the paper."""
    rows = [
        "| recipe | epochs, here and in the paper | val accuracy, % | 95 % interval | without duplicates, % | "
        "ground truth | claim of the paper |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["papers"]:
        evaluation, deduplicated, claim, recipe = (
            row[key] for key in ("evaluation", "evaluation_deduplicated", "claim", "recipe")
        )
        low, high = (100 * evaluation["interval"][side] for side in ("low", "high"))
        rows.append(
            f"| `{recipe['name']}` | {recipe['epochs']} of {row['epochs_of_the_paper']} | "
            f"{100 * evaluation['accuracy']:.1f} | {low:.1f} to {high:.1f} (n = {evaluation['n']:,}) | "
            f"{percent(deduplicated['accuracy'])} (n = {deduplicated['n']:,}) | {evaluation['against']} | "
            f"{100 * claim['accuracy']:.1f} on {claim['of']} ({claim['paper']}) |"
        )
    return "\n".join(rows) + "\n"


def ablation(result: dict[str, Any]) -> str:
    """Return a table with one row per change: accuracy by ground truth and protocol, mean ± std over the seeds."""
    ways = {
        "labels, official": "labels",
        "labels, deduplicated": "without duplicates",
        "raters, official": "raters' majority",
    }
    ways["raters, deduplicated"] = "without duplicates"
    seeds = len(result["changes"][0]["runs"])
    headings = ", % | ".join(ways.values())
    rows = [
        f"| change (n = {seeds} seeds) | accuracy by {headings}, % | macro-F1, % | training loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["changes"]:
        measured = [[run["accuracy"][way] for run in row["runs"]] for way in ways]
        measured.append([run["macro_f1"] for run in row["runs"]])
        loss = mean(run["train_loss"] for run in row["runs"])
        cells = [spread({"mean": mean(values), "std": stdev(values)}) for values in measured]
        rows.append(f"| {row['change']} | {' | '.join(cells)} | {loss:.3f} |")
    recipe = result["recipe"]
    return "\n".join(rows) + f"\n\n{recipe['epochs']} epochs of `{recipe['model']}`, PublicTest, single forwards.\n"


def shipped(result: dict[str, Any]) -> str:
    """Return a table with one row per model and truth: macro-F1, accuracy per condition with / without duplicates."""
    names = list(next(iter(result["models"].values()))["conditions"])
    rows = [
        f"| model | ground truth | macro-F1, % | accuracy, %: {' | '.join(names)} |",
        "|---" * (3 + len(names)) + "|",
    ]
    for model, measured in result["models"].items():
        for against in ("labels", "raters' majority"):
            ways = [f"{against}, {protocol}" for protocol in ("official", "deduplicated")]
            plain = measured["conditions"][names[0]]
            cells = [" / ".join(percent(plain[way]["macro_f1"]) for way in ways)]
            for name in names:
                cells.append(" / ".join(percent(measured["conditions"][name][way]["accuracy"]) for way in ways))
            of = f"{against}, {plain[ways[0]]['classes']} classes"
            rows.append(f"| `{model}` | {of} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\nAll faces / those without a byte-identical duplicate in Training; single forwards.\n"


def ensembles(result: dict[str, Any]) -> str:
    """Return a table with one row for each ensemble of teachers and strength of adjustment."""
    head = "| models (weights) | strength |"
    ways = ("majority vote", "labels")
    rows = [
        head + "".join(f" accuracy by {by}, % | class-averaged, % | macro-F1, % |" for by in ways),
        "|---" * (2 + 3 * len(ways)) + "|",
    ]
    for row in result["ensembles"]:
        names = " + ".join(f"`{name}` ({weight:g})" for name, weight in row["models"].items())
        cells = [f"{100 * row[by][k]:.1f}" for by in ways for k in ("accuracy", "balanced_accuracy", "macro_f1")]
        rows.append(f"| {names} | {row['strength']:g} | " + " | ".join(cells) + " |")
    counts = ", ".join(f"{result['faces'][by]:,} by {by}" for by in ways)
    return "\n".join(rows) + f"\n\nFaces of PublicTest: {counts}; single forwards.\n"


def shapes(result: dict[str, Any]) -> str:
    """Return a table with one row per architecture."""
    rows = [
        "| model | parameters | ms a face, 256 at once | training images a second | val accuracy, % | "
        "without duplicates, % |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["shapes"]:
        rows.append(
            f"| `{row['model']}` | {row['parameters']:,} | {row['milliseconds_per_face']:.3f} | "
            f"{row['training_images_per_second']:,} | {100 * row['val_accuracy'][-1]:.1f} | "
            f"{percent(row['val_accuracy_deduplicated'])} |"
        )
    return "\n".join(rows) + f"\n\n{result['recipe']['epochs']} epochs, 1 seed, {result['threads']} thread.\n"


def models() -> str:
    """Return a table with one row per shipped model: its properties and metrics."""
    rows = [
        "| model | classes | parameters | GFLOP | file, MB | ground truth | accuracy on `val`, % | without "
        "duplicates | with the mirror image | macro-F1, % | ECE, % |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in sorted((HERE.parent / "src" / "mien" / "assets").glob("*/card.json")):
        card = json.loads(file.read_text())
        size = (file.parent / "model.onnx").stat().st_size / 1e6
        about = [f"`{card['name']}`", f"{len(card['labels']['names'])}", f"{card['parameters']:,}"]
        about += [f"{card['flops'] / 1e9:.3f}", f"{size:.1f}"]
        for against in dict.fromkeys(score["against"] for score in card["scores"]):
            score = {
                (s["protocol"], s["tta"]): s for s in card["scores"] if s["against"] == against and s["split"] == "val"
            }
            plain = score["official", "none"]
            measured = [against, f"{percent(plain['accuracy'])} ({percent(plain['low'])} to {percent(plain['high'])})"]
            measured += [percent(score[way]["accuracy"]) for way in (("deduplicated", "none"), ("official", "flip"))]
            measured += [percent(plain["macro_f1"]), percent(plain["ece"])]
            rows.append("| " + " | ".join([*about, *measured]) + " |")
            about = [""] * len(about)
    return "\n".join(rows) + "\n"


def search(result: dict[str, Any]) -> str:
    """Return a table with one row per trial of `mien tune`, sorted by accuracy, complete trials first."""
    fields = list(result["space"])
    rows = [
        f"| {' | '.join(fields)} | epochs | val accuracy, % | without duplicates, % | |",
        "|---" * (len(fields) + 4) + "|",
    ]
    for trial in sorted(result["trials"], key=lambda t: (t["state"] != "done", -t["accuracies"][-1])):
        values = [f"{trial['values'][f]:.4g}" for f in fields]
        note = "the recipe's own" if trial["own"] else "" if trial["state"] == "done" else trial["state"]
        values += [
            str(len(trial["accuracies"])),
            percent(trial["accuracies"][-1]),
            percent(trial["accuracy_deduplicated"]),
        ]
        rows.append(f"| {' | '.join(values)} | {note} |")
    shares = ", ".join(f"`{field}` {100 * share:.0f} %" for field, share in result["importances"].items())
    measured = f" Importance of the fields: {shares}." if shares else ""
    return "\n".join(rows) + f"\n\n`{result['recipe']['model']}`, seed {result['seed']}, PublicTest.{measured}\n"


def peers(result: dict[str, Any]) -> str:
    """Return a table with one row per package: accuracy per truth and protocol, difference to the first."""
    first = result["rounds"][0]["packages"][0]["model"]
    ways = [PROTOCOL_NAMES.get(one["protocol"], f"by {one['against']}") for one in result["rounds"]]
    rows = [
        f"| package | accuracy {', % | '.join(ways)}, % | macro-F1, % | ECE, % | contradicted labels predicted, % | "
        f"difference to `{first}` by labels | McNemar's p |",
        "|---" * (6 + len(ways)) + "|",
    ]
    official = result["rounds"][0]
    contradicted = result.get("contradicted_labels") or result["contradicted_labels_predicted"]  # key of older records
    for k, measured in enumerate(official["packages"]):
        cells = [percent(one["packages"][k]["accuracy"]) for one in result["rounds"]]
        cells += [percent(measured["macro_f1"]), percent(measured["ece"])]
        cells.append(percent(contradicted[measured["model"]]))
        if k:
            pair = official["pairs"][k - 1]
            p = pair["p"]
            cells.append(points(pair["accuracy"]))
            cells.append("< 0.001" if p < 0.001 else f"{p:.3f}")
        else:
            cells += ["", ""]
        rows.append(f"| `{measured['model']}` | {' | '.join(cells)} |")
    measured = [f"Implausible: {sentence}." for sentence in result["contamination"]]
    selected = [f"`{one['model']}`" for one in official["packages"] if one["selected_on"]]
    if selected:
        measured.append(
            f"PublicTest was used to select the models and fit the temperatures of {', '.join(selected)}, so their "
            "metrics are optimistically biased."
        )
    measured += [f"`{name}`: {how['package']}; {how['fed']}." for name, how in result["asked"].items()]
    return (
        "\n".join(rows)
        + f"\n\n{official['n']:,} faces of PublicTest, the same crops for all; macro-F1 and ECE by labels. "
        "ECE is of the probabilities as predicted; in the cards of `base` and `nano` it is cross-fitted.\n\n"
        + "".join(f"- {sentence}\n" for sentence in measured)
    )


def points(d: dict[str, Any]) -> str:
    """Return a difference of fractions in points, with its interval."""
    return f"{verdict.points(d['mean'])} ({verdict.points(d['low'])} to {verdict.points(d['high'])})"


def spread(figure: dict[str, Any]) -> str:
    """Return a fraction in percent, with its standard deviation if there is one."""
    return percent(figure["mean"]) + ("" if figure["std"] is None else f" ± {percent(figure['std'])}")


def _at_evaluated_epoch(arm: dict[str, Any], curve: str) -> dict[str, Any]:
    """Return the figure of each run at the evaluated epoch."""
    curves = {name.replace("gap_clean", "gap_train_eval"): values for name, values in arm["curves"].items()}  # old name
    runs = zip(curves[curve]["per_seed"], arm["selected_epoch"]["per_seed"], strict=True)
    values = [values[epoch - 1] for values, epoch in runs]
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}


def _selection(result: dict[str, Any]) -> str:
    """Return what selected the epoch if it is not the last, and whether the split of the table did."""
    if not any(arm["selected_by"] for arm in result["arms"]):
        return ""
    optimistic = "; `val` was used for selection, so its metrics are optimistic"
    evaluated_at = result["protocol"]["evaluated_at"]
    return f"; evaluated at {evaluated_at}{optimistic if result['protocol']['verdict_split'] == 'val' else ''}"
