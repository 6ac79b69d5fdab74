"""Evaluations and comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from mien.evaluation.comparison.arms import ArmResult
from mien.evaluation.comparison.benchmark import Benchmark, ProtocolResult
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.comparison.curves import Spread
from mien.evaluation.comparison.verdict import points
from mien.evaluation.confidence import COVERAGES
from mien.evaluation.detector_loop import DetectorLoop
from mien.evaluation.evaluate import EPOCH, TEMPERATURE, Evaluation
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.robustness import Robustness
from mien.evaluation.selection import SELECTED_ON
from mien.evaluation.statistics.intervals import Interval
from mien.evaluation.statistics.paired import PairedComparison
from mien.model_card import DEDUPLICATED, MAJORITY_VOTE, OWN_LABELS, STRICT

TRUTHS = {OWN_LABELS: "data's own labels", MAJORITY_VOTE: MAJORITY_VOTE}  # as they are spoken of, with an article
CONTAMINATED = "†"  # behind the name of a package whose figures are implausible
LEFT_OUT = {
    DEDUPLICATED: f"{DEDUPLICATED}: without faces that have a byte-identical duplicate in training",
    STRICT: f"{STRICT}: nor one that was cut, sized, stored, lit or mirrored anew",
}
NO_MAJORITY = f"{MAJORITY_VOTE}: without faces that have none among these classes"
CHOSE = {EPOCH: "chose the epoch", TEMPERATURE: "fitted the temperature"}


def evaluation_table(evaluation: Evaluation) -> Table:
    """One row per class, and the figures of the whole split in title and caption."""
    e, c = evaluation, evaluation.per_class
    against = f", {e.against}" if e.against != OWN_LABELS else ""
    table = Table(
        title=f"{_title(e)}: {e.n:,} faces{against}",
        caption=f"accuracy {percent(e.accuracy)} % (95 % interval {percent(e.low)} to {percent(e.high)}, faces only)\n"
        f"macro-F1 {percent(e.macro_f1)} %, negative log-likelihood {e.log_loss:.3f}, calibration error "
        f"{percent(e.ece)} %, "
        f"class-balanced {percent(e.balanced_ece)} %" + (f"\n{selected_on(e)}" if e.selected_on else ""),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("class")
    for heading in ("precision %", "recall %", "F1 %", "faces"):
        table.add_column(heading, justify="right")
    for name, p, r, f, n in zip(e.labels.names, c.precision, c.recall, c.f1, c.support, strict=True):
        table.add_row(escape(name), percent(p), percent(r), percent(f), f"{n:,}")
    return table


def protocols_table(model_evaluation: ModelEvaluation) -> Table:
    """One row per protocol and truth; narrow enough for a terminal of 80 columns."""
    e = model_evaluation.official
    notes = left_out(model_evaluation.evaluations)
    notes += [f"* {selected_on(e)}"] * bool(e.selected_on)
    table = Table(
        title=_title(e), caption="\n".join(notes) or None, title_justify="left", caption_justify="left",
        box=box.SIMPLE_HEAD, padding=0,
    )  # fmt: skip
    for heading in ("faces", "judged by"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("n", "accuracy\n%", "95 %\ninterval", "macro-F1\n%", "NLL", "ECE\n%"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for e in model_evaluation.evaluations:
        mark, span = "*" * bool(e.selected_on), f"{percent(e.low)} to {percent(e.high)}"
        figures = (percent(e.accuracy), span, percent(e.macro_f1), f"{e.log_loss:.3f}", percent(e.ece))
        table.add_row(e.protocol + mark, e.against, f"{e.n:,}", *figures)
    return table


def benchmark_tables(found: Benchmark) -> list[Table]:
    """For each protocol and truth the packages side by side; narrow enough for a terminal of 80 columns."""
    return [_round_table(one, found) for one in found.rounds]


def _round_table(one: ProtocolResult, found: Benchmark) -> Table:
    first = one.evaluations[0]
    truth = TRUTHS[first.against]
    table = Table(
        title=f"{escape(found.data)}, {found.split}, {first.protocol}, by the {truth}: {first.n:,} faces",
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=0,
    )  # fmt: skip
    table.add_column("package", vertical="bottom", overflow="fold")  # cut off, two names may look alike
    for heading in (
        "accuracy\n%",
        "95 %\ninterval",
        "macro-F1\n%",
        "ECE\n%",
        "more than\nthe first",
        "95 %\ninterval",
        "p",
    ):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for e, held in zip(one.evaluations, (None, *one.pairs), strict=True):
        figures = (percent(e.accuracy), f"{percent(e.low)} to {percent(e.high)}", percent(e.macro_f1), percent(e.ece))
        table.add_row(
            escape(e.model) + marks(e, found.contaminated),
            *figures,
            *(("", "", "") if held is None else pair_cells(held)),
        )
    notes = left_out(one.evaluations)
    if any(e.selected_on for e in one.evaluations):
        notes.append(f"* {SELECTED_ON}: this split also chose something of it; optimistic")
    if found.projected:
        notes.append(escape(projected_note(found.projected)))
    if found.contaminated:
        notes.append(f"{CONTAMINATED} implausible, as is said below")
    table.caption = "\n".join(notes) or None
    return table


def projected_note(projected: Sequence[str]) -> str:
    """The note on packages whose classes are others than the data's."""
    return f"asked for the likeliest of the data's classes alone: {', '.join(projected)}"


def pair_cells(held: PairedComparison) -> tuple[str, str, str]:
    """What one package has more than another: points of accuracy, their interval, and McNemar's mid-p."""
    d = held.accuracy
    p = "< 0.001" if held.p < 0.001 else f"{held.p:.3f}"
    return points(d.mean), f"{points(d.low)} to {points(d.high)}", p


def selective_accuracy_table(model_evaluation: ModelEvaluation) -> Table:
    """Accuracy on the surest faces, one row per protocol and truth."""
    table = Table(title="accuracy % on the surest faces", title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for heading in ("faces", "judged by"):
        table.add_column(heading, no_wrap=True)
    for heading in (*(f"{100 * share:.0f} %" for share in COVERAGES), "AURC %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for e in model_evaluation.evaluations:
        kept = (percent(e.calibration.accuracy_at_coverage(share)) for share in COVERAGES)
        table.add_row(e.protocol, e.against, *kept, percent(e.calibration.aurc))
    return table


def robustness_table(models: Sequence[Robustness]) -> Table:
    """One row per corruption, accuracy of each model at its five strengths; the mean over all of them below."""
    table = Table(title="accuracy % on altered faces, from mild to strong", title_justify="left")
    table.add_column("what", no_wrap=True)
    for model in models:
        table.add_column(escape(model.model), justify="right")
    table.add_row("as they are", *(percent(model.unaltered) for model in models), end_section=True)
    for name in models[0].accuracy:
        table.add_row(name, *(" ".join(percent(a) for a in model.accuracy[name]) for model in models))
    table.add_section()
    table.add_row("mean of all", *(f"{percent(model.mean.mean)} ({span(model.mean)})" for model in models))
    return table


def detector_table(detector_loop: DetectorLoop) -> Table:
    """What the detector's box costs."""
    table = Table(title=f"{detector_loop.n:,} faces laid into images", title_justify="left", show_header=False)
    for name, told in detector_loop_rows(detector_loop):
        table.add_row(name, told)
    return table


def detector_loop_rows(detector_loop: DetectorLoop) -> list[tuple[str, str]]:
    """Each figure of the detector in the loop, in words and in numbers."""
    lost = detector_loop.accuracy_loss
    return [
        (
            f"found by {detector_loop.detector}",
            f"{detector_loop.found:,} ({percent(detector_loop.found / detector_loop.n)} %)",
        ),
        ("accuracy on these, as the data set cut them out", f"{percent(detector_loop.original)} %"),
        ("accuracy on these, at the detector's box", f"{percent(detector_loop.accuracy)} %"),
        ("lost by the box, points", f"{points(lost.mean)} ({points(lost.low)} to {points(lost.high)})"),
        ("accuracy on all, a face not found being a mistake", f"{percent(detector_loop.accuracy_of_all)} %"),
    ]


def confusion_table(evaluation: Evaluation) -> Table:
    """Counts, true class in rows, class predicted in columns."""
    table = Table(title="true class in rows, class predicted in columns", title_justify="left")
    table.add_column("")
    for name in evaluation.labels.names:
        table.add_column(escape(name), justify="right")
    for name, row in zip(evaluation.labels.names, evaluation.confusion_KK, strict=True):
        table.add_row(escape(name), *(f"{count:,}" for count in row))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """One row per arm and split at the judged epoch; narrow enough for a terminal of 80 columns."""
    title = f"{escape(comparison.data.name)}, {comparison.epoch_selection.when}"
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=0)
    if any(comparison.epoch_selection.uses(split) for split in comparison.splits):
        table.caption = f"* {SELECTED_ON}: this split also chose the epoch; optimistic"
    for heading in ("arm", "split"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("accuracy\n%", "95 %\ninterval", "macro-F1\n%", "train\nloss", "peak\nepoch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in comparison.arms:
        for split in comparison.splits:
            table.add_row(escape(arm.arm), split + "*" * arm.epoch_selection.uses(split), *_cells(arm, split))
    return table


def marks(one: Evaluation, contaminated: Collection[str]) -> str:
    """Behind the name of a package: a star where the split chose something of it, a dagger where it is doubted."""
    return "*" * bool(one.selected_on) + CONTAMINATED * (one.model in contaminated)


def left_out(evaluations: Sequence[Evaluation]) -> list[str]:
    """What the protocols and truths in use leave out, a note each."""
    there = {one.protocol for one in evaluations}
    notes = [note for protocol, note in LEFT_OUT.items() if protocol in there]
    return notes + [NO_MAJORITY] * any(one.against == MAJORITY_VOTE for one in evaluations)


def percent(share: float) -> str:
    """A share in hundredths with one digit: `62.2`; a difference below zero as `−0.3`."""
    return f"{100 * share:.1f}".replace("-", "−")


def spread(figure: Spread, scale: float = 100, digits: int = 1) -> str:
    """Mean ± standard deviation over seeds: `62.2 ± 0.4`; the mean alone for a single seed."""
    mean = f"{scale * figure.mean:.{digits}f}".replace("-", "−")
    return mean if figure.std is None else f"{mean} ± {scale * figure.std:.{digits}f}"


def span(interval: Interval) -> str:
    """`61.0 to 63.4`, in hundredths."""
    return f"{percent(interval.low)} to {percent(interval.high)}"


def sentence_case(text: str) -> str:
    """`text` with its first letter in upper case and the others as they are."""
    return text[:1].upper() + text[1:]


def _title(e: Evaluation) -> str:
    names = " on ".join(escape(part) for part in (e.model, e.data) if part)
    return f"{names + ', ' if names else ''}{escape(e.split)}{', with the mirror image' if e.tta == 'flip' else ''}"


def selected_on(e: Evaluation) -> str:
    """What the split chose of the model, in words."""
    return f"{SELECTED_ON}: this split also {' and '.join(CHOSE[what] for what in e.selected_on)}; optimistic"


def _cells(arm: ArmResult, split: str) -> tuple[str, ...]:
    score = arm.scores[split]
    return (
        spread(score.accuracy),
        span(score.accuracy_interval),
        spread(score.macro_f1),
        f"{arm.at_selected_epoch('train_loss').mean:.2f}",
        "–" if arm.peak_of_mean is None else str(arm.peak_of_mean),
    )
