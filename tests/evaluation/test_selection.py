"""Runs evaluated at an epoch selected on validation, some stopped early: metrics and texts."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import unescape
from unittest.mock import patch

import numpy as np
import pytest
from rich.console import Console

from mien.data.dataset import Dataset
from mien.errors import MienError
from mien.evaluation.comparison.compare import Comparison, compare
from mien.evaluation.comparison.curves import Curve
from mien.evaluation.report import pages
from mien.evaluation.report.terminal import comparison_table
from mien.evaluation.report.write import comparison_figures
from mien.evaluation.selection import SELECTION_METRICS, EpochSelection

from .conftest import Records, make_dataset, make_records
from .outline import Outline

LAST = "after the last epoch"


def _select(runs: Records, by: Mapping[str, str], lengths: Sequence[int], judged: Sequence[int]) -> Records:
    """`runs` of the arms in `by` cut to `lengths` and judged at `judged`, by seed."""
    made = []
    for run in runs:
        if run.arm in by:
            recipe = {**run.recipe, "select": by[run.arm], "patience": 2}
            history = run.history[: lengths[run.seed]]
            run = replace(run, history=history, recipe=recipe, selected_epoch=judged[run.seed])
        made.append(run)
    return made


def _compared(dataset: Dataset, by: Mapping[str, str], arms: Sequence[str] = ("plain", "better")) -> Comparison:
    shares = dict(zip(arms, (0.5, 0.8, 0.5), strict=False))
    return compare(_select(make_records(dataset, shares), by, lengths=(4, 2, 3), judged=(3, 1, 2)), dataset)


def _html(c: Comparison) -> str:
    """Return the page without plots, which take long to draw."""
    with patch.object(pages, "draw_plot", lambda *_, **__: pages.PlotImage("data:image/png,", "data:image/png,", 1, 1)):
        return pages.comparison_page(c)


def _page(c: Comparison) -> str:
    """Return all text of the page, cells of tables apart, and the texts of its plots."""
    html = _html(c)
    text = unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", "")))
    return " ".join(" ".join([text, *Outline(html).alts]).split())


@pytest.fixture(scope="module")
def without_test() -> Dataset:
    return make_dataset({"train": 200, "val": 300})


BOTH_BY_ACCURACY = {"plain": "val_accuracy", "better": "val_accuracy"}


def test_curve_averages_over_the_runs_that_reached_an_epoch() -> None:
    curve = Curve.of([[1.0, 5.0, 4.0, 9.0], [3.0, 7.0], [2.0, 9.0, 8.0]])
    assert curve.mean_E.tolist() == [2, 7, 6, 9]
    assert curve.std_E[:3] == pytest.approx([1, 2, 8**0.5])  # (4-6)²+(8-6)² over 1
    assert np.isnan(curve.std_E[3])  # one run has no spread
    assert curve.peaks == (4, 2, 2)
    assert curve.peak_of_mean == 2  # 9 at epoch 4 is a single run's
    assert curve.at((3, 1, 2)).per_seed == (4, 3, 9)
    result = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert (result["mean"], result["std"][3]) == ([2, 7, 6, 9], None)
    assert result["per_seed"] == [[1, 5, 4, 9], [3, 7, None, None], [2, 9, 8, None]]
    assert Curve.of([[1.0, 2.0]]).to_dict() == {"mean": [1, 2], "std": None, "per_seed": [[1, 2]]}


def test_metrics_are_of_the_selected_epoch(dataset: Dataset) -> None:
    arm = _compared(dataset, {"better": "val_accuracy"}).arms[1]
    assert (arm.lengths, arm.epochs, arm.selected_epochs, arm.selected_by) == ((4, 2, 3), 4, (3, 1, 2), "val_accuracy")
    assert arm.at_selected_epoch("train_loss").per_seed == pytest.approx((2 / 3, 2, 1))
    # Clean accuracy is 0.22 an epoch; validation accuracy is 0.825 + 0.002 a seed - 0.1 / epoch, + 0.02 in epoch 3.
    clean, val = np.array([0.66, 0.22, 0.44]), np.array([0.845 - 0.1 / 3, 0.827 - 0.1, 0.829 - 0.05])
    assert arm.at_selected_epoch("gap_train_eval").per_seed == pytest.approx(clean - val)
    assert arm.peaks == (3, 2, 3)


def test_json_has_the_metric_and_epoch_of_selection(dataset: Dataset) -> None:
    result = _compared(dataset, BOTH_BY_ACCURACY).to_dict()
    json.dumps(result, allow_nan=False)
    assert result["protocol"]["evaluated_at"] == "epoch selected by validation accuracy"
    assert result["protocol"]["selected_by"] == "val_accuracy"
    arm = result["arms"][1]
    assert (arm["selected_by"], arm["selected_epoch"]) == ("val_accuracy", {"per_seed": [3, 1, 2]})
    assert (arm["epochs"], arm["lengths"]) == (4, {"per_seed": [4, 2, 3]})
    assert arm["curves"]["gap_train_eval"]["per_seed"][1][2:] == [None, None]
    mixed = _compared(dataset, {"plain": "val_loss"}).to_dict()
    assert mixed["protocol"]["evaluated_at"] == "each arm's selected epoch"
    assert mixed["protocol"]["selected_by"] == {"plain": "val_loss", "better": None}
    assert [arm["selected_by"] for arm in mixed["arms"]] == ["val_loss", None]


@pytest.mark.parametrize(
    ("by", "when"),
    [
        ({}, LAST),
        (BOTH_BY_ACCURACY, "at the epoch selected by validation accuracy"),
        (dict.fromkeys(BOTH_BY_ACCURACY, "val_macro_f1"), "at the epoch selected by validation macro-F1"),
        (dict.fromkeys(BOTH_BY_ACCURACY, "val_loss"), "at the epoch selected by validation loss"),
        ({"better": "val_loss"}, "at each arm's selected epoch"),
        ({"plain": "val_accuracy", "better": "val_loss"}, "at each arm's selected epoch"),
    ],
)
def test_verdict_names_the_epoch(dataset: Dataset, by: dict[str, str], when: str) -> None:
    sentence = _compared(dataset, by).verdicts[0].sentence
    assert sentence.startswith("better is better than plain: +")
    assert f" Measured {when} on " in sentence
    assert "also selected" not in sentence  # the verdict is on test


@pytest.mark.parametrize(
    ("by", "note"),
    [
        ({}, ""),
        (BOTH_BY_ACCURACY, " This split also selected the epoch, so the metrics are optimistic."),
        ({"better": "val_loss"}, " This split also selected the epoch of better, so the metrics are optimistic."),
    ],
)
def test_verdict_on_the_selecting_split_has_a_note(without_test: Dataset, by: dict[str, str], note: str) -> None:
    sentence = _compared(without_test, by).verdicts[0].sentence
    assert "FER2013, validation (PublicTest), because there is no test split; 3 random seeds" in sentence
    assert sentence.endswith(f" faces.{note}")


def test_verdict_names_the_epochs_of_its_two_arms(without_test: Dataset) -> None:
    shown, not_shown = (v.sentence for v in _compared(without_test, {"b": "val_loss"}, ("a", "b", "c")).verdicts)
    assert "at each arm's selected epoch" in shown
    assert ": 0.0 points of accuracy, " in not_shown
    assert f" Measured {LAST} on " in not_shown
    assert "also selected" not in not_shown
    runs = make_records(without_test, {"plain": 0.5, "better": 0.8}, seeds=1)
    single = compare(_select(runs, BOTH_BY_ACCURACY, [4], [3]), without_test).verdicts[0].sentence
    assert single.startswith("Not enough seeds to decide (1 of 3 needed). better − plain: ")
    assert "Measured at the epoch selected by validation accuracy on FER2013" in single
    assert "This split also selected the epoch" in single


def test_the_page_nowhere_claims_the_last_epoch(dataset: Dataset) -> None:
    seen = _page(_compared(dataset, BOTH_BY_ACCURACY))
    assert not re.search(r"last epoch|at end|at the end|nothing was selected", seen, re.IGNORECASE)
    when = "at the epoch selected by validation accuracy"
    assert f"All metrics are {when.replace('at the', 'of the')}; the test split is measured every epoch" in seen
    assert f"Accuracy {when} with 95 % intervals, on test (PrivateTest):" in seen
    assert f"A{when[1:]}: plain 1.22; better 1.22." in seen  # training loss, mean of 2/3, 2 and 1
    assert f"Gap {when} in points of accuracy" in seen
    assert re.search(r"epochs\s+evaluated at epoch", seen)
    assert "4, 2, 3" in seen
    assert "3, 1, 2" in seen
    assert "No seed or arm was left out, and the test split was not used for selection." in seen
    assert "means over the runs that reached the epoch" in seen


def test_training_losses_of_different_kinds_are_not_to_be_compared(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    said = "The arms differ in label_smoothing, so their training losses measure different things"
    assert said not in _page(compare(runs, dataset))
    smoothed = [replace(r, recipe={**r.recipe, "label_smoothing": 0.1}) if r.arm == "better" else r for r in runs]
    assert said in _page(compare(smoothed, dataset))


def test_validation_that_chose_is_marked_and_test_is_not(dataset: Dataset, without_test: Dataset) -> None:
    seen = _page(_compared(dataset, {"better": "val_loss"}))
    rows = re.findall(r"(plain|better)\s+(validation|test) (\([^)]*\))(, used for selection)?", seen)
    assert [(arm, split, bool(mark)) for arm, split, _, mark in rows] == [
        ("plain", "validation", False),
        ("better", "validation", True),
        ("plain", "test", False),
        ("better", "test", False),
    ]
    assert "test (PrivateTest), used for selection" not in seen
    assert "the split also selected the epoch, so its metrics are optimistic" in seen
    assert (
        "each arm's selected epoch (plain: the last epoch; better: the epoch selected by validation loss); the test"
        in seen
    )
    assert "Only some of the arms selected their epoch" in seen
    alone = _page(_compared(without_test, BOTH_BY_ACCURACY))
    assert "Differences on validation (PublicTest), used for selection, paired by random seed" in alone
    assert "Confusion matrix of better on validation (PublicTest), used for selection." in alone
    assert "optimistic for anything that was selected with them; here that is the epoch." in alone
    assert "used for selection" not in _page(_compared(without_test, {}))


def test_the_tables_of_the_page_are_read_at_the_judged_epoch(dataset: Dataset) -> None:
    html = _html(_compared(dataset, {"better": "val_accuracy"}))

    def row(section: str, arm: str) -> str:
        table = html.partition(f'<section id="{section}"')[2].partition("</section>")[0]
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", next(r for r in table.split("<tr>") if f">{arm}</th>" in r))
        return " | ".join(cells)

    # Losses 2/3, 2 and 1; gaps and accuracies as computed above, means of three seeds.
    assert row("scores", "better").endswith("| 1.22")
    assert row("overfitting", "better") == "better | −33.3 | −37.3 | epoch 2 | 3, 2, 3 | 77.7 | 77.3"
    assert re.fullmatch(
        r"here: better \| 1\.22 \| .*, used for selection \| .* \| 3, 1, 2", row("original_study", "here: better")
    )
    assert "peak of mean validation accuracy (used for selection)" in html
    assert row("overfitting", "plain").startswith("plain | +37.8 |")  # 0.88 - 0.502, at the last epoch as ever


def _texts(c: Comparison) -> dict[str, str]:
    figures = comparison_figures(c)
    return {
        name: " | ".join(t for axes in f.axes for t in (axes.get_title(loc="left"), axes.get_xlabel()))
        for name, f in figures.items()
    }


def test_plots_say_it_too_and_nothing_is_cut_off(without_test: Dataset) -> None:
    c = _compared(without_test, BOTH_BY_ACCURACY)
    said = _texts(c)
    when, val = "at the epoch selected by validation accuracy", "validation (PublicTest), used for selection"
    assert said["scores"] == f"Validation (PublicTest), used for selection, 300 faces | accuracy {when}, %"
    assert said["differences"] == f"Differences, {val} | points of accuracy {when}"
    assert said["per_class_f1-val"].startswith("F1 by class, validation (PublicTest), used for selection")
    assert said["confusion-val-arm1"].replace("\n", " ").startswith(f"plain, {val}")
    assert not any("last epoch" in text for text in said.values())
    for name, figure in comparison_figures(c).items():
        figure.draw_without_rendering()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.01, name
        assert (drawn.x1 < width + 0.01, drawn.y1 < height + 0.01) == (True, True), name


def test_a_diamond_marks_the_judged_epoch_of_each_seed(dataset: Dataset) -> None:
    def diamonds(c: Comparison) -> list[tuple[list[float], list[float]]]:
        lines = comparison_figures(c)["training_loss"].axes[0].get_lines()
        return [(list(x.get_xdata()), list(x.get_ydata())) for x in lines if x.get_marker() == "d"]

    ((epochs, losses),) = diamonds(_compared(dataset, {"better": "val_accuracy"}))
    assert epochs == [3, 1, 2]
    assert losses == pytest.approx([2 / 3, 2, 1])
    assert diamonds(_compared(dataset, {})) == []


def test_the_table_for_the_terminal_marks_validation(dataset: Dataset) -> None:
    def shown(c: Comparison) -> str:
        screen = Console(file=io.StringIO(), width=80)
        screen.print(comparison_table(c))
        assert isinstance(screen.file, io.StringIO)
        return screen.file.getvalue()

    result = shown(_compared(dataset, {"better": "val_accuracy"}))
    assert "FER2013, at each arm's selected epoch" in result
    assert re.findall(r"(\w+) +(val|test)(\*?) ", result) == [
        ("plain", "val", ""), ("plain", "test", ""), ("better", "val", "*"), ("better", "test", ""),
    ]  # fmt: skip
    assert re.search(r"better +val\*.* 1\.22", result)  # training loss
    assert "* used for selection: this split also selected the epoch" in result
    plain = shown(_compared(dataset, {}))
    assert "FER2013, after the last epoch" in plain
    assert "*" not in plain


def test_epoch_selection_of_several_arms() -> None:
    some = EpochSelection({"a": "val_loss", "b": None, "c": "val_accuracy"})
    assert some.note("val") == "This split also selected the epoch of a, c, so the metrics are optimistic."
    assert some.note("test") == ""
    assert some.description == (
        "each arm's selected epoch (a: the epoch selected by validation loss; b: the last epoch; "
        "c: the epoch selected by validation accuracy)"
    )
    assert EpochSelection({"a": None}).description == EpochSelection({"a": None}).epoch == "the last epoch"
    assert [EpochSelection({"a": by}).uses("val") for by in (*SELECTION_METRICS, None)] == [True, True, True, False]


def test_compare_of_records_unlike_their_recipe_raises(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    by_loss = {**runs[0].recipe, "select": "val_loss"}
    cut = {**runs[0].recipe, "select": "val_loss", "patience": 0}
    cases = [
        (replace(runs[0], recipe=by_loss, selected_epoch=0), "the selected epoch must be one of 1 to 4, got 0"),
        (replace(runs[0], recipe=by_loss, selected_epoch=5), "the selected epoch must be one of 1 to 4, got 5"),
        (replace(runs[0], recipe=by_loss), "selects its epoch by val_loss, but its record has no selected epoch"),
        (replace(runs[0], selected_epoch=3), "selects no epoch, so epoch 4 is expected, but its record has epoch 3"),
        (
            replace(runs[0], recipe={**by_loss, "select": "test_loss"}, selected_epoch=3),
            "selects its epoch by 'test_loss'; known metrics are val_accuracy, val_macro_f1, val_loss",
        ),
    ]
    for run, wanted in cases:
        with pytest.raises(MienError, match=f"run 'plain' seed 0.*{re.escape(wanted)}"):
            compare([run, *runs[1:]], dataset)
    # Different lengths need patience.
    arm = [replace(r, recipe=cut, selected_epoch=1, history=r.history[: 4 - r.seed]) for r in runs[:3]]
    with pytest.raises(MienError, match="runs of one arm must have the same epochs"):
        compare([*arm, *runs[3:]], dataset)
    compare([*(replace(r, recipe={**cut, "patience": 2}) for r in arm), *runs[3:]], dataset)
    # The last epoch may be selected too.
    compare([replace(r, selected_epoch=4) for r in runs], dataset)
