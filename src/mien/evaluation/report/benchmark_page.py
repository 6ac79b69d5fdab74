"""Report of a benchmark as one HTML file."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from mien.evaluation.comparison.benchmark import Benchmark, ProtocolResult
from mien.evaluation.comparison.verdict import points
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.report import curves, plots, sections
from mien.evaluation.report.html import Markup, bullets, document, element, image, section, side_by_side, table
from mien.evaluation.report.terminal import (
    CONTAMINATED,
    TRUTHS,
    left_out,
    marks,
    pair_cells,
    percent,
    projected_note,
    selected_on,
    sentence_case,
)
from mien.evaluation.statistics.paired import NO_DIFFERENCE, RESAMPLES, PairedComparison
from mien.model_card import OFFICIAL


def benchmark_page(benchmark: Benchmark) -> str:
    """A whole HTML page that refers to nothing outside itself.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    official = [r for r in benchmark.rounds if r.evaluations[0].protocol == OFFICIAL]
    names = ", ".join(e.model for e in benchmark.rounds[0].evaluations)
    parts = [
        _header(benchmark),
        section(
            "On the same faces",
            _images(official),
            *(_figures(told, benchmark.contaminated) for told in benchmark.rounds),
            id_="figures",
        ),
        section(
            "Held against the first", *(_pairs(told, benchmark.contaminated) for told in benchmark.rounds), id_="pairs"
        ),
        section("What is mistaken for what", _confusions(benchmark.rounds[0]), id_="confusion_matrix"),
        section("Class by class", *map(_classes, official), id_="classes"),
        section("How to read this", _caveats(benchmark), id_="caveats"),
    ]
    return document(f"{names} on {benchmark.data}", *parts)


def sentence(held: PairedComparison, e: Evaluation) -> str:
    """What the pair shows, in words."""
    where = _where(e)
    span = f"95 % interval {points(held.accuracy.low)} to {points(held.accuracy.high)}"
    if held.finding == NO_DIFFERENCE:
        return (
            f"No difference shown between {held.b} and {held.a} {where}: {points(held.accuracy.mean)} points ({span})."
        )
    way = "more" if held.accuracy.mean > 0 else "less"
    size = f"{abs(100 * held.accuracy.mean):.1f}"
    return f"{held.b} has {size} points of accuracy {way} than {held.a} {where} ({span})."


def _header(benchmark: Benchmark) -> Markup:
    first = benchmark.rounds[0]
    e = first.evaluations[0]
    kicker = element("p", f"mien benchmark · {benchmark.data} · {benchmark.split}", class_="kicker")
    banners = [element("p", f"Implausible: {s}.", class_="banner") for s in benchmark.contamination]
    if benchmark.data == "sketch":
        banners.append(sections.synthetic_data_note(benchmark.data))
    if len(first.pairs) == 1:
        return element("header", kicker, element("h1", sentence(first.pairs[0], e)), *banners)
    title = f"{len(first.pairs)} packages held against {first.pairs[0].a}: accuracy {_where(e)}."
    said = [element("p", _brief(held, benchmark.contaminated), class_="verdict") for held in first.pairs]
    # Who is doubted is said before the verdicts, lest the best of them be believed.
    return element("header", kicker, element("h1", title), *banners, *said)


def _brief(held: PairedComparison, contaminated: Collection[str]) -> str:
    """What one of several pairs shows, where the faces and the other package are known already."""
    d = held.accuracy
    span = f"(95 % interval {points(d.low)} to {points(d.high)})"
    if held.finding == NO_DIFFERENCE:
        said = f"No difference shown for {held.b}: {points(d.mean)} points {span}."
    else:
        said = f"{held.b} has {abs(100 * d.mean):.1f} points {'more' if d.mean > 0 else 'less'} {span}."
    return f"{said} Implausible, see above." if held.b in contaminated else said


def _where(e: Evaluation) -> str:
    return f"on {e.n:,} faces of {e.data}, {e.split}, by the {TRUTHS[e.against]}"


def _images(official: list[ProtocolResult]) -> Markup:
    def one(told: ProtocolResult) -> Markup:
        said = "; ".join(f"{e.model} {percent(e.accuracy)}" for e in told.evaluations)
        truth = TRUTHS[told.evaluations[0].against]
        return image(
            partial(curves.accuracies, told.evaluations),
            f"Accuracy in percent by the {truth}: {said}.",
            f"By the {truth}, with 95 % intervals. Whether two differ is read from the paired differences below, not "
            "from whether these intervals overlap.",
        )

    return side_by_side(*map(one, official))


def _figures(told: ProtocolResult, contaminated: Collection[str]) -> Markup:
    head = [
        "package",
        "accuracy %",
        "95 % interval",
        "balanced %",
        "macro-F1 %",
        "top-2 %",
        "log loss",
        "Brier",
        "ECE %",
    ]
    rows = [
        [
            e.model + marks(e, contaminated),
            percent(e.accuracy),
            f"{percent(e.low)} to {percent(e.high)}",
            percent(e.balanced_accuracy),
            percent(e.macro_f1),
            percent(e.top2),
            f"{e.log_loss:.3f}",
            f"{e.brier:.3f}",
            percent(e.ece),
        ]
        for e in told.evaluations
    ]
    return table(sentence_case(_title(told)), head, rows)


def _pairs(told: ProtocolResult, contaminated: Collection[str]) -> Markup:
    head = [
        f"minus {told.pairs[0].a}",
        "finding",
        "accuracy, points",
        "95 % interval",
        "McNemar's p",
        f"only {told.pairs[0].a} right",
        "only it right",
        "macro-F1, points",
        "95 % interval",
    ]
    rows = [
        [
            f"{held.b}{CONTAMINATED if held.b in contaminated else ''}",
            held.finding,
            *pair_cells(held),
            f"{held.only_a:,}",
            f"{held.only_b:,}",
            points(held.macro_f1.mean),
            f"{points(held.macro_f1.low)} to {points(held.macro_f1.high)}",
        ]
        for held in told.pairs
    ]
    return table(sentence_case(_title(told)), head, rows, words=2)


def _confusions(told: ProtocolResult) -> Markup:
    def one(e: Evaluation) -> Markup:
        said = sections.main_confusions(e.confusion_KK, e.labels.names)
        return image(
            lambda theme: plots.confusion_matrix(e.confusion_KK, e.labels.names, e.model, theme, "counts below"),
            f"Confusion matrix of {e.model}. {said}",
            f"{e.model}. {said}",
        )

    return side_by_side(*map(one, told.evaluations))


def _classes(told: ProtocolResult) -> Markup:
    first = told.evaluations[0]
    rows = [
        [name, *(percent(e.per_class.f1[k]) for e in told.evaluations), f"{first.per_class.support[k]:,}"]
        for k, name in enumerate(first.labels.names)
    ]
    rows.append(["macro-F1", *(percent(e.macro_f1) for e in told.evaluations), f"{first.n:,}"])
    return table(f"F1 in percent, {_title(told)}", ["class", *(e.model for e in told.evaluations), "faces"], rows)


def _caveats(benchmark: Benchmark) -> Markup:
    said = [
        f"The intervals of the differences are those of {RESAMPLES:,} paired resamples of the faces; p is McNemar's "
        "mid-p. Neither covers another seed, other data or wrong labels, nor are they adjusted for their number.",
        "All packages were asked for the same crops. A package that was made for other crops, colors or sizes may do "
        "better on its own ground.",
        "An expression is not a feeling: the figures say how well a package names what raters see.",
    ]
    if benchmark.data == "fer2013":
        said.insert(
            2,
            "FER2013's labels are noisy: what is wrong by the labels may be right by what most raters see, and the "
            "other way round.",
        )
    if benchmark.projected:
        said.append(f"{sentence_case(projected_note(benchmark.projected))}.")
    said[:0] = [f"{note}." for note in left_out([r.evaluations[0] for r in benchmark.rounds])]
    said += [f"{CONTAMINATED} {name}: implausible, for the reasons at the top." for name in benchmark.contaminated]
    marked = [e for e in benchmark.rounds[0].evaluations if e.selected_on]
    said += [f"* {e.model}: {selected_on(e)}." for e in marked]
    return bullets(said)


def _title(told: ProtocolResult) -> str:
    e = told.evaluations[0]
    return f"{e.protocol}, by the {TRUTHS[e.against]}, {e.n:,} faces"
