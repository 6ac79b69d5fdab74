"""Report pages and files: self-contained pages, escaped names, texts for plots, headings for tables."""

import builtins
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from rich.console import Console

from mien.errors import MienError, MissingExtra
from mien.evaluation.comparison.compare import Comparison, compare
from mien.evaluation.report import pages, plots
from mien.evaluation.report.pages import comparison_page
from mien.evaluation.report.style import DARK, require_report_libraries, svg_uri
from mien.evaluation.report.terminal import comparison_table
from mien.evaluation.report.write import comparison_figures, write_report
from mien.labels import LabelSet

from ..conftest import make_dataset, make_records
from ..outline import Outline

HOSTILE = "<script>alert('$x_1$ & \"y\"')</script>{{ 7 * 7 }}"
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


def test_comparison_page_starts_with_the_verdicts(comparison: Comparison, outline: Outline) -> None:
    seen = outline.seen
    for v in comparison.verdicts:
        assert v.sentence in seen
    assert seen.index(comparison.verdicts[0].sentence) < seen.index("What was compared")
    assert len(outline.all("h1")) == 1


def test_comparison_page_is_self_contained(page: str, outline: Outline) -> None:
    outline.check_self_contained()
    assert not re.search(r"https?://|@import|url\(", page)


def test_comparison_page_escapes_names(page: str, outline: Outline) -> None:
    assert "<script" not in page
    assert HOSTILE in outline.seen
    assert "A note < of the caller." in outline.seen
    assert any(HOSTILE in alt for alt in outline.alts)
    assert HOSTILE in "".join(div.get("aria-label") or "" for div in outline.all("div"))
    assert not {name for _, attributes in outline.tags for name in attributes} - {
        "alt", "aria-hidden", "aria-label", "aria-labelledby", "charset", "class", "content", "height", "http-equiv",
        "id", "lang", "media", "name", "role", "scope", "src", "srcset", "tabindex", "width",
    }  # fmt: skip


def test_comparison_page_has_texts_for_plots_and_headings_for_tables(outline: Outline) -> None:
    images = outline.all("img")
    assert len(images) == 12  # 2 scores, 2 curves, 2 gaps, 3 confusions, F1, strip, histogram
    assert all(len(alt) > 30 for alt in outline.alts)
    assert not [alt for alt in outline.alts if "\n" in alt]
    assert len(outline.all("picture")) == len(outline.all("source")) == len(images)
    assert all(source["media"] == "(prefers-color-scheme: dark)" for source in outline.all("source"))
    tables = len(outline.all("table"))
    assert tables == len(outline.all("caption")) >= 10
    assert all(head.get("scope") in ("row", "col") for head in outline.all("th"))
    assert outline.all("html") == [{"lang": "en"}]
    identifiers = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    assert all(section["aria-labelledby"] in identifiers for section in outline.all("section"))


def test_comparison_page_has_all_sections(outline: Outline) -> None:
    seen = outline.seen
    for heading in ("Overfitting", "Metrics of each class", "Training time and hardware", "Recipes", "Notes"):
        assert heading in seen
    assert seen.count("macro-F1") >= 4


@pytest.mark.slow
def test_original_study_is_shown_for_fer2013_only(page: str) -> None:
    assert "62.19" in page
    sketch = make_dataset(name="sketch", known_as=None)
    other = Outline(comparison_page(compare(make_records(sketch, {"a": 0.5, "b": 0.8}, seeds=1), sketch)))
    assert "62.19" not in other.seen
    assert "PublicTest" not in other.seen
    assert "sketch is a set of synthetic faces" in other.seen
    assert "do not compare them with metrics on FER2013" in other.seen
    unknown = make_dataset(known_as=None)
    assert "62.19" not in comparison_page(compare(make_records(unknown, {"a": 0.5, "b": 0.8}), unknown))


def test_comparison_page_without_validation_has_no_gap() -> None:
    labels = LabelSet("own", ("glad $", "_sad"))
    small = make_dataset({"train": 60, "test": 60}, name="folder", known_as=None, labels=labels)
    seen = Outline(comparison_page(compare(make_records(small, {"a": 0.5, "b": 0.8}), small))).seen
    assert "neither the gap nor the peak can be measured" in seen
    assert "folder faces.csv" in seen


def test_comparison_names_classes_without_faces() -> None:
    labels = LabelSet("own", ("happy", "sad", "[b]bored"))
    data = make_dataset({"train": 60, "val": 60}, name="folder", known_as=None, labels=labels)
    val = replace(data["val"], labels_N=data["val"].labels_N % 2)
    data = replace(data, splits={**data.splits, "val": val})
    result = compare(make_records(data, {"a": 0.5, "b": 0.8}), data)
    note = "n val no faces of [b]bored: F1 counts as 0 in macro-F1"
    assert note in Outline(comparison_page(result)).seen
    screen = Console(file=io.StringIO(), width=100)
    screen.print(comparison_table(result))
    assert isinstance(screen.file, io.StringIO)
    assert note in " ".join(screen.file.getvalue().split())


def test_plot_drawn_twice_gives_equal_svg(comparison: Comparison) -> None:
    assert svg_uri(plots.gap(comparison)) == svg_uri(plots.gap(comparison))
    assert svg_uri(plots.gap(comparison)) != svg_uri(plots.gap(comparison, theme=DARK))


def test_plots_have_nothing_cut_off(comparison: Comparison) -> None:
    for name, figure in comparison_figures(comparison, [_example()]).items():
        figure.draw_without_rendering()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.01, name
        assert drawn.x1 < width + 0.01, name
        assert drawn.y1 < height + 0.01, name


def test_write_report_writes_json_page_and_plots(tmp_path: Path) -> None:
    dataset = make_dataset({"train": 60, "test": 60}, labels=LabelSet("own", ("glad", "sad")))
    comparison = compare(make_records(dataset, {"a": 0.5, "b": 0.8}), dataset)
    page = write_report(comparison, tmp_path / "out", examples=[_example()])
    assert page == tmp_path / "out" / "report.html"
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == comparison.to_dict()
    names = {f.name for f in (tmp_path / "out" / "plots").iterdir()}
    assert {"training_loss.png", "confusion-test-arm2.png", "per_class_f1-test.png", "augmentation.png"} <= names
    assert all((tmp_path / "out" / "plots" / n).read_bytes().startswith(b"\x89PNG") for n in names)


def test_write_report_into_a_file_raises(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MienError, match=r"cannot write .*comparison\.json"):
        write_report(comparison, tmp_path / "file")


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_page_without_library_names_the_extra(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == library:
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: comparison_page(comparison), require_report_libraries):
        with pytest.raises(MissingExtra, match=r"pip install 'mien\[report\]'"):
            call()


def test_template_with_unknown_variable_raises() -> None:
    with pytest.raises(UndefinedError, match="report"):
        pages._render("full_report")


def test_templates_are_escaped_throughout() -> None:
    """Nothing in a template is marked as safe; the style sheet alone is inserted as it stands."""
    folder = Path(pages.__file__).parent
    for template in (folder / "templates").glob("*.j2"):
        assert not re.search(r"\bsafe\b|autoescape|<script|https?://", template.read_text()), template
    assert not re.search(r"</|@import|url\(", (folder / "report.css").read_text())


def test_plots_without_data_raise(comparison: Comparison) -> None:
    with pytest.raises(MienError, match="at least one operation"):
        plots.augmentation_strip([])
    lacking = make_dataset({"train": 60, "test": 60})
    with pytest.raises(MienError, match="cannot plot val accuracy"):
        plots.validation_accuracy(compare(make_records(lacking, {"a": 0.5, "b": 0.8}), lacking))
