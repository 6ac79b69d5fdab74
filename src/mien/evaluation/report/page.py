"""Report of a comparison as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mien.evaluation.comparison.arms import ArmResult
from mien.evaluation.comparison.compare import Comparison
from mien.evaluation.report import plots, sections
from mien.evaluation.report.html import Markup, document, element, image, paragraphs, section, side_by_side
from mien.evaluation.report.plots import Example
from mien.evaluation.report.style import Theme
from mien.evaluation.report.terminal import percent, sentence_case

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIAMONDS = " Hollow diamonds are the chosen epochs, one a seed."


def comparison_page(comparison: Comparison, *, examples: Sequence[Example] = (), notes: Sequence[str] = ()) -> str:
    """A whole HTML page that refers to nothing outside itself.

    Args:
        examples: operation, a regular face uint8 [48,48], and the same face augmented; one row each in the strip.
        notes: further caveats, plain text.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    c = comparison
    parts = [
        _header(c),
        section("What was compared", sections.setting(c), id_="setting"),
        section(sentence_case(c.epoch_selection.when), _scores(c), id_="scores"),
        section("Over the epochs", _curves(c), id_="curves"),
        section("Overfitting", _overfitting(c), id_="overfitting"),
        section("What is mistaken for what", _confusions(c), id_="confusion_matrix"),
        section("Class by class", _classes(c), id_="classes"),
        section("What augmentation does to a face", _strip(examples), id_="augmentation"),
        section("How the classes are spread", _histogram(c), id_="histogram"),
        section("Beside the student report", sections.student_report(c), id_="report"),
        section("Time and machine", sections.cost(c), id_="cost"),
        section("Recipes", sections.recipes(c), id_="recipes"),
        section("How to read this", sections.caveats(c, notes), id_="caveats"),
    ]
    names = ", ".join(arm.arm for arm in c.arms)
    return document(f"{names} on {c.data.name}", *parts)


def _header(c: Comparison) -> Markup:
    kicker = element("p", f"mien compare · {c.data.name} · {' / '.join(arm.arm for arm in c.arms)}", class_="kicker")
    first, *others = (v.sentence for v in c.verdicts)
    more = [element("p", sentence, class_="verdict") for sentence in others]
    banner = sections.synthetic_data_note(c.data.name) if c.data.kind == "sketch" else Markup("")
    return element("header", kicker, element("h1", first), *more, banner)


def _scores(c: Comparison) -> Markup:
    said = "; ".join(f"{a.arm} {percent(a.scores[c.split].accuracy.mean)} percent" for a in c.arms)
    covers = c.arms[0].scores[c.split].accuracy_interval.covers
    rings = "" if len(c.arms[0].seeds) < 2 else " Rings are single seeds."
    figure = image(
        partial(plots.scores, c),
        f"Accuracy {c.epoch_selection.when} with intervals, on {c.split_title(c.split)}: {said}.",
        f"Mean accuracy and its 95 % interval ({covers}).{rings} Whether two arms differ is read from the paired "
        "differences, not from whether these intervals overlap.",
    )
    held = "; ".join(v.sentence for v in c.verdicts)
    apart = image(
        partial(plots.differences, c),
        f"Differences in accuracy with intervals. {held}",
        f"Each arm minus {c.arms[0].arm}, paired by seed, with its 95 % interval ({c.verdicts[0].accuracy.covers}). "
        "An interval that reaches over zero shows no difference.",
    )
    return Markup(sections.scores(c) + side_by_side(figure, apart) + sections.differences(c))


def _curves(c: Comparison) -> Markup:
    band = " The band is one standard deviation over seeds, thin lines are the seeds." * (len(c.arms[0].seeds) > 1)
    band += DIAMONDS * c.epoch_selection.any_selected
    band += " Where runs have ended, mean and band are of those left." * any(len(set(a.lengths)) > 1 for a in c.arms)
    figures = [
        image(
            partial(plots.training_loss, c),
            f"Training loss per epoch. {_judged(c, 'train_loss', 1, 2)}.",
            f"Running loss in training mode, on the images as trained, augmented where the arm augments.{band}",
        )
    ]
    if plots.has_curve(c, "val_accuracy"):
        figures.append(
            image(
                partial(plots.validation_accuracy, c),
                f"Validation accuracy in percent per epoch. {_judged(c, 'val_accuracy')}.",
                f"A ring marks the peak of the mean.{band}",
            )
        )
    return side_by_side(*figures)


def _overfitting(c: Comparison) -> Markup:
    told = {
        "gap_clean": "Accuracy on a fixed sample of training faces, unaugmented and in evaluation mode, minus "
        "accuracy on validation: what the model knows by heart.",
        "gap_running": "Accuracy while training, on the images as trained, minus accuracy on validation: what the "
        "student report looked at. Augmentation lowers it by making training harder, whether or not it helps.",
    }
    figures = [
        image(
            _gap(c, which),
            f"Gap between training and validation accuracy per epoch, in points. {_judged(c, which)}.",
            caption + DIAMONDS * c.epoch_selection.any_selected,
        )
        for which, caption in told.items()
        if plots.has_curve(c, which)
    ]
    if not figures:
        return paragraphs("There is no labelled validation split, so neither the gap nor a peak can be measured.")
    return Markup(side_by_side(*figures) + sections.peaks(c))


def _gap(c: Comparison, which: str) -> Callable[[Theme], Figure]:
    return lambda theme: plots.gap(c, which, theme)


def _confusions(c: Comparison) -> Markup:
    seeds = len(c.arms[0].seeds)
    note = f"counts summed over {seeds} seeds" if seeds > 1 else "counts below"

    def one(arm: ArmResult) -> Markup:
        counts_KK, title = arm.scores[c.split].confusion_KK, c.split_title(c.split, arm)
        return image(
            lambda theme: plots.confusion_matrix(counts_KK, c.data.classes, arm.arm, theme, note),
            f"Confusion matrix of {arm.arm} on {title}. {sections.main_confusions(counts_KK, c.data.classes)}",
            f"{arm.arm}, {title}, {arm.epoch_selection.title}. {sections.main_confusions(counts_KK, c.data.classes)}",
        )

    return side_by_side(*(one(arm) for arm in c.arms))


def _classes(c: Comparison) -> Markup:
    said = "; ".join(f"{a.arm} {percent(a.scores[c.split].macro_f1.mean)} percent" for a in c.arms)
    figure = image(
        lambda theme: plots.per_class_f1(c, c.split, theme),
        f"F1 of each class by arm; the tables beside it hold the numbers. Macro-F1: {said}.",
        "Mean over seeds"
        + ("; whiskers are one standard deviation over seeds." if len(c.arms[0].seeds) > 1 else " (one seed)."),
    )
    return side_by_side(figure, *(sections.per_class(c, arm) for arm in c.arms))


def _strip(examples: Sequence[Example]) -> Markup:
    if not examples:
        return Markup("")
    names = ", ".join(name for name, _, _ in examples)
    return side_by_side(
        image(
            lambda theme: plots.augmentation_strip(examples, theme),
            f"One training face and, beside it, the same face after each operation: {names}.",
            "Left the regular face, then draws of the operation, each applied with its own probability: some stay as "
            "they are.",
            pixels=True,
        )
    )


def _histogram(c: Comparison) -> Markup:
    if not any(sum(counts) for counts in c.data.counts.values()):
        return Markup("")
    figure = image(
        lambda theme: plots.class_histogram(c.data, theme),
        "Faces per class in each split; the table beside it holds the numbers.",
        "Faces per class and split.",
    )
    return side_by_side(figure, sections.class_counts(c))


def _judged(c: Comparison, curve: str, scale: float = 100, digits: int = 1) -> str:
    """Each arm's mean of the curve at the judged epoch, for those who do not see the plot."""
    said = "; ".join(f"{arm.arm} {scale * arm.at_selected_epoch(curve).mean:.{digits}f}" for arm in c.arms)
    return f"{sentence_case(c.epoch_selection.when) if c.epoch_selection.any_selected else 'At the end'}: {said}"
