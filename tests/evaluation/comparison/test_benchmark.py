"""Packages side by side on the same faces, and what is too good to be true."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mien.errors import DataError, MienError
from mien.evaluation.comparison.benchmark import BenchmarkEntry, benchmark
from mien.evaluation.contamination import contamination
from mien.evaluation.protocols import evaluate_split
from mien.evaluation.report.pages import benchmark_page
from mien.evaluation.report.terminal import benchmark_tables
from mien.evaluation.report.text import pair_sentence, where
from mien.evaluation.statistics.paired import BETTER
from mien.labels import FER7, FERPLUS8, LabelSet

from ..conftest import make_dataset
from ..outline import Outline
from ..voted import make_voted, said

HOSTILE = "<script>b</script>"


def entries(wrong: dict[str, float], y_N: np.ndarray) -> list[BenchmarkEntry]:
    return [BenchmarkEntry(name, FER7, said(y_N, share, seed)) for seed, (name, share) in enumerate(wrong.items())]


def test_benchmark_compares_each_model_with_the_first() -> None:
    data = make_voted()
    y_N = data["val"].labels_N
    found = benchmark(entries({"a": 0.5, "b": 0.3, "c": 0.42}, y_N), data, "val")
    kinds = [(r.evaluations[0].protocol, r.evaluations[0].against) for r in found.rounds]
    assert kinds == [
        ("official", "labels"), ("deduplicated", "labels"),
        ("official", "raters' majority"), ("deduplicated", "raters' majority"),
    ]  # fmt: skip
    first = found.rounds[0]
    assert [(p.a, p.b, p.n) for p in first.pairs] == [("a", "b", 300), ("a", "c", 300)]
    assert first.pairs[0].finding == BETTER
    assert first.pairs[0].accuracy.mean == pytest.approx(first.evaluations[1].accuracy - first.evaluations[0].accuracy)
    assert pair_sentence(first.pairs[0], where(first.evaluations[0])).startswith("b is ")
    assert pair_sentence(first.pairs[1], where(first.evaluations[0])).startswith(
        "No significant difference between c and a on 300 faces"
    )
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [p["model"] for p in told["rounds"][0]["packages"]] == ["a", "b", "c"]


def test_benchmark_of_other_classes_projects_them() -> None:
    data = make_voted()
    y_N = data["val"].labels_N
    over = [FERPLUS8.names.index(name) for name in FER7.names]
    eight_NK = np.full((300, 8), 0.01, np.float32)
    eight_NK[:, 7] = 0.5  # contempt, which all of them seem to show most
    eight_NK[np.arange(300), np.array(over)[y_N]] = 0.4
    found = benchmark(
        [BenchmarkEntry("a", FER7, said(y_N, 0.5)), BenchmarkEntry("eight", FERPLUS8, eight_NK)], data, "val"
    )
    assert found.projected == ("eight",)
    assert found.rounds[0].evaluations[1].accuracy == 1
    with pytest.raises(MienError, match="cannot evaluate eight on fer7: it has no class angry"):
        benchmark(
            [BenchmarkEntry("a", FER7, said(y_N, 0.5)), BenchmarkEntry("eight", LabelSet("x", ("fear", "sad")), y_N)],
            data,
            "val",
        )


@pytest.mark.parametrize("old", [("happiness", "sadness", "anger"), ("Happy", "SAD", "angry")])
def test_benchmark_of_other_spellings_projects_nothing(old: tuple[str, ...]) -> None:
    data = make_voted()
    probs_NK = said(data["val"].labels_N, 0.5)
    spelled = dict(zip(("happy", "sad", "angry"), old, strict=True))
    other = LabelSet("the model's", tuple(spelled.get(name, name) for name in FER7.names))
    found = benchmark([BenchmarkEntry("a", FER7, probs_NK), BenchmarkEntry("b", other, probs_NK)], data, "val")
    assert found.projected == ()
    first, second = found.rounds[0].evaluations
    assert (first.accuracy, first.log_loss) == (second.accuracy, pytest.approx(second.log_loss))


def test_contamination_of_a_model_that_knows_the_labels_is_found() -> None:
    data = make_voted(contradicted=0.3)
    y_N = data["val"].labels_N
    honest_N = np.where(np.arange(300) < 90, (y_N + 1) % 7, y_N)  # says what raters see, so it meets 70 % of the labels
    found = benchmark(
        [BenchmarkEntry("honest", FER7, said(honest_N, 0.05)), BenchmarkEntry("knows", FER7, said(y_N, 0.02))],
        data,
        "val",
    )
    assert len(found.contamination) == 2
    all_faces, contradicted = found.contamination
    assert found.contaminated == ("knows",)
    assert found.contradicted["honest"] < 0.1
    assert found.contradicted["knows"] > 0.9
    assert all_faces.startswith("knows has an accuracy of 9")
    assert "300 faces without a duplicate in Training" in all_faces
    assert "probably trained on these faces" in all_faces
    assert "of the 90 labels that contradict the majority vote" in contradicted


def test_contamination_on_other_data_is_empty() -> None:
    data = make_dataset(name="folder")
    y_N = data["val"].labels_N
    probs_NK = said(y_N, 0.0)
    judged = evaluate_split(probs_NK, data["val"].rows_N, data, data, "val").evaluations
    assert contamination(judged, probs_NK.argmax(1), data) == ()
    assert len(contamination(judged, probs_NK.argmax(1), replace(data, name="fer2013"))) == 1
    # Somebody's own faces in its format may have honest labels.
    assert contamination(judged, probs_NK.argmax(1), replace(data, name="fer2013", known_as=None)) == ()


def test_benchmark_of_one_model_raises() -> None:
    data = make_dataset()
    y_N = data["val"].labels_N
    one = BenchmarkEntry("a", FER7, said(y_N, 0.5))
    for few, got in (([one], "got a"), ([one, one], "got two called a"), ([], "got none")):
        with pytest.raises(MienError, match=got):
            benchmark(few, data, "val")
    blank = make_dataset({"test": 5}, unlabelled=("test",))
    with pytest.raises(DataError, match="5 of 5 faces have no label"):
        benchmark(
            [replace(one, probs_NK=one.probs_NK[:5]), replace(one, name="b", probs_NK=one.probs_NK[:5])], blank, "test"
        )


def test_page_has_verdicts_and_contamination_and_no_links() -> None:
    data = make_voted()
    y_N = data["val"].labels_N
    found = benchmark(entries({"a": 0.5, HOSTILE: 0.0}, y_N), data, "val")
    outline = Outline(benchmark_page(found))
    seen = outline.seen
    assert pair_sentence(found.rounds[0].pairs[0], where(found.rounds[0].evaluations[0])) in seen
    assert all(doubt in seen for doubt in found.contamination)
    assert "FER2013 has label noise" in seen
    assert "FER2013" not in Outline(benchmark_page(replace(found, data="folder", contamination=()))).seen
    assert len(found.contamination) == 2
    outline.check_self_contained()
    assert len(outline.all("img")) == 4  # two intervals, two confusion matrices
    assert all(len(alt) > 30 for alt in outline.alts)


def test_page_of_several_models_starts_with_contamination() -> None:
    data = make_voted()
    y_N = data["val"].labels_N
    seen = Outline(benchmark_page(benchmark(entries({"a": 0.8, "b": 0.6, "knows": 0.0}, y_N), data, "val"))).seen
    assert "2 models compared with a: accuracy on 300 faces of fer2013, val, by the data's own labels." in seen
    assert seen.index("Implausible: knows has an accuracy") < seen.index("b is ")
    assert re.search(r"knows is [\d.]+ points of accuracy higher \([^)]+\)\. Implausible, see above\.", seen)
    assert "knows†" in seen
    assert "b†" not in seen
    assert "deduplicated: without faces that have a byte-identical duplicate in training." in seen


def test_table_in_80_columns_keeps_long_names_apart() -> None:
    data = make_voted()
    y_N = data["val"].labels_N
    found = benchmark(entries({"a": 0.5, "face-emotion-tiny": 0.4, "face-emotion-huge": 0.0}, y_N), data, "val")
    console = Console(width=80, file=io.StringIO())
    console.print(benchmark_tables(found)[0])
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    names = "".join(words[0] for words in lines if words)
    assert "face-emotion-tiny" in names
    assert "face-emotion-huge†" in names
    assert ["†", "implausible,", "see", "below"] in lines
