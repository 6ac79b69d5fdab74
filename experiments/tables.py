#!/usr/bin/env python3
"""Write the tables of README.md from the committed results; `--check` fails where they differ.

    python experiments/tables.py [--check]

Between `<!-- table:NAME -->` and `<!-- /table -->` stands the table of `results/NAME.json`, here or in benchmarks/: a
`comparison.json` that `mien compare` wrote, or what another script did. `models` is made from the shipped cards.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

HERE = Path(__file__).parent
UNKNOWN = "–"
TWINS = {"clean": "without twins", "strict": "without near-twins"}
DOCUMENTS = [HERE.parent / "README.md", HERE / "LOG.md", HERE.parent / "docs" / "scale.md"]
BILLION, MACHINES, CORES, PRICE = 1_000_000_000, 100, 16, 0.04  # pictures; of docs/scale.md's example; a core-hour
PLACE = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def table(result: dict[str, Any]) -> str:
    """The table that this kind of result has."""
    return next(make(result) for key, make in KINDS.items() if key in result)


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
    """One row an arm: figures at the judged epoch, mean ± std over the seeds."""
    split = result["protocol"]["verdict_split"]
    arms = result["arms"]
    seeds, faces = len(arms[0]["seeds"]), arms[0]["scores"][split]["n"]
    rows = [
        f"| arm (n = {seeds} seed{'s' if seeds > 1 else ''}) | training loss | {split} accuracy, % | 95 % interval | "
        f"without twins, % | macro-F1, % | gap, points | {split} peaks at epoch | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in arms:
        score, loss, gap = arm["scores"][split], _judged(arm, "train_loss"), _judged(arm, "gap_clean")
        low, high = (100 * score["accuracy"]["interval"][side] for side in ("low", "high"))
        peak = arm["validation_peak_epoch"]["of_mean"]
        clean = arm.get("scores_clean", {}).get(split)
        rows.append(
            f"| `{arm['arm']}` | {loss['mean']:.2f} | {_spread(score['accuracy'])} | "
            f"{low:.1f} to {high:.1f} | {_spread(clean['accuracy']) if clean else UNKNOWN} | "
            f"{_spread(score['macro_f1'])} | {_spread(gap)} | "
            f"{peak} of {arm['epochs']} | {arm['seconds']['mean'] / 60:.0f} |"
        )
    verdicts = "".join(f"\n- {verdict['sentence']}" for verdict in result["verdicts"])
    net = f"net `{arms[0]['recipe']['model']}`{_selection(result)}"
    return "\n".join(rows) + f"\n\n{faces:,} faces in `{split}`{_without(arms[0], split)}; {net}.\n{verdicts}\n"


def _without(arm: dict[str, Any], split: str) -> str:
    """How many faces have no byte-identical twin in Training, or why nothing is said of them."""
    if "scores_clean" not in arm:
        return "; what was predicted of each face was not kept, so that nothing can be said of those without twins"
    clean = arm["scores_clean"].get(split)
    return f", {clean['n']:,} of them without a byte-identical twin in Training" if clean else ""


def starts(result: dict[str, Any]) -> str:
    """One row a start: accuracy after the first and the last epoch, mean ± std over the seeds."""
    rows = ["| start from | val accuracy after one epoch, % | after all, % |", "|---|---|---|"]
    for row in result["starts"]:
        told = [row["val_accuracy_after_one_epoch"], row["val_accuracy"]]
        first, last = (_spread({"mean": mean(values), "std": stdev(values)}) for values in told)
        rows.append(f"| {row['start']} | {first} | {last} |")
    faces, recipe = result["faces"], result["recipe"]
    seeds = len(result["starts"][0]["val_accuracy"])
    return "\n".join(rows) + (
        f"\n\n{faces['train']} faces to train, {faces['val']} to validate, labelled {', '.join(result['labels'])}; "
        f"{seeds} seeds; net `{recipe['model']}`, {recipe['epochs']} epochs.\n"
    )


def papers(result: dict[str, Any]) -> str:
    """One row a paper: what its net reached here, and what the paper claims."""
    rows = [
        "| recipe | epochs, here and in the paper | val accuracy, % | 95 % interval | without twins, % | judged by | "
        "the paper claims |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["papers"]:
        judged, clean, claim, recipe = (row.get(key) for key in ("judged", "judged_clean", "claim", "recipe"))
        low, high = (100 * judged["interval"][side] for side in ("low", "high"))
        rows.append(
            f"| `{recipe['name']}` | {recipe['epochs']} of {row['epochs_of_the_paper']} | "
            f"{100 * judged['accuracy']:.1f} | {low:.1f} to {high:.1f} (n = {judged['n']:,}) | "
            f"{_of(clean)} | {judged['against']} | "
            f"{100 * claim['accuracy']:.1f} on {claim['of']} ({claim['paper']}) |"
        )
    return "\n".join(rows) + "\n"


def _of(judged: dict[str, Any] | None) -> str:
    """Accuracy and the faces that it is of, where it is known."""
    return UNKNOWN if judged is None else f"{_percent(judged['accuracy'])} (n = {judged['n']:,})"


def ablation(result: dict[str, Any]) -> str:
    """One row a change: accuracy by either truth and protocol, mean ± std over the seeds."""
    ways = {"labels, official": "labels", "labels, clean": "without twins", "raters, official": "raters' majority"}
    ways["raters, clean"] = "without twins"
    seeds = len(result["changes"][0]["runs"])
    headings = ", % | ".join(ways.values())
    rows = [
        f"| change (n = {seeds} seeds) | accuracy by {headings}, % | macro-F1, % | training loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["changes"]:
        told = [[run["accuracy"][way] for run in row["runs"]] for way in ways]
        told.append([run["macro_f1"] for run in row["runs"]])
        loss = mean(run["train_loss"] for run in row["runs"])
        cells = [_spread({"mean": mean(values), "std": stdev(values)}) for values in told]
        rows.append(f"| {row['change']} | {' | '.join(cells)} | {loss:.3f} |")
    recipe = result["recipe"]
    return "\n".join(rows) + f"\n\n{recipe['epochs']} epochs of `{recipe['model']}`, PublicTest, single forwards.\n"


def shipped(result: dict[str, Any]) -> str:
    """One row a net and truth: macro-F1, and accuracy under each condition, all faces / those without twins."""
    names = list(next(iter(result["nets"].values()))["conditions"])
    rows = [
        f"| net | judged by | macro-F1, % | accuracy, %: {' | '.join(names)} |",
        "|---" * (3 + len(names)) + "|",
    ]
    for net, told in result["nets"].items():
        for against in ("labels", "raters' majority"):
            ways = [f"{against}, {protocol}" for protocol in ("official", "clean")]
            plain = told["conditions"][names[0]]
            cells = [" / ".join(_percent(plain[way]["macro_f1"]) for way in ways)]
            for name in names:
                cells.append(" / ".join(_percent(told["conditions"][name][way]["accuracy"]) for way in ways))
            of = f"{against}, {plain[ways[0]]['classes']} classes"
            rows.append(f"| `{net}` | {of} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\nAll faces / those without a byte-identical twin in Training; single forwards.\n"


def shapes(result: dict[str, Any]) -> str:
    """One row a shape of net."""
    rows = [
        "| net | parameters | ms a face, 256 at once | training pictures a second | val accuracy, % | "
        "without twins, % |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["shapes"]:
        rows.append(
            f"| `{row['net']}` | {row['parameters']:,} | {row['milliseconds_per_face']:.3f} | "
            f"{row['training_images_per_second']:,} | {100 * row['val_accuracy'][-1]:.1f} | "
            f"{_percent(row['val_accuracy_clean']) if 'val_accuracy_clean' in row else UNKNOWN} |"
        )
    return "\n".join(rows) + f"\n\n{result['recipe']['epochs']} epochs, 1 seed, {result['threads']} thread.\n"


def speeds(result: dict[str, Any]) -> str:
    """One row a net: how long a face takes, alone and among many, on one thread and two."""
    rows = [
        f"| net | threads | one face, ms | in batches of {result['batch']}, ms a face | times `fer`'s rate, one | "
        "in batches | share of a convolution's rate, in batches |",
        "|---|---|---|---|---|---|---|",
    ]
    for threads, told in result["threads"].items():
        figures, ratios = told["figures"], told["ratios"]
        for net in dict.fromkeys(name.partition(",")[0] for name in figures):
            if net == "convolution":
                continue
            one, many = (figures.get(f"{net}, {how}", {}).get("milliseconds_per_face") for how in ("one", "batch"))
            times = [ratios.get(f"{net}, {how}: times fer's rate") for how in ("one", "batch")]
            share = ratios.get(f"{net}, batch: share of the convolution's rate")
            rows.append(
                f"| {net} | {threads} | {_milliseconds(one)} | {_milliseconds(many)} | "
                + " | ".join("" if value is None else f"{value:.2f}" for value in (*times, share))
                + " |"
            )
    return "\n".join(rows) + "\n"


def _milliseconds(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["quartiles"]
    return f"{figure['median']:.3f} ({low:.3f} to {high:.3f})"


def models() -> str:
    """One row a shipped net: what it is, and how well it does."""
    rows = [
        "| net | classes | parameters | GFLOP | file, MB | judged by | accuracy on `val`, % | without twins | with the "
        "mirror image | macro-F1, % | ECE, % |",
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
            told = [against, f"{_percent(plain['accuracy'])} ({_percent(plain['low'])} to {_percent(plain['high'])})"]
            told += [_percent(score[way]["accuracy"]) for way in (("clean", "none"), ("official", "flip"))]
            told += [_percent(plain["macro_f1"]), _percent(plain["ece"])]
            rows.append("| " + " | ".join([*about, *told]) + " |")
            about = [""] * len(about)
    return "\n".join(rows) + "\n"


def crop_rule(result: dict[str, Any]) -> str:
    """One row a way of cutting faces out: what each net loses by it, against the original crops."""
    nets = list(result["nets"])
    rule = {k: v for k, v in result["rule"].items() if k not in ("provisional", "upright") and v}
    told = ", ".join(f"{k} {v}" for k, v in rule.items()) or "the box alone"
    rows = [
        "| how a face is cut out | " + " | ".join(f"`{net}` loses, points" for net in nets) + " |",
        "|---" * (1 + len(nets)) + "|",
    ]
    for what, lost in (
        ("at the detector's box", result["lost_by_the_box_alone"]),
        (told, result["lost_when_not_upright"]),
        (f"{told}, upright", result["lost_when_upright"]),
        ("by true place and turn", result["lost_by_the_true_place"]),
    ):
        if what != "the box alone":  # which the first row is
            rows.append(f"| {what} | " + " | ".join(_loss(lost[net]) for net in nets) + " |")
    steps = "; ".join(
        f"{s['part']} {s['value']}: {_gain(s['gain'])}, {'kept' if s['kept'] else 'not kept'}" for s in result["steps"]
    )
    upright = result["upright"]
    return (
        "\n".join(rows)
        + f"\n\n± is one standard error. Of {result['faces']:,} faces, turned by up to 15 degrees, the detector finds "
        f"{result['found']['turned']:,}. What each part gains, points: {steps}; upright: {_gain(upright['turned'])} on "
        f"these, {_gain(upright['level'])} on the same not turned, {_gain(upright['both'])} on both, "
        f"{'kept' if upright['kept'] else 'not kept'}. At a picture's rim, the rim repeated instead of black: "
        f"{_gain(result['at_the_rim']['repeated_minus_black'])}.\n"
    )


def peers(result: dict[str, Any]) -> str:
    """One row a package: accuracy by either truth and protocol, and what it has more than the first."""
    first = result["rounds"][0]["packages"][0]["model"]
    ways = [TWINS.get(one["protocol"], f"by {one['against']}") for one in result["rounds"]]
    rows = [
        f"| package | accuracy {', % | '.join(ways)}, % | macro-F1, % | ECE, % | disputed labels met, % | "
        f"more than `{first}` by labels | McNemar's p |",
        "|---" * (6 + len(ways)) + "|",
    ]
    official = result["rounds"][0]
    for k, told in enumerate(official["packages"]):
        cells = [_percent(one["packages"][k]["accuracy"]) for one in result["rounds"]]
        cells += [_percent(told["macro_f1"]), _percent(told["ece"])]
        cells.append(_percent(result["disputed_labels_met"][told["model"]]))
        if k:
            pair = official["pairs"][k - 1]
            d, p = pair["accuracy"], pair["p"]
            cells.append(f"{100 * d['mean']:+.1f} ({100 * d['low']:+.1f} to {100 * d['high']:+.1f})")
            cells.append("< 0.001" if p < 0.001 else f"{p:.3f}")
        else:
            cells += ["", ""]
        rows.append(f"| `{told['model']}` | {' | '.join(cells)} |")
    doubted = "".join(f"- Implausible: {sentence}.\n" for sentence in result["doubts"])
    return (
        "\n".join(rows)
        + f"\n\n{official['n']:,} faces of PublicTest, the same crops for all; macro-F1 and ECE by labels.\n"
        + doubted
    )


def stages(result: dict[str, Any]) -> str:
    """One row a size of photo: where its time goes, and what a billion of them take."""
    rows = [
        "| photo | decode, ms | find, ms | cut and tell, ms | decode's share, % | pictures a core-second | "
        f"core-hours of a billion | hours on {MACHINES} machines of {CORES} cores | MB/s to each | TB in all | "
        f"at {PRICE} a core-hour |",
        "|---" * 11 + "|",
    ]
    for one in result["stages"]:
        took = one["milliseconds"]
        whole = sum(took.values())
        core_hours = BILLION * whole / 1000 / 3600
        rows.append(
            f"| {one['photo']}, {one['width']} x {one['height']} | {took['decode']:.1f} | {took['find']:.1f} | "
            f"{took['cut'] + took['tell']:.1f} | {100 * took['decode'] / whole:.0f} | {1000 / whole:.0f} | "
            f"{core_hours:,.0f} | {core_hours / MACHINES / CORES:.1f} | "
            f"{CORES * 1000 / whole * one['bytes'] / 1e6:.0f} | "
            f"{BILLION * one['bytes'] / 1e12:.0f} | {core_hours * PRICE:,.0f} |"
        )
    return "\n".join(rows) + f"\n\nOne face a photo, the net `{result['net']}`, one thread.{_noted(result)}\n"


def cluster(result: dict[str, Any]) -> str:
    """One row a side of `benchmarks/scale.py`."""
    rows = [
        "| side | pictures | seconds | pictures a second | faces a core-second | processor seconds | driver, MB | "
        "actor, MB | rows as the loop's, each picture once |",
        "|---" * 9 + "|",
    ]
    names = {
        "plain": "a plain loop", "undisturbed": "a cluster", "a_quarter": "a cluster, a quarter of the pictures",
        "one_node_killed": "a cluster of one node more, one killed",
    }  # fmt: skip
    for side, name in names.items():
        one = {"pictures": result["pictures"], "nodes": result["cores"], **result[side]}
        memory = [f"{one[key]}" if key in one else "" for key in ("driver_mb", "actor_mb")]
        same = "" if "equal" not in one else "yes" if one["equal"] and not one["missing"] else "no"
        cores = f"{one['faces'] / one['seconds'] / one['nodes']:.2f}" if side != "one_node_killed" else ""
        rows.append(
            f"| {name} | {one['pictures']:,} | {one['seconds']:.0f} | {one['pictures'] / one['seconds']:.1f} | "
            f"{cores} | {one['cpu']:.0f} | {' | '.join(memory)} | {same} |"
        )
    ratio, growth = result["rate_beside_the_loop"], result["growth_of_four_times"]
    return (
        "\n".join(rows)
        + f"\n\nThe cluster's rate is {ratio['ratio']:.2f} of the loop's on the same {result['cores']} cores "
        f"({ratio['at_least']} is wanted), its processor seconds for the same work "
        f"{1 / result['cpu_beside_the_loop']:.2f} times the loop's. Four "
        f"times the pictures take {growth['driver_mb']:+} MB in the driver and {growth['actor_mb']:+} MB in an actor "
        f"(+{growth['at_most']} at most).{_noted(result)}\n"
    )


def _noted(result: dict[str, Any]) -> str:
    return f" Of this run: {result['note']}." if result.get("note") else ""


def _gain(figure: dict[str, float]) -> str:
    return f"{figure['points']:+.2f} ± {figure['standard_error']:.2f}"


def _loss(figure: dict[str, float]) -> str:
    return f"{figure['points']:.2f} ± {figure['standard_error']:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


KINDS = {
    "arms": comparison,
    "starts": starts,
    "replicates": coverage,
    "papers": papers,
    "shapes": shapes,
    "changes": ablation,
    "threads": speeds,
    "steps": crop_rule,
    "nets": shipped,
    "rounds": peers,
    "stages": stages,
    "undisturbed": cluster,
}


def _spread(figure: dict[str, Any]) -> str:
    return f"{100 * figure['mean']:.1f}" + ("" if figure["std"] is None else f" ± {100 * figure['std']:.1f}")


def _judged(arm: dict[str, Any], curve: str) -> dict[str, Any]:
    """The figure of each run at the epoch that it is judged at."""
    runs = zip(arm["curves"][curve]["per_seed"], arm["judged_epoch"]["per_seed"], strict=True)
    values = [values[epoch - 1] for values, epoch in runs]
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}


def _selection(result: dict[str, Any]) -> str:
    """What chose the epoch, where it is not the last, and whether the table's split did."""
    if not any(arm["selected_by"] for arm in result["arms"]):
        return ""
    optimistic = "; `val` is selected on, so its figures are optimistic"
    judged_at = result["protocol"]["judged_at"]
    return f"; judged at {judged_at}{optimistic if result['protocol']['verdict_split'] == 'val' else ''}"


def _result(name: str) -> dict[str, Any]:
    folders = (HERE / "results", HERE.parent / "benchmarks" / "results")
    there = [folder / f"{name}.json" for folder in folders if (folder / f"{name}.json").exists()]
    result: dict[str, Any] = json.loads(there[0].read_text()) if there else {}
    return result


def filled(text: str) -> str:
    """`text` with every table made anew."""

    def one(place: re.Match[str]) -> str:
        if place[2] == "models":
            return place[1] + models() + place[3]
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
