"""Numbers, notes and sentences that terminal tables and pages share."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.evaluation.comparison.arms import ArmResult, Score
from mien.evaluation.comparison.compare import Comparison, DatasetSummary
from mien.evaluation.comparison.curves import Spread
from mien.evaluation.comparison.search import Search, Trial, format_value
from mien.evaluation.comparison.verdict import points
from mien.evaluation.detector_loop import DetectorLoop
from mien.evaluation.evaluate import EPOCH, TEMPERATURE, Evaluation
from mien.evaluation.robustness import Robustness, difference
from mien.evaluation.selection import SELECTED_ON
from mien.evaluation.statistics.intervals import Interval
from mien.evaluation.statistics.metrics import Ints, PerClass
from mien.evaluation.statistics.paired import NO_DIFFERENCE, Difference, PairedComparison
from mien.model_card import DEDUPLICATED, MAJORITY_VOTE, OWN_LABELS, STRICT

NONE = "–"  # an empty cell of a table
CONTAMINATED = "†"  # marks a model whose metrics are implausible
TRUTHS = {OWN_LABELS: "data's own labels", MAJORITY_VOTE: "majority vote (FER+)"}  # in sentences, after an article
TRUTH_COLUMN = {OWN_LABELS: "labels", MAJORITY_VOTE: "majority vote"}  # in tables
PROTOCOL_NOTES = {
    DEDUPLICATED: f"{DEDUPLICATED}: without faces that have a byte-identical duplicate in training",
    STRICT: f"{STRICT}: also without faces that have a near-duplicate in training",
}
NO_MAJORITY = "majority vote: without faces that have no majority among these classes"
SELECTIONS = {EPOCH: "selected the epoch", TEMPERATURE: "fitted the temperature"}
# Fields of a recipe that change what the training loss measures.
LOSS_FIELDS = ("label_smoothing", "class_weights", "logit_adjustment", "balanced_sampling")


def percent(fraction: float) -> str:
    """Return a fraction in percent with one digit and without unit: `62.2`; a negative difference as `−0.3`."""
    return f"{100 * fraction:.1f}".replace("-", "−")


def spread(figure: Spread, scale: float = 100, digits: int = 1) -> str:
    """Return mean ± standard deviation over seeds: `62.2 ± 0.4`; the mean alone for a single seed."""
    mean = f"{scale * figure.mean:.{digits}f}".replace("-", "−")
    return mean if figure.std is None else f"{mean} ± {scale * figure.std:.{digits}f}"


def span(interval: Interval | Evaluation) -> str:
    """Return the ends of an interval in percent: `61.0 to 63.4`; of an evaluation, those of its accuracy."""
    return f"{percent(interval.low)} to {percent(interval.high)}"


def points_span(interval: Interval | Difference) -> str:
    """Return the ends of the interval of a difference in points: `−0.4 to +1.8`."""
    return f"{points(interval.low)} to {points(interval.high)}"


def sentence_case(text: str) -> str:
    """Return `text` with its first letter in upper case and the others unchanged."""
    return text[:1].upper() + text[1:]


def same_or_each(numbers: Sequence[int]) -> str:
    """Return `9` if all numbers are 9, else `9, 7, 8`."""
    return ", ".join(map(str, numbers if len(set(numbers)) > 1 else numbers[:1]))


def setting(value: object) -> str:
    """Return a field of a recipe or a machine in short: `flip(p=0.5) + cutout(holes=2)`, `0.003`, `none`."""
    if isinstance(value, str):
        return value or "none"
    if isinstance(value, (list, tuple)):
        return " + ".join(setting(part) for part in value) or "none"
    if isinstance(value, Mapping) and "name" in value:
        arguments = ", ".join(f"{k}={setting(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']}({arguments})" if arguments else str(value["name"])
    return json.dumps(value, default=str)


def protocol_notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return a note on each protocol and ground truth among `evaluations` that leaves out faces or classes."""
    protocols = {e.protocol for e in evaluations}
    notes = [note for protocol, note in PROTOCOL_NOTES.items() if protocol in protocols]
    notes += [NO_MAJORITY] * any(e.against == MAJORITY_VOTE for e in evaluations)
    missing = list(dict.fromkeys(name for e in evaluations for name in e.missing_classes))
    return notes + [missing_note(missing)] * bool(missing)


def missing_note(classes: Sequence[str]) -> str:
    """Return the note on macro-F1 over classes without faces."""
    return f"no faces of {', '.join(classes)}: F1 counts as 0 in macro-F1"


def missing_notes(comparison: Comparison) -> list[str]:
    """Return a note for each split of a comparison that has no faces of some class."""
    notes = []
    for split in comparison.splits:
        support = comparison.arms[0].scores[split].support
        missing = [name for name, n in zip(comparison.data.classes, support, strict=True) if not n]
        notes += [f"in {split} {missing_note(missing)}"] * bool(missing)
    return notes


def selection_note(evaluation: Evaluation) -> str:
    """Return the note on an evaluation whose split also selected something of the model."""
    selections = " and ".join(SELECTIONS[part] for part in evaluation.selected_on)
    return f"{SELECTED_ON}: this split also {selections}, so its metrics are optimistic"


def projected_note(projected: Sequence[str]) -> str:
    """Return the note on models with other classes than the data."""
    return f"restricted to the classes of the data: {', '.join(projected)}"


def marks(evaluation: Evaluation, contaminated: Collection[str]) -> str:
    """Return the marks behind a model's name: `*` if the split selected something of it, `†` if it is implausible."""
    return "*" * bool(evaluation.selected_on) + CONTAMINATED * (evaluation.model in contaminated)


def main_confusions(counts_KK: Ints, classes: Sequence[str], most: int = 3) -> str:
    """Return the largest entries off the diagonal of a confusion matrix, in percent of their row, as a sentence."""
    sums_K1 = counts_KK.sum(1, keepdims=True)
    share_KK = np.divide(counts_KK, sums_K1, out=np.zeros(counts_KK.shape), where=sums_K1 > 0)
    np.fill_diagonal(share_KK, 0)
    largest = np.argsort(share_KK, axis=None)[::-1][:most]
    cells = [(i // len(classes), i % len(classes)) for i in largest.tolist() if share_KK.flat[i] > 0]
    parts = [f"{classes[true]} as {classes[wrong]} ({100 * share_KK[true, wrong]:.0f} %)" for true, wrong in cells]
    return f"Most frequent: {', '.join(parts)}." if parts else "No confusions."


def class_rows(classes: Sequence[str], scores: Score | PerClass) -> list[list[str]]:
    """Return a row for each class: name, precision, recall and F1 in percent, and number of faces."""
    cells = zip(classes, scores.precision, scores.recall, scores.f1, scores.support, strict=True)
    return [[name, percent(p), percent(r), percent(f), f"{n:,}"] for name, p, r, f, n in cells]


def class_counts(data: DatasetSummary) -> tuple[list[str], list[list[str]]]:
    """Return the labelled splits and, for each class and in total, a row of counts with their fraction of the split."""
    splits = [split for split, counts in data.counts.items() if sum(counts)]
    totals = [sum(data.counts[split]) for split in splits]
    rows = []
    for k, name in enumerate(data.classes):
        counts = [data.counts[split][k] for split in splits]
        rows.append([name, *(f"{n:,} ({percent(n / total)} %)" for n, total in zip(counts, totals, strict=True))])
    return [data.split_titles[split] for split in splits], [*rows, ["all", *(f"{total:,}" for total in totals)]]


@dataclass(frozen=True)
class RecipeDifferences:
    """How the recipes of several arms differ.

    Attributes:
        rows: Rows of field and value in each arm, for the fields that differ.
        shared: Field and value of the other fields.
        loss_fields: Fields that differ and change what the training loss measures.
    """

    rows: list[list[str]]
    shared: list[str]
    loss_fields: list[str]


def recipe_differences(arms: Sequence[ArmResult]) -> RecipeDifferences:
    """Compare the recipes of `arms` field by field."""
    first = arms[0].recipe
    fields = [f for f in dict.fromkeys(k for arm in arms for k in arm.recipe) if f != "name"]
    differing = [f for f in fields if any(arm.recipe.get(f) != first.get(f) for arm in arms)]
    return RecipeDifferences(
        rows=[[f, *(setting(arm.recipe.get(f, NONE)) for arm in arms)] for f in differing],
        shared=[f"{f} {setting(first[f])}" for f in fields if f not in differing],
        loss_fields=[f for f in LOSS_FIELDS if len({arm.recipe.get(f, 0.0) for arm in arms}) > 1],
    )


def where(evaluation: Evaluation) -> str:
    """Return the faces and the ground truth of an evaluation: `on 300 faces of fer2013, val, by the ...`."""
    e = evaluation
    return f"on {e.n:,} faces of {e.data}, {e.split}, by the {TRUTHS[e.against]}"


def pair_sentence(pair: PairedComparison, place: str = "") -> str:
    """Return the result of a paired comparison as a sentence.

    Args:
        pair: Comparison of two models.
        place: The faces, as `where` returns them; without it, they and the first model are not named.
    """
    d = pair.accuracy
    interval = f"95 % interval {points_span(d)}"
    other, at = (f" {pair.a}", f" {place}") if place else ("", "")
    if pair.finding == NO_DIFFERENCE:
        models = f"between {pair.b} and{other}" if place else f"for {pair.b}"
        return f"No significant difference {models}{at}: {points(d.mean)} points ({interval})."
    size, sign = f"{abs(100 * d.mean):.1f}", "higher" if d.mean > 0 else "lower"
    return f"{pair.b} is {size} points of accuracy {sign}{' than' + other if place else ''}{at} ({interval})."


def pair_cells(pair: PairedComparison) -> tuple[str, str, str]:
    """Return the difference in accuracy in points, its interval, and McNemar's mid-p value."""
    p = "< 0.001" if pair.p < 0.001 else f"{pair.p:.3f}"
    return points(pair.accuracy.mean), points_span(pair.accuracy), p


def robustness_difference(model: Robustness, first: Robustness) -> str:
    """Return mean accuracy under corruption minus that of `first` in points, with its interval."""
    d = difference(model, first)
    return f"{points(d.mean)} ({points_span(d)})"


def detector_loop_rows(loop: DetectorLoop) -> list[tuple[str, str]]:
    """Return name and value of each metric of the evaluation with face detection."""
    loss = loop.accuracy_loss
    return [
        (f"detected by {loop.detector}", f"{loop.found:,} ({percent(loop.found / loop.n)} %)"),
        ("accuracy on detected faces, original crop", f"{percent(loop.original)} %"),
        ("accuracy on detected faces, crop at the detected box", f"{percent(loop.accuracy)} %"),
        (
            "loss from the detected box, points",
            f"{points(loss.mean)} ({points_span(loss)})",
        ),
        ("accuracy on all faces, missed faces counted as wrong", f"{percent(loop.accuracy_of_all)} %"),
    ]


def trial_values(trial: Trial, search: Search) -> list[str]:
    """Return the values of a trial in the order of the search space; empty text where it has none yet."""
    return [format_value(trial.values[field]) if field in trial.values else "" for field in search.space]
