"""Tables and texts of the report of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from mien.data.dataset import TEST, VAL
from mien.evaluation.comparison.arms import ArmResult, Score
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.comparison.verdict import TOO_FEW_SEEDS, points
from mien.evaluation.report.html import Markup, bullets, element, paragraphs, table
from mien.evaluation.report.terminal import percent, sentence_case, span, spread
from mien.evaluation.selection import SELECTED_ON
from mien.evaluation.statistics.intervals import BOTH
from mien.evaluation.statistics.metrics import Ints, PerClass

NONE = "–"


def synthetic_data_note(name: str) -> Markup:
    """What figures on the embedded data set are worth."""
    return element(
        "p",
        f"{name} is a set of faces drawn by a program. Its figures stand for no real face and are never put beside "
        "figures on FER2013.",
        class_="banner",
    )


def setting(c: Comparison) -> Markup:
    """What was trained on what, and how the arms were paired."""
    seeds = c.arms[0].seeds
    faces = ", ".join(
        f"{c.data.split_titles[s]} {sum(n) + c.data.unlabelled.get(s, 0):,}" for s, n in c.data.counts.items()
    )
    blank = "".join(f" No label: {n:,} faces of {c.data.split_titles[s]}." for s, n in c.data.unlabelled.items())
    origin = f", recognised by its digest as {c.data.known_as}" if c.data.known_as else ""
    judged = ["judged at epoch"] * c.epoch_selection.any_selected
    rows = [
        [a.arm, value(a.recipe.get("model", NONE)), value(a.recipe.get("augment", NONE)), _each(a.lengths)]
        + [_each(a.selected_epochs) for _ in judged]
        for a in c.arms
    ]
    head = ["arm", "model", "augmentation", "epochs", *judged]
    arms = table("The arms; the first is what the others are held against", head, rows, words=3)
    if TEST in c.splits:
        told = "test is measured every epoch and nothing is chosen by it"
    else:
        told = "there are no scores on a test split" if c.epoch_selection.any_selected else "nothing is chosen by it"
    return Markup(
        paragraphs(
            f"Data: {c.data.name}{origin}. Faces: {faces}.{blank}",
            f"Each arm was trained from seed {', '.join(map(str, seeds))}; runs of the same seed form a pair. "
            f"Every figure is that of {c.epoch_selection.description}; {told}.",
        )
        + arms
    )


def scores(c: Comparison) -> Markup:
    """Accuracy and macro-F1 with their intervals, each arm on each split; accuracy by the deduplicated protocol too."""
    head = ["arm", "split", "accuracy %", "95 % interval", "without duplicates", "macro-F1 %", "95 % interval"]
    head += ["log loss", "train loss"]
    rows = [
        [
            a.arm,
            c.split_title(split, a),
            spread(s.accuracy),
            span(s.accuracy_interval),
            spread(a.deduplicated[split].accuracy) if split in a.deduplicated else NONE,
            spread(s.macro_f1),
            span(s.macro_f1_interval),
            spread(s.log_loss, scale=1, digits=2),
            f"{a.at_selected_epoch('train_loss').mean:.2f}",
        ]
        for split in c.splits
        for a in c.arms
        for s in [a.scores[split]]
    ]
    seeds = len(c.arms[0].seeds)
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    covers = c.arms[0].scores[c.split].accuracy_interval.covers
    note = f". “{SELECTED_ON.capitalize()}”: the split also chose the epoch, so its figures are optimistic"
    marked = note if any(c.epoch_selection.uses(split) for split in c.splits) else ""
    left = ", ".join(f"{s.n:,} of {c.data.split_titles[split]}" for split, s in c.arms[0].deduplicated.items())
    apart = (
        f". “Without duplicates”: accuracy on the faces that are not in training byte for byte, {left}" if left else ""
    )
    caption = f"{sentence_case(c.epoch_selection.title)}, {over}; the intervals cover {covers}{apart}{marked}"
    return table(caption, head, rows, words=2)


def differences(c: Comparison) -> Markup:
    """What the verdicts are made of."""
    head = ["pair", "accuracy, points", "95 % interval", "macro-F1, points", "95 % interval", "each seed", "finding"]
    rows = [
        [
            f"{v.b} − {v.a}",
            points(v.accuracy.mean),
            f"{points(v.accuracy.low)} to {points(v.accuracy.high)}",
            points(v.macro_f1.mean),
            f"{points(v.macro_f1.low)} to {points(v.macro_f1.high)}",
            ", ".join(points(d) for d in v.per_seed),
            v.finding,
        ]
        for v in c.verdicts
    ]
    caption = (
        f"Differences on {c.split_title(c.split)}, paired by seed; the intervals cover {c.verdicts[0].accuracy.covers}"
    )
    return table(caption, head, rows)


def peaks(c: Comparison) -> Markup:
    """Gap at the judged epoch, and where validation accuracy peaks."""
    head = [
        "arm",
        "gap, unaugmented",
        "gap, running",
        "validation peaks at",
        "peak of each seed",
        "at peak %",
        "as judged %" if c.epoch_selection.any_selected else "at end %",
    ]
    rows = []
    for arm in c.arms:
        at_peak = arm.curves["val_accuracy"].mean_E[(arm.peak_of_mean or 1) - 1]
        rows.append(
            [
                arm.arm,
                _gap(arm, "gap_clean"),
                _gap(arm, "gap_running"),
                f"epoch {arm.peak_of_mean}",
                ", ".join(map(str, arm.peaks)),
                percent(at_peak),
                percent(arm.at_selected_epoch("val_accuracy").mean),
            ]
        )
    marked = f" ({SELECTED_ON})" * c.epoch_selection.uses(VAL)
    caption = f"Gap {c.epoch_selection.when} in points of accuracy, and the peak of mean validation accuracy{marked}"
    return table(caption, head, rows)


def main_confusions(counts_KK: Ints, classes: Sequence[str], most: int = 3) -> str:
    """The largest shares off the diagonal in words."""
    sums_K1 = counts_KK.sum(1, keepdims=True)
    share_KK = np.divide(counts_KK, sums_K1, out=np.zeros(counts_KK.shape), where=sums_K1 > 0)
    np.fill_diagonal(share_KK, 0)
    found = np.argsort(share_KK, axis=None)[::-1][:most]
    cells = [(i // len(classes), i % len(classes)) for i in found.tolist() if share_KK.flat[i] > 0]
    said = [f"{classes[t]} taken for {classes[p]} ({100 * share_KK[t, p]:.0f} %)" for t, p in cells]
    return f"Most often: {', '.join(said)}." if said else "Nothing is mistaken."


def per_class(c: Comparison, arm: ArmResult) -> Markup:
    """Precision, recall and F1 of each class, with macro-F1 and accuracy below."""
    s = arm.scores[c.split]
    rows = class_rows(c.data.classes, s)
    rows.append(["macro mean", percent(s.precision.mean()), percent(s.recall.mean()), spread(s.macro_f1), f"{s.n:,}"])
    rows.append(["accuracy", "", "", spread(s.accuracy), f"{s.n:,}"])
    return table(
        f"{arm.arm}, {c.split_title(c.split, arm)}", ["class", "precision %", "recall %", "F1 %", "faces"], rows
    )


def class_rows(classes: Sequence[str], counts: Score | PerClass) -> list[list[object]]:
    """Name, precision, recall and F1 in percent, and faces of each class."""
    cells = zip(classes, counts.precision, counts.recall, counts.f1, counts.support, strict=True)
    return [[name, percent(p), percent(r), percent(f), f"{n:,}"] for name, p, r, f, n in cells]


def class_counts(c: Comparison) -> Markup:
    """Faces per class and split, with the share in the split."""
    splits = [s for s, counts in c.data.counts.items() if sum(counts)]
    head = ["class", *(c.data.split_titles[s] for s in splits)]
    rows = [
        [
            name,
            *(f"{c.data.counts[s][k]:,} ({100 * c.data.counts[s][k] / sum(c.data.counts[s]):.1f} %)" for s in splits),
        ]
        for k, name in enumerate(c.data.classes)
    ]
    rows.append(["all", *(f"{sum(c.data.counts[s]):,}" for s in splits)])
    return table("Faces per class, and their share of the split", head, rows)


def student_report(c: Comparison) -> Markup:
    """Where the figures of the student report stand, when the data is FER2013."""
    if not c.data.is_original:
        return Markup("")
    rows: list[list[object]] = [
        ["report: regular", "0.30", NONE, "62.19", "9"],
        ["report: augmented", "1.40", NONE, "61.97", "9"],
    ]
    for arm in c.arms:
        told = {s: spread(arm.scores[s].accuracy) if s in arm.scores else NONE for s in (VAL, TEST)}
        if arm.epoch_selection.uses(VAL) and VAL in arm.scores:
            told[VAL] += f", {SELECTED_ON}"
        loss = f"{arm.at_selected_epoch('train_loss').mean:.2f}"
        rows.append([f"here: {arm.arm}", loss, told[VAL], told[TEST], _each(arm.selected_epochs)])
    return Markup(
        paragraphs(
            "The study that this one repeats gives 62.19 % for regular images at a training loss of 0.30, and 61.97 "
            "% for augmented ones at a loss of 1.40, one run each, after 9 epochs. Both were measured on PrivateTest, "
            "which the notebook used to validate; they are never differenced with PublicTest.",
        )
        + table(
            "The report's figures beside ours; a difference may be taken within a column at most",
            ["run", "training loss", "accuracy %, PublicTest", "accuracy %, PrivateTest", "epochs"],
            rows,
        )
    )


def cost(c: Comparison) -> Markup:
    """Training time per run, pace, and the machines."""
    head = ["arm", "minutes a run", "minutes, all runs", "images a second"]
    rows = [
        [
            a.arm,
            spread(a.seconds, scale=1 / 60),
            f"{sum(a.seconds.per_seed) / 60:.1f}",
            spread(a.images_per_second, scale=1, digits=0) if a.images_per_second else NONE,
        ]
        for a in c.arms
    ]
    machines: list[Mapping[str, object]] = []
    for arm in c.arms:
        machines += [m for m in arm.machines if m not in machines]
    said = [", ".join(f"{k} {value(v)}" for k, v in m.items()) for m in machines]
    lead = (
        "All runs on one machine:" if len(machines) == 1 else "Runs on different machines; their times do not compare:"
    )
    return Markup(table("Training time, without judging", head, rows) + paragraphs(lead) + bullets(said))


def recipes(c: Comparison) -> Markup:
    """The fields in which the arms differ, then those that they share."""
    fields = [f for f in dict.fromkeys(k for a in c.arms for k in a.recipe) if f != "name"]
    differ = [f for f in fields if any(a.recipe.get(f) != c.arms[0].recipe.get(f) for a in c.arms)]
    rows = [[f, *(value(a.recipe.get(f, NONE)) for a in c.arms)] for f in differ]
    same = ", ".join(f"{f} {value(c.arms[0].recipe[f])}" for f in fields if f not in differ)
    head = ["field", *(a.arm for a in c.arms)]
    shown = (
        table("Where the recipes differ", head, rows, words=len(head)) if rows else paragraphs("They do not differ.")
    )
    return Markup(shown + paragraphs(f"Shared by all arms: {same or 'nothing'}."))


# Fields of a recipe that change what the training loss is made of.
LOSS_FIELDS = ("label_smoothing", "class_weights", "logit_adjustment", "balanced_sampling")


def caveats(c: Comparison, notes: Sequence[str]) -> Markup:
    """What was and was not chosen, what the intervals cover, and what the page cannot say."""
    said = _selection(c)
    first = c.verdicts[0]
    if first.accuracy.covers == BOTH:
        said.append(
            "The intervals of the verdicts cover both the draw of seeds and the draw of faces: in about 95 of 100 "
            "such studies or more, with other seeds and other faces of the same source, they hold the true difference. "
            "They do not cover other data, other recipes, wrong labels, or runs that fail outright now and then."
        )
    if first.finding == TOO_FEW_SEEDS:
        said.append(
            "With fewer than three seeds the intervals cover the draw of faces only. How much another seed would "
            "change is not in them, and it is often as much again: so there is no verdict."
        )
    else:
        said.append(
            "“No difference shown” is not “no difference”: every difference inside the interval agrees with the data."
        )
    if c.split == VAL:
        before = "that is the epoch" if c.epoch_selection.any_selected else "nothing was"
        said.append(
            f"The verdict is about {c.data.split_titles[VAL]}, {first.basis.reason}. A figure on validation flatters "
            "whatever "
            f"was chosen by it before; here {before}."
        )
    if len(c.verdicts) > 1:
        said.append(
            f"There are {len(c.verdicts)} verdicts, each with its own 95 %; they are not adjusted for their number."
        )
    differ = [field for field in LOSS_FIELDS if len({a.recipe.get(field, 0.0) for a in c.arms}) > 1]
    if differ:
        said.append(
            f"The arms differ in {', '.join(differ)}, so their training losses are of different things and are not to "
            "be compared; the losses on unaugmented faces are plain ones in all arms."
        )
    said.append(
        "Accuracy follows the frequent classes; macro-F1 counts each class alike. The interval of macro-F1 is that of "
        "its linear approximation, and only that of accuracy has been tried in simulation."
    )
    return bullets([*said, *notes])


def _selection(c: Comparison) -> list[str]:
    """What was chosen and by what."""
    if not c.epoch_selection.any_selected:
        return [
            "Nothing was selected: every figure is that of the last epoch, and no epoch, seed or arm was left out or "
            "picked."
        ]
    said = [
        f"Figures are of {c.epoch_selection.description}; each run's epoch is its own. No seed or arm was left out or "
        "picked, and nothing was chosen by test.",
        f"Validation figures of an arm whose epoch validation chose ({SELECTED_ON}) are optimistic: part of what lifts "
        "them is luck on those faces. Test figures are not touched by that.",
    ]
    if not all(a.selected_by for a in c.arms):
        said.append("Only some of the arms chose their epoch, so on validation they have an edge over the others.")
    if any(len(set(a.lengths)) > 1 for a in c.arms):
        said.append(
            "Runs of an arm may end early, so curves are means over the runs that got that far, and the peak of a mean "
            "is sought among the epochs that all runs of the arm reached."
        )
    return said


def value(v: object) -> str:
    """A field of a recipe or a machine in short: `flip(p=0.5) + cutout(holes=2)`, `0.003`, `none`."""
    if isinstance(v, str):
        return v
    if isinstance(v, (list, tuple)):
        return " + ".join(value(part) for part in v) or "none"
    if isinstance(v, Mapping) and "name" in v:
        inside = ", ".join(f"{k}={value(x)}" for k, x in v.items() if k != "name")
        return f"{v['name']}({inside})" if inside else str(v["name"])
    return json.dumps(v, default=str)


def _gap(arm: ArmResult, which: str) -> str:
    return points(arm.at_selected_epoch(which).mean) if which in arm.curves else NONE


def _each(numbers: Sequence[int]) -> str:
    """`9` where it is the same for every seed, else `9, 7, 8`."""
    return ", ".join(map(str, numbers if len(set(numbers)) > 1 else numbers[:1]))
