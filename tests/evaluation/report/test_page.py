"""The page and the files: the verdict is there, nothing is fetched, and names are text whatever they hold."""

import builtins
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import MienError, MissingExtra
from mien.evaluation.comparison.compare import Comparison, compare
from mien.evaluation.report import plots
from mien.evaluation.report.page import comparison_page
from mien.evaluation.report.sections import student_report
from mien.evaluation.report.style import DARK, svg_uri
from mien.evaluation.report.write import comparison_figures, write_report
from mien.labels import LabelSet

from ..conftest import make_dataset, make_records
from ..outline import Outline

HOSTILE = "<script>alert('$x_1$ & \"y\"')</script>"
LONG = "the first arm, under a name that goes on and on WITHOUT_END"


def _example() -> plots.Example:
    face = np.arange(48 * 48).reshape(48, 48).astype(np.uint8)
    return (f"Flip(p=0.5) {HOSTILE}", face, [face[:, ::-1], face])


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    dataset = make_dataset()
    return compare(make_records(dataset, {LONG: 0.5, HOSTILE: 0.8, "_hidden": 0.5}), dataset)


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> str:
    return comparison_page(comparison, examples=[_example()], notes=["A note < of the caller."])


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_the_page_starts_with_the_verdict(comparison: Comparison, outline: Outline) -> None:
    seen = "".join(outline.text).replace("\xa0", " ")
    for v in comparison.verdicts:
        assert v.sentence in seen
    assert seen.index(comparison.verdicts[0].sentence) < seen.index("What was compared")
    assert len(outline.all("h1")) == 1


def test_the_page_refers_to_nothing_outside(page: str, outline: Outline) -> None:
    outline.refers_to_nothing_outside()
    assert not re.search(r"https?://|@import|url\(", page)


def test_names_are_text_whatever_they_hold(page: str, outline: Outline) -> None:
    assert "<script" not in page
    assert HOSTILE in "".join(outline.text)
    assert "A note < of the caller." in outline.text


def test_every_figure_has_a_text_and_every_table_its_headings(outline: Outline) -> None:
    images = outline.all("img")
    assert len(images) == 12  # 2 scores, 2 curves, 2 gaps, 3 confusions, F1, strip, histogram
    assert all(len(image["alt"] or "") > 30 for image in images)
    assert len(outline.all("source")) == len(images)
    tables = len(outline.all("table"))
    assert tables == len(outline.all("caption")) >= 10
    assert all(head.get("scope") in ("row", "col") for head in outline.all("th"))
    assert outline.all("html") == [{"lang": "en"}]


def test_accuracy_never_stands_without_macro_f1(outline: Outline) -> None:
    seen = "".join(outline.text)
    for heading in ("Overfitting", "Class by class", "Time and machine", "Recipes", "How to read this"):
        assert heading in seen
    assert seen.count("macro-F1") >= 4


def test_figures_of_the_student_report_stand_beside_fer2013_only(page: str) -> None:
    assert "62.19" in page
    assert "never differenced with PublicTest" in page
    sketch = make_dataset(name="sketch", known_as=None)
    other = comparison_page(compare(make_records(sketch, {"a": 0.5, "b": 0.8}, seeds=1), sketch))
    assert "62.19" not in other
    assert "PublicTest" not in other
    assert "sketch is a set of faces drawn by a program" in other
    assert "never put beside figures on FER2013." in other
    assert "Not enough seeds to decide (1 of 3 needed). b − a: " in other
    unknown = make_dataset(known_as=None)
    assert student_report(compare(make_records(unknown, {"a": 0.5, "b": 0.8}), unknown)) == ""


def test_a_data_set_without_validation_or_with_two_odd_classes() -> None:
    labels = LabelSet("own", ("glad $", "_sad"))
    small = make_dataset({"train": 60, "test": 60}, name="folder", known_as=None, labels=labels)
    page = comparison_page(compare(make_records(small, {"a": 0.5, "b": 0.8}), small))
    assert "neither the gap nor a peak can be measured" in page
    assert "folder faces.csv" in page


def test_the_same_comparison_gives_the_same_page(comparison: Comparison) -> None:
    assert svg_uri(plots.gap(comparison)) == svg_uri(plots.gap(comparison))
    assert svg_uri(plots.gap(comparison)) != svg_uri(plots.gap(comparison, theme=DARK))


def test_nothing_is_cut_off(comparison: Comparison) -> None:
    """What a figure draws, its texts included, lies inside of it."""
    for name, figure in comparison_figures(comparison, [_example()]).items():
        figure.draw_without_rendering()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.01, name
        assert drawn.x1 < width + 0.01, name
        assert drawn.y1 < height + 0.01, name


def test_files(tmp_path: Path) -> None:
    dataset = make_dataset({"train": 60, "test": 60}, labels=LabelSet("own", ("glad", "sad")))
    comparison = compare(make_records(dataset, {"a": 0.5, "b": 0.8}), dataset)
    page = write_report(comparison, tmp_path / "out", examples=[_example()])
    assert page == tmp_path / "out" / "report.html"
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == comparison.to_dict()
    names = {f.name for f in (tmp_path / "out" / "plots").iterdir()}
    assert {"training_loss.png", "confusion-test-arm2.png", "per_class_f1-test.png", "augmentation.png"} <= names
    assert all((tmp_path / "out" / "plots" / n).read_bytes().startswith(b"\x89PNG") for n in names)


def test_a_folder_that_cannot_be_written_is_one_sentence(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MienError, match=r"cannot write .*comparison\.json"):
        write_report(comparison, tmp_path / "file")


def test_without_matplotlib_the_extra_is_named(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    for draw in (plots.training_loss, comparison_page):
        with pytest.raises(MissingExtra, match=r"pip install 'mien\[plot\]'"):
            draw(comparison)


def test_plots_that_have_nothing_to_draw_say_so(comparison: Comparison) -> None:
    with pytest.raises(MienError, match="at least one operation"):
        plots.augmentation_strip([])
    lacking = make_dataset({"train": 60, "test": 60})
    with pytest.raises(MienError, match="not every run measured val accuracy"):
        plots.validation_accuracy(compare(make_records(lacking, {"a": 0.5, "b": 0.8}), lacking))
