"""Robustness, accuracy with face detection, and the page of the full evaluation."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mien.data import Dataset, Split
from mien.errors import MienError
from mien.evaluation import EvaluationReport, evaluate, extend_report
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.detector_loop import run_detector_loop
from mien.evaluation.full_report import count_steps
from mien.evaluation.protocols import ModelEvaluation, evaluate_split
from mien.evaluation.report.curves import reliability_diagram
from mien.evaluation.report.pages import full_report_page
from mien.evaluation.robustness import Robustness, difference, measure_robustness
from mien.imaging.crop import DEFAULT_CROP_RULE
from mien.imaging.load import read_image
from mien.labels import LabelSet
from mien.recognition import sample

from .conftest import make_dataset
from .outline import Outline
from .voted import make_voted, said

HOSTILE = "<script>n</script>"
TWO = LabelSet("two", ("dark", "bright"))
FEW = {name: CORRUPTIONS[name] for name in ("contrast", "brightness")}


def by_light(faces_NHW: np.ndarray) -> np.ndarray:
    """Return the probabilities of a model that distinguishes dark from bright faces."""
    bright_N = faces_NHW.mean((1, 2)) / 255
    return np.column_stack([1 - bright_N, bright_N])


@pytest.fixture
def lights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y_N = np.arange(12) % 2
    return (60 + 130 * y_N[:, None, None] + rng.integers(0, 9, (12, 48, 48))).astype(np.uint8), y_N


def test_robustness_averages_all_severities(lights: tuple[np.ndarray, np.ndarray]) -> None:
    faces, y_N = lights
    done: list[int] = []
    models = {"light": by_light, "fixed": lambda f: np.tile([0.9, 0.1], (len(f), 1))}
    light, fixed = measure_robustness(models, faces, y_N, corruptions=FEW, step=lambda: done.append(1))
    assert len(done) == 10
    assert light.unaltered == 1
    assert light.accuracy["contrast"] == (1, 1, 1, 1, 1)
    # 60 + 100 is bright and 190 - 100 is dark; half of the faces become each.
    assert light.accuracy["brightness"][0] == 1
    assert 0 < light.accuracy["brightness"][4] < 1
    assert light.mean.mean == pytest.approx(np.mean([*light.accuracy["contrast"], *light.accuracy["brightness"]]))
    assert light.mean.low < light.mean.mean < light.mean.high
    assert fixed.accuracy["contrast"] == (0.5,) * 5
    assert difference(light, fixed).mean == pytest.approx(light.mean.mean - 0.5)
    record = json.loads(json.dumps(light.to_dict(), allow_nan=False))
    assert record["accuracy"]["contrast"]["severities"] == list(CORRUPTIONS["contrast"].severities)
    with pytest.raises(MienError, match="two or more are needed"):
        measure_robustness(models, faces[:1], y_N[:1])


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Return the face of the sample image, cropped as in FER2013, uint8 [48,48]."""
    grey = cv2.cvtColor(read_image(sample()), cv2.COLOR_BGR2GRAY)
    from mien.detection.detectors import build_detector

    box = build_detector("yunet")(np.dstack([grey] * 3))[0].box
    side = max(box.width, box.height)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    part = grey[int(y - side / 2) : int(y + side / 2), int(x - side / 2) : int(x + side / 2)]
    return cv2.resize(part, (48, 48), interpolation=cv2.INTER_AREA)


def test_detector_loop_counts_missed_faces_as_wrong(face: np.ndarray) -> None:
    blank = np.full((48, 48), 90, np.uint8)
    faces = np.stack([face, face, blank, face, blank])
    found: list[int] = []
    result = run_detector_loop(
        lambda f: np.tile([0.2, 0.8], (len(f), 1)),
        DEFAULT_CROP_RULE,
        faces,
        np.array([1, 1, 1, 0, 0]),
        step=lambda: found.append(1),
    )
    assert (result.n, result.found, len(found)) == (5, 3, 3)
    assert result.original == result.accuracy == pytest.approx(2 / 3)
    assert result.accuracy_of_all == pytest.approx(2 / 5)
    assert result.accuracy_loss.mean == 0
    json.dumps(result.to_dict(), allow_nan=False)
    with pytest.raises(MienError, match="found 0 of 2 faces"):
        run_detector_loop(by_light, DEFAULT_CROP_RULE, np.stack([blank, blank]), np.array([0, 1]))


def test_detector_loop_crops_the_pasted_face(face: np.ndarray) -> None:
    seen: list[np.ndarray] = []

    def ask(faces_NHW: np.ndarray) -> np.ndarray:
        seen.append(faces_NHW)
        return by_light(faces_NHW)

    run_detector_loop(ask, DEFAULT_CROP_RULE, np.stack([face] * 4), np.zeros(4, np.int64), max_rotation=0)
    before, after = (s.reshape(4, -1).astype(float) for s in seen)
    assert min(np.corrcoef(b, a)[0, 1] for b, a in zip(before, after, strict=True)) > 0.8


def evaluated(data: Dataset, robust: bool) -> EvaluationReport:
    val = data["val"]
    judged = evaluate_split(
        said(val.labels_N, 0.3), val.rows_N, data, data, "val", model=HOSTILE, selected_on=("epoch",)
    )
    found = EvaluationReport(judged)
    if not robust:
        return found
    small = Split("val", val.pixels_NHW[:6], val.labels_N[:6], val.rows_N[:6])
    models = {HOSTILE: lambda f: said(small.labels_N, 0.3), "other": lambda f: said(small.labels_N, 0.6)}
    assert count_steps(small, robustness=True, detector=False) == 60
    return extend_report(found, models, small, DEFAULT_CROP_RULE, robustness=True)


def test_robustness_interval_stays_within_zero_and_one() -> None:
    for kept in ([0.0, 0.0, 0.9], [1.0, 1.0, 0.1]):
        few = Robustness("few", np.ones(3, bool), {}, np.array(kept)).mean
        assert (few.low, few.high).count(0.0 if few.mean < 0.5 else 1.0) == 1
        assert 0 <= few.low < few.mean < few.high <= 1


@pytest.mark.slow
def test_page_with_empty_class_explains_macro_f1() -> None:
    (e, *_) = evaluated(make_dataset(), robust=False).model_evaluation.evaluations
    for support in (5, 0):
        per_class = replace(e.per_class, support=np.array([support, *e.per_class.support[1:]]))
        page = full_report_page(EvaluationReport(ModelEvaluation((replace(e, per_class=per_class),))))
        assert ("A class without faces counts as 0 in macro-F1" in page) is (support == 0)


def test_page_without_robustness_has_no_such_section() -> None:
    found = evaluated(make_dataset(), robust=False)
    assert not {"robustness", "detector"} & set(found.to_dict())
    seen = Outline(full_report_page(found)).seen
    assert "Robustness to image corruptions" not in seen
    assert "Accuracy with face detection" not in seen
    assert "Accuracy when uncertain faces are skipped" in seen
    assert "majority vote" not in seen


def test_page_has_all_sections_and_is_self_contained() -> None:
    found = evaluated(make_voted(), robust=True)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert "minus_the_first" in record["robustness"][1]
    page = full_report_page(found)
    outline = Outline(page)
    outline.check_self_contained()
    official = found.model_evaluation.official
    seen = outline.seen
    assert f"{HOSTILE}: accuracy {100 * official.accuracy:.1f} % on 300 faces, by the data's own labels" in seen
    assert "this split also selected the epoch, so its metrics are optimistic." in seen
    for heading in (
        "Metrics by protocol",
        "Calibration",
        "uncertain faces are skipped",
        "Metrics of each class",
        "Notes",
    ):
        assert heading in seen
    assert "low resolution" in seen
    assert f"minus {found.robustness[0].model}, points" in seen
    alone = Outline(full_report_page(replace(found, robustness=found.robustness[:1]))).seen
    assert "low resolution" in alone
    assert "minus" not in alone  # a column that would be empty
    assert "differences between such groups are not measured" in seen
    assert len(outline.all("img")) == 6  # 2 reliability diagrams, risk-coverage, 2 confusion matrices, robustness
    assert all(len(alt) > 30 for alt in outline.alts)


@pytest.mark.slow
def test_page_notes_depend_on_data_and_votes() -> None:
    for name in ("fer2013", "folder"):
        voted, plain = (replace(make(), name=name) for make in (make_voted, make_dataset))
        with_votes, without = (Outline(full_report_page(evaluated(data, robust=False))).seen for data in (voted, plain))
        assert ("FER2013 has label noise" in without) is (name == "fer2013")
        assert "majority vote: without faces that have no majority among these classes" in with_votes
        assert "These are the easier ones" in with_votes
        assert "easier ones" not in without
        assert "have no majority" not in without


@pytest.mark.slow
def test_page_with_flip_explains_the_two_temperatures() -> None:
    data = make_dataset()
    (e, *_) = evaluated(data, robust=False).model_evaluation.evaluations
    for tta, titles in (("none", ["without temperature", "with temperature"]),
                        ("flip", ["as predicted", "with a second temperature"])):  # fmt: skip
        one = replace(e, tta=tta)
        drawn = [axes.get_title("left").partition("\n")[0] for axes in reliability_diagram(one).axes]
        assert drawn[:2] == titles
        seen = Outline(full_report_page(EvaluationReport(ModelEvaluation((one,))))).seen
        assert ("the mean of two predictions" in seen) is (tta == "flip")


def test_page_of_two_classes_with_flip() -> None:
    e = evaluate(
        np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), np.array([0, 1]), TWO, split="test", model="m", data="d"
    )
    seen = Outline(full_report_page(EvaluationReport(ModelEvaluation((replace(e, tta="flip"),))))).seen
    assert "averaged with the mirror image" in seen
