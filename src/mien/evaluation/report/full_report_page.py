"""Report of the full evaluation of one model as one HTML file."""

from __future__ import annotations

from functools import partial

from mien.evaluation.comparison.verdict import points
from mien.evaluation.confidence import COVERAGES, OWN
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.detector_loop import DetectorLoop
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.full_report import EvaluationReport
from mien.evaluation.report import curves, plots, sections
from mien.evaluation.report.html import (
    Markup,
    bullets,
    document,
    element,
    image,
    paragraphs,
    section,
    side_by_side,
    table,
)
from mien.evaluation.report.terminal import (
    TRUTHS,
    detector_loop_rows,
    left_out,
    percent,
    selected_on,
    sentence_case,
    span,
)
from mien.evaluation.robustness import Robustness, difference
from mien.model_card import MAJORITY_VOTE, OFFICIAL


def full_report_page(evaluation_report: EvaluationReport) -> str:
    """A whole HTML page that refers to nothing outside itself.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    judged = evaluation_report.model_evaluation.evaluations
    official = [e for e in judged if e.protocol == OFFICIAL]
    robust = evaluation_report.robustness
    parts = [
        _header(judged[0]),
        section("Every way to judge it", _protocols(judged), id_="protocols"),
        section("How sure it is, and how sure it may be", _calibration_metrics(official), id_="confidence"),
        section("What refusing buys", _refusing(official, judged), id_="refusing"),
        section("What is mistaken for what", _confusions(official), id_="confusion_matrix"),
        section("Class by class", side_by_side(*map(_classes, official)), id_="classes"),
        section("When the image is worse", _robustness(robust) if robust else Markup(""), id_="robustness"),
        section("When a detector draws the box", _looped(evaluation_report.detector_loop), id_="detector"),
        section("How to read this", _caveats(judged), id_="caveats"),
    ]
    return document(f"{judged[0].model} on {judged[0].data}", *parts)


def _header(e: Evaluation) -> Markup:
    told = (
        f"{e.model or 'The model'} is right about {percent(e.accuracy)} % of {e.n:,} faces by the {TRUTHS[e.against]} "
        f"(95 % interval {percent(e.low)} to {percent(e.high)}); macro-F1 {percent(e.macro_f1)} %."
    )
    mirrored = " · with the mirror image" if e.tta == "flip" else ""
    kicker = element("p", f"mien evaluate · {e.data} · {e.split} · {e.model}{mirrored}", class_="kicker")
    banners = [sections.synthetic_data_note(e.data)] if e.data == "sketch" else []
    if e.selected_on:
        banners.append(element("p", f"{sentence_case(selected_on(e))}.", class_="banner"))
    return element("header", kicker, element("h1", told), *banners)


def _protocols(judged: tuple[Evaluation, ...]) -> Markup:
    head = [
        "faces", "judged by", "n", "accuracy %", "95 % interval", "balanced %", "macro-F1 %", "top-2 %", "log loss",
        "Brier", "ECE %", "class-balanced ECE %",
    ]  # fmt: skip
    rows = [
        [
            e.protocol,
            e.against,
            f"{e.n:,}",
            percent(e.accuracy),
            f"{percent(e.low)} to {percent(e.high)}",
            percent(e.balanced_accuracy),
            percent(e.macro_f1),
            percent(e.top2),
            f"{e.log_loss:.3f}",
            f"{e.brier:.3f}",
            percent(e.ece),
            percent(e.balanced_ece),
        ]
        for e in judged
    ]
    caption = "; ".join([f"{OFFICIAL}: all faces", *left_out(judged)])
    return table(caption, head, rows, words=2)


def _calibration_metrics(official: list[Evaluation]) -> Markup:
    figures = [
        image(
            partial(curves.reliability_diagram, e),
            f"Reliability diagrams, judged by the {TRUTHS[e.against]}: calibration error "
            f"{percent(e.calibration.before.ece)} percent before the temperature, "
            f"{percent(e.calibration.after.ece)} after it.",
            f"By the {TRUTHS[e.against]}. On the dashed line confidence is what it says; below it the model is too "
            "sure, "
            "above it too modest. The bars below show where the faces are.",
        )
        for e in official
    ]
    rows = [
        [
            e.against,
            f"{e.calibration.temperature:.3f}, {e.calibration.fitted}",
            *(percent(t.ece) for t in (e.calibration.before, e.calibration.after)),
            *(f"{t.log_loss:.3f}" for t in (e.calibration.before, e.calibration.after)),
            *(f"{t.brier:.3f}" for t in (e.calibration.before, e.calibration.after)),
        ]
        for e in official
    ]
    head = ["judged by", "temperature", "ECE % before", "after", "log loss before", "after", "Brier before", "after"]
    caption = (
        f"Before and after the temperature that logits are divided by: {OWN}, or one {official[0].calibration.fitted}"
        if all(e.calibration.fitted != OWN for e in official)
        else "Before and after the temperature that logits are divided by"
    )
    if official[0].tta == "flip":
        caption += "; before it stands the mean of two answers, each at the temperature that the model has, if any"
    return Markup(side_by_side(*figures) + table(caption, head, rows, words=2))


def _refusing(official: list[Evaluation], judged: tuple[Evaluation, ...]) -> Markup:
    said = "; ".join(f"{e.against}: {percent(e.calibration.accuracy_at_coverage(0.8))}" for e in official)
    figure = image(
        partial(curves.risk_coverage, official),
        f"Mistakes against the share of faces answered. Accuracy on the surest four fifths in percent, by {said}.",
        "Read from the right: the more of the least sure faces are refused, the fewer mistakes are left. AURC, the "
        "area under the curve, is small where a model knows when it is wrong.",
    )
    rows = [
        [
            e.protocol,
            e.against,
            *(percent(e.calibration.accuracy_at_coverage(share)) for share in COVERAGES),
            percent(e.calibration.aurc),
        ]
        for e in judged
    ]
    head = ["faces", "judged by", *(f"of {100 * share:.0f} %" for share in COVERAGES), "AURC %"]
    return Markup(side_by_side(figure) + table("Accuracy in percent on the surest faces", head, rows, words=2))


def _confusions(official: list[Evaluation]) -> Markup:
    def one(e: Evaluation) -> Markup:
        said = sections.main_confusions(e.confusion_KK, e.labels.names)
        return image(
            lambda theme: plots.confusion_matrix(
                e.confusion_KK, e.labels.names, f"By the {TRUTHS[e.against]}", theme, "counts below"
            ),
            f"Confusion matrix by the {TRUTHS[e.against]}. {said}",
            f"By the {TRUTHS[e.against]}. {said}",
        )

    return side_by_side(*map(one, official))


def _classes(e: Evaluation) -> Markup:
    rows = sections.class_rows(e.labels.names, e.per_class)
    c = e.per_class
    rows.append(["macro mean", percent(c.precision.mean()), percent(c.recall.mean()), percent(e.macro_f1), f"{e.n:,}"])
    return table(f"By the {TRUTHS[e.against]}", ["class", "precision %", "recall %", "F1 %", "faces"], rows)


def _robustness(models: tuple[Robustness, ...]) -> Markup:
    first = models[0]
    said = "; ".join(f"{r.model} {percent(r.unaltered)} as they are, {percent(r.mean.mean)} altered" for r in models)
    figure = image(
        partial(curves.robustness_curves, models),
        f"Accuracy against the strength of each corruption. Mean accuracy in percent: {said}.",
        "From mild to strong; dotted, the faces as they are. The figures below each curve are the strengths.",
    )
    head = ["model", "faces", "as they are %", "altered, mean %", "95 % interval"]
    rows = [
        [r.model, f"{len(r.unaltered_N):,}", percent(r.unaltered), percent(r.mean.mean), span(r.mean)] for r in models
    ]
    if len(models) > 1:
        head.append(f"minus {first.model}, points")
        rows = [[*row, sections.NONE if r is first else _apart(r, first)] for row, r in zip(rows, models, strict=True)]
    means = table("The mean over all corruptions and strengths; intervals cover the draw of faces", head, rows)
    each = table(
        "Accuracy in percent at the five strengths",
        ["corruption", "strengths", *(r.model for r in models)],
        [
            [
                name,
                f"{', '.join(f'{s:g}' for s in CORRUPTIONS[name].strengths)} ({CORRUPTIONS[name].unit})",
                *(" / ".join(percent(a) for a in r.accuracy[name]) for r in models),
            ]
            for name in first.accuracy
        ],
        words=2,
    )
    return Markup(side_by_side(figure) + means + each)


def _apart(one: Robustness, first: Robustness) -> str:
    d = difference(one, first)
    return f"{points(d.mean)} ({points(d.low)} to {points(d.high)})"


def _looped(detector_loop: DetectorLoop | None) -> Markup:
    if detector_loop is None:
        return Markup("")
    said = (
        f"Each face was enlarged three to six times, turned by up to {detector_loop.max_rotation:g} degrees and "
        "laid on a canvas; "
        "the detector found it there and it was cut out anew. The canvas is kinder than a photo."
    )
    return Markup(
        paragraphs(said)
        + table(f"{detector_loop.n:,} faces in the loop", ["what", "figure"], detector_loop_rows(detector_loop))
    )


def _caveats(judged: tuple[Evaluation, ...]) -> Markup:
    said = [
        "The intervals cover the draw of faces: with other faces of the same source, in about 95 of 100 cases. They do "
        "not cover another seed, other data or wrong labels.",
        "Balanced accuracy and macro-F1 count each class alike; accuracy follows the frequent ones.",
        "A temperature that is fitted and judged on the same faces looks better than it is; where that would be so, "
        "the calibration error of all faces, and the figures after the temperature, judge each fifth of them by what "
        "the other four ask for. Log loss and Brier score in the first table, and its rows without duplicates, do "
        "not: they "
        "are of the probabilities as the model tells them.",
        "No label says how old the people are, of what sex or of what skin, so whether the model treats all alike is "
        "not "
        "measured.",
        "An expression is not a feeling: the figures say how well a model names what raters see, not what a person "
        "feels.",
    ]
    if any(e.against == MAJORITY_VOTE for e in judged):
        said.insert(
            3,
            "By the raters' majority only faces count on which most of them agree: these are the easier ones, so its "
            "figures are not to be compared with those by the labels.",
        )
    if judged[0].data == "fer2013":
        said.insert(
            3,
            "FER2013's labels are noisy: its raters of FER+, ten a face, agree with them on about two faces in three. "
            "What is wrong by the labels may be right, and the other way round.",
        )
    if any((e.per_class.support == 0).any() for e in judged):
        said.insert(3, "A class without faces is 0 in macro-F1 and macro means; balanced accuracy leaves it out.")
    if any(e.selected_on for e in judged):
        said.insert(
            1,
            "A split that chose a model's epoch or temperature flatters it; a test split that chose nothing does not.",
        )
    return bullets(said)
