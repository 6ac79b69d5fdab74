"""Evaluations and comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from mien.evaluation.comparison.arms import ArmResult
from mien.evaluation.comparison.benchmark import Benchmark, ProtocolResult
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.comparison.search import DONE, Search
from mien.evaluation.confidence import COVERAGES
from mien.evaluation.detector_loop import DetectorLoop
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.report.text import (
    CONTAMINATED,
    NONE,
    TRUTH_COLUMN,
    TRUTHS,
    class_rows,
    detector_loop_rows,
    marks,
    missing_note,
    missing_notes,
    pair_cells,
    percent,
    projected_note,
    protocol_notes,
    selection_note,
    sentence_case,
    span,
    spread,
    trial_values,
)
from mien.evaluation.robustness import Robustness
from mien.evaluation.selection import SELECTED_ON
from mien.model_card import OWN_LABELS

MAX_TRIALS = 12  # latest trials of a search in its table


def evaluation_table(evaluation: Evaluation) -> Table:
    """Return the table of one evaluation: a row per class, the metrics of the whole split in the caption."""
    e = evaluation
    truth = f", {TRUTHS[e.against]}" if e.against != OWN_LABELS else ""
    caption = (
        f"accuracy {percent(e.accuracy)} % (95 % interval {span(e)}, for variation of faces)\n"
        f"macro-F1 {percent(e.macro_f1)} %, log loss {e.log_loss:.3f}\n"
        f"calibration error {percent(e.ece)} %, class-balanced {percent(e.balanced_ece)} %"
    )
    if e.note:
        caption = f"{escape(sentence_case(e.note))}\n{caption}"
    notes = [missing_note(e.missing_classes)] * bool(e.missing_classes) + [selection_note(e)] * bool(e.selected_on)
    table = Table(
        title=f"{_title(e)}: {e.n:,} faces{truth}",
        caption="\n".join([caption, *map(escape, notes)]),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("class")
    for heading in ("precision %", "recall %", "F1 %", "faces"):
        table.add_column(heading, justify="right")
    for name, *cells in class_rows(e.labels.names, e.per_class):
        table.add_row(escape(name), *cells)
    return table


def protocols_table(model_evaluation: ModelEvaluation) -> Table:
    """Return the table of all protocols and ground truths, a row each, for 80 columns."""
    e = model_evaluation.official
    notes = [escape(note) for note in protocol_notes(model_evaluation.evaluations)]
    notes += [f"* {selection_note(e)}"] * bool(e.selected_on)
    table = _compact_table(_title(e), notes)
    for heading in ("faces", "ground truth"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("n", "accuracy\n%", "95 %\ninterval", "macro-F1\n%", "log\nloss", "ECE\n%"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for e in model_evaluation.evaluations:
        metrics = (percent(e.accuracy), span(e), percent(e.macro_f1), f"{e.log_loss:.3f}", percent(e.ece))
        table.add_row(e.protocol + "*" * bool(e.selected_on), TRUTH_COLUMN[e.against], f"{e.n:,}", *metrics)
    return table


def benchmark_tables(benchmark: Benchmark) -> list[Table]:
    """Return a table for each protocol and ground truth, a row per model, for 80 columns."""
    return [_protocol_table(result, benchmark) for result in benchmark.rounds]


def _protocol_table(result: ProtocolResult, benchmark: Benchmark) -> Table:
    first = result.evaluations[0]
    notes = [escape(note) for note in protocol_notes(result.evaluations)]
    if any(e.selected_on for e in result.evaluations):
        notes.append(
            f"* {SELECTED_ON}: this split also selected the epoch or the temperature; its metrics are optimistic"
        )
    if benchmark.projected:
        notes.append(escape(projected_note(benchmark.projected)))
    if benchmark.contaminated:
        notes.append(f"{CONTAMINATED} implausible, see below")
    table = _compact_table(
        f"{escape(benchmark.data)}, {benchmark.split}, {first.protocol}, by the {TRUTHS[first.against]}: "
        f"{first.n:,} faces",
        notes,
    )
    table.add_column("model", vertical="bottom", overflow="fold")  # truncated names may look the same
    headings = ("accuracy\n%", "95 %\ninterval", "macro-F1\n%", "ECE\n%", "minus\nthe first", "95 %\ninterval", "p")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for e, pair in zip(result.evaluations, (None, *result.pairs), strict=True):
        name = escape(e.model) + marks(e, benchmark.contaminated)
        difference = ("", "", "") if pair is None else pair_cells(pair)
        table.add_row(name, percent(e.accuracy), span(e), percent(e.macro_f1), percent(e.ece), *difference)
    return table


def selective_accuracy_table(model_evaluation: ModelEvaluation) -> Table:
    """Return the table of accuracy on the most confident faces, a row per protocol and ground truth."""
    table = _compact_table("accuracy % on the most confident faces, by coverage (their fraction of all faces)")
    for heading in ("faces", "ground truth"):
        table.add_column(heading, no_wrap=True)
    for heading in (*(f"{100 * share:.0f} %" for share in COVERAGES), "AURC %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for e in model_evaluation.evaluations:
        cells = (percent(e.calibration.accuracy_at_coverage(share)) for share in COVERAGES)
        table.add_row(e.protocol, TRUTH_COLUMN[e.against], *cells, percent(e.calibration.aurc))
    return table


def robustness_table(models: Sequence[Robustness]) -> Table:
    """Return the table of robustness: a row per corruption with the accuracy at its five severities, and the mean."""
    table = Table(title="accuracy % on corrupted faces, from mild to severe", title_justify="left")
    table.add_column("corruption", no_wrap=True)
    for model in models:
        table.add_column(escape(model.model), justify="right")
    table.add_row("none", *(percent(model.unaltered) for model in models), end_section=True)
    for name in models[0].accuracy:
        table.add_row(name, *(" ".join(percent(a) for a in model.accuracy[name]) for model in models))
    table.add_section()
    table.add_row("mean of all", *(f"{percent(model.mean.mean)} ({span(model.mean)})" for model in models))
    return table


def detector_table(detector_loop: DetectorLoop) -> Table:
    """Return the table of accuracy with face detection."""
    table = Table(
        title=f"{detector_loop.n:,} faces pasted onto canvases and detected", title_justify="left", show_header=False
    )
    for name, value in detector_loop_rows(detector_loop):
        table.add_row(name, value)
    return table


def confusion_table(evaluation: Evaluation) -> Table:
    """Return the confusion matrix as a table of counts, true classes in rows, predicted classes in columns."""
    table = Table(title="true class in rows, predicted class in columns", title_justify="left")
    table.add_column("")
    for name in evaluation.labels.names:
        table.add_column(escape(name), justify="right")
    for name, row in zip(evaluation.labels.names, evaluation.confusion_KK, strict=True):
        table.add_row(escape(name), *(f"{count:,}" for count in row))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Return the table of a comparison, a row per arm and split, for 80 columns."""
    notes = []
    if any(comparison.epoch_selection.uses(split) for split in comparison.splits):
        notes.append(f"* {SELECTED_ON}: this split also selected the epoch, so its metrics are optimistic")
    notes += map(escape, missing_notes(comparison))
    table = _compact_table(f"{escape(comparison.data.name)}, {comparison.epoch_selection.when}", notes)
    for heading in ("arm", "split"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("accuracy\n%", "95 %\ninterval", "macro-F1\n%", "train\nloss", "peak\nepoch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in comparison.arms:
        for split in comparison.splits:
            table.add_row(escape(arm.arm), split + "*" * arm.epoch_selection.uses(split), *_arm_cells(arm, split))
    return table


def search_table(search: Search) -> Table:
    """Return the table of a search for 80 columns: the best trial, the recipe's own setting and the latest trials."""
    trials = {t.number: t for t in (search.best, search.own, *search.trials[-MAX_TRIALS:]) if t is not None}
    table = Table(title=search.sentence, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("trial", *search.space, "epochs", "accuracy %"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("")
    for number, trial in sorted(trials.items()):
        notes = ["best"] if trial is search.best else ["the recipe's own"] if trial.own else []
        notes += [trial.state] if trial.state != DONE else []
        accuracy = "" if trial.accuracy is None else percent(trial.accuracy)
        cells = [escape(value) for value in trial_values(trial, search)]
        table.add_row(str(number), *cells, str(len(trial.accuracies)), accuracy, ", ".join(notes))
    return table


def _compact_table(title: str, notes: Sequence[str] = ()) -> Table:
    return Table(
        title=title, caption="\n".join(notes) or None, title_justify="left", caption_justify="left",
        box=box.SIMPLE_HEAD, padding=0,
    )  # fmt: skip


def _title(e: Evaluation) -> str:
    names = " on ".join(escape(part) for part in (e.model, e.data) if part)
    mirrored = ", averaged with the mirror image" if e.tta == "flip" else ""
    return f"{names + ', ' if names else ''}{escape(e.split)}{mirrored}"


def _arm_cells(arm: ArmResult, split: str) -> tuple[str, ...]:
    score = arm.scores[split]
    return (
        spread(score.accuracy),
        span(score.accuracy_interval),
        spread(score.macro_f1),
        f"{arm.at_selected_epoch('train_loss').mean:.2f}",
        NONE if arm.peak_of_mean is None else str(arm.peak_of_mean),
    )
