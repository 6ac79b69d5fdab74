"""From records to a comparison: pairing, curves, the verdict's sentence, and what is refused."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mien.data.dataset import PUBLISHED, Dataset
from mien.errors import MienError
from mien.evaluation.comparison.compare import compare
from mien.evaluation.comparison.verdict import NOT_SHOWN, SHOWN, TOO_FEW_SEEDS, VerdictBasis, points, verdict
from mien.evaluation.report.terminal import comparison_table
from mien.evaluation.statistics.intervals import BOTH, FACES

from ..conftest import make_dataset, make_records

GROUND = VerdictBasis("sketch", "test", "", 3, 1000, "after the last epoch")


def _steady(share: float, seeds: int = 3, faces: int = 1000) -> np.ndarray:
    """Right on the first `share` of the faces, the seeds a face or two apart."""
    counts = [round(share * faces) + s for s in range(seeds)]
    return np.array([[float(i < n) for i in range(faces)] for n in counts])


def test_verdict_of_a_clear_difference_is_shown() -> None:
    v = verdict("plain", "noisy", (_steady(0.5), _steady(0.6)), (_steady(0.5), _steady(0.6)), GROUND)
    assert (v.finding, v.accuracy.covers) == (SHOWN, BOTH)
    assert v.per_seed == pytest.approx((0.1, 0.1, 0.1))
    assert v.sentence == (
        "noisy is better than plain: +10.0 points of accuracy, 95 % interval +8.2 to +11.8. "
        "Measured after the last epoch on sketch, test; 3 random seeds per arm, 1,000 faces."
    )
    back = verdict("noisy", "plain", (_steady(0.6), _steady(0.5)), (_steady(0.6), _steady(0.5)), GROUND)
    assert back.sentence.startswith("plain is worse than noisy: −10.0 points of accuracy, 95 % interval −11.8 to −8.2.")


def test_verdict_of_a_noisy_difference_is_not_shown() -> None:
    wild = np.stack([_steady(0.5, 1)[0], _steady(0.56, 1)[0], _steady(0.49, 1)[0]])
    v = verdict("plain", "wild", (_steady(0.5), wild), (_steady(0.5), wild), GROUND)
    assert v.finding == NOT_SHOWN
    assert v.sentence.startswith("No significant difference between wild and plain: +1.6 points of accuracy, 95 % ")
    assert v.accuracy.low < 0 < v.accuracy.high


@pytest.mark.parametrize("seeds", [1, 2])
def test_verdict_with_fewer_than_three_seeds_is_undecided(seeds: int) -> None:
    ground = replace(GROUND, seeds=seeds)
    both = (_steady(0.1, seeds), _steady(0.9, seeds))
    v = verdict("plain", "noisy", both, both, ground)
    assert (v.finding, v.accuracy.covers) == (TOO_FEW_SEEDS, FACES)
    assert v.sentence.startswith(f"Not enough seeds to decide ({seeds} of 3 needed). noisy − plain: +80.0 points")
    assert f"{seeds} random seed{'s' * (seeds > 1)} per arm, 1,000 faces" in v.sentence
    assert "(it accounts for variation of faces only)" in v.sentence


def test_verdict_prints_no_bound_as_zero_that_is_not() -> None:
    shift = np.zeros((3, 100_000))
    shift[:, :40] = 1.0
    v = verdict("a", "b", (np.zeros_like(shift), shift), (np.zeros_like(shift), shift), replace(GROUND, faces=100_000))
    assert v.finding == SHOWN
    assert "b is better than a: +0.04 points" in v.sentence
    assert "95 % interval +0.03 to +0.05" in v.sentence
    assert [points(0.0), points(-0.0001), points(-0.004)] == ["0.0", "0.0", "−0.4"]


def test_compare_gives_a_verdict_on_test_for_each_arm(dataset: Dataset) -> None:
    c = compare(make_records(dataset, {"plain": 0.5, "better": 0.8, "same": 0.5}), dataset)
    assert c.split == "test"
    assert [(v.a, v.b, v.finding) for v in c.verdicts] == [
        ("plain", "better", SHOWN),
        ("plain", "same", NOT_SHOWN),
    ]
    assert "on FER2013, test (PrivateTest); " in c.verdicts[0].sentence


def test_compare_without_test_labels_uses_validation() -> None:
    lacking = make_dataset({"train": 200, "val": 300})
    c = compare(make_records(lacking, {"plain": 0.5, "better": 0.8}), lacking)
    assert "on FER2013, validation (PublicTest), because there is no test split; " in c.verdicts[0].sentence
    blank = make_dataset(unlabelled=("test",), name="sketch", known_as=None)
    c = compare(make_records(blank, {"plain": 0.5, "better": 0.8}), blank)
    assert "on sketch, validation, because the test split has no labels; " in c.verdicts[0].sentence
    assert c.splits == ("val",)
    assert c.data.unlabelled == {"test": 300}


def test_compare_on_unknown_content_does_not_say_fer2013() -> None:
    other = make_dataset(known_as=None)
    c = compare(make_records(other, {"plain": 0.5, "better": 0.8}), other)
    assert not c.data.is_original
    assert "on faces.csv (in the format of FER2013), test (PrivateTest); " in c.verdicts[0].sentence


def test_compare_on_as_many_faces_says_copy_of_fer2013(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = make_dataset(known_as=None)
    monkeypatch.setitem(PUBLISHED, "val", len(copy["val"]))
    c = compare(make_records(copy, {"plain": 0.5, "better": 0.8}), copy)
    assert not c.data.is_original
    assert "on faces.csv (a copy of FER2013), test (PrivateTest); " in c.verdicts[0].sentence


def test_curves_gaps_and_peaks(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    arm = compare(runs, dataset).arms[1]
    own = [r.history for r in runs if r.arm == "better"]
    assert arm.curves["train_loss"].mean_E == pytest.approx([2, 1, 2 / 3, 0.5])
    assert arm.curves["val_accuracy"].std_E == pytest.approx([0.002] * 4)
    assert arm.curves["gap_train_eval"].values_SE[1, 3] == pytest.approx(0.88 - own[1][3]["val_accuracy"])
    assert arm.curves["gap_running"].values_SE[2, 0] == pytest.approx(0.2 - own[2][0]["val_accuracy"])
    assert (arm.peaks, arm.peak_of_mean, arm.epochs) == ((3, 3, 3), 3, 4)
    assert arm.seconds.mean == 61
    assert arm.seconds.std == pytest.approx(1)


def test_scores_come_from_the_predictions(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    score = compare(runs, dataset).arms[0].scores["val"]
    hits = [(r.probabilities["val"].argmax(1) == dataset["val"].labels_N).mean() for r in runs[:3]]
    assert score.accuracy.per_seed == pytest.approx(tuple(hits))
    assert score.accuracy.std == pytest.approx(np.std(hits, ddof=1))
    assert score.accuracy_interval.covers == BOTH
    assert score.confusion_KK.sum() == 3 * 300
    assert score.macro_f1_interval.mean == pytest.approx(score.macro_f1.mean)
    assert score.f1.mean() == pytest.approx(score.macro_f1.mean)


def test_deduplicated_scores_leave_out_training_duplicates(dataset: Dataset) -> None:
    train, val = dataset["train"], dataset["val"]
    known_NHW = val.pixels_NHW.copy()
    known_NHW[:120] = train.pixels_NHW[:120]
    twinned = replace(dataset, splits={**dataset.splits, "val": replace(val, pixels_NHW=known_NHW)})
    runs = make_records(twinned, {"plain": 0.5, "better": 0.8})
    arm = compare(runs, twinned).arms[0]
    hits = [(r.probabilities["val"].argmax(1) == val.labels_N)[120:].mean() for r in runs[:3]]
    assert arm.deduplicated["val"].n == 180
    assert arm.deduplicated["val"].accuracy.per_seed == pytest.approx(tuple(hits))
    assert arm.to_dict(twinned.labels.names)["scores_deduplicated"]["val"]["accuracy"]["per_seed"] == pytest.approx(
        hits
    )
    assert arm.deduplicated["test"].accuracy == arm.scores["test"].accuracy
    assert arm.scores["val"].n == 300


def test_compare_ignores_the_order_of_records_in_an_arm(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    assert compare([runs[2], *runs[3:], *runs[:2]], dataset).to_dict() == compare(runs, dataset).to_dict()
    assert compare(runs[::-1], dataset).arms[0].arm == "better"


def test_one_seed_has_no_spread(dataset: Dataset) -> None:
    c = compare(make_records(dataset, {"plain": 0.5, "better": 0.8}, seeds=1), dataset)
    score = c.arms[0].scores["test"]
    assert score.accuracy.std is None
    assert score.accuracy_interval.covers == FACES
    assert c.verdicts[0].finding == TOO_FEW_SEEDS


def test_json_round_trip_and_keys(dataset: Dataset) -> None:
    result = compare(make_records(dataset, {"plain": 0.5, "better": 0.8}), dataset).to_dict()
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result
    assert "private" not in text  # no folder of the user's
    assert set(result) == {"data", "protocol", "verdicts", "arms"}
    assert set(result["arms"][0]) == {
        "arm", "seeds", "epochs", "lengths", "selected_by", "selected_epoch", "curves", "validation_peak_epoch",
        "scores",
        "scores_deduplicated", "seconds", "images_per_second", "machines", "recipe",
    }  # fmt: skip
    assert (result["protocol"]["evaluated_at"], result["protocol"]["selected_by"]) == ("last epoch", None)
    assert (result["arms"][0]["selected_by"], result["arms"][0]["selected_epoch"]) == (None, {"per_seed": [4, 4, 4]})
    assert set(result["verdicts"][0]) == {
        "a", "b", "finding", "sentence", "data", "split", "reason", "seeds", "faces", "accuracy_difference",
        "macro_f1_difference", "accuracy_difference_per_seed",
    }  # fmt: skip
    assert result["protocol"]["splits"].startswith("official")


def test_the_table_for_the_terminal(dataset: Dataset) -> None:
    screen = Console(file=io.StringIO(), width=140)
    c = compare(make_records(dataset, {"[b]plain": 0.5, "better": 0.8}), dataset)
    screen.print(comparison_table(c))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "[b]plain" in shown
    assert f"{100 * c.arms[1].scores['test'].accuracy.mean:.1f} ± " in shown


def test_compare_accepts_precision_in_some_histories(dataset: Dataset) -> None:
    """Of three seeds one is from before it was recorded, and one was resumed on another machine."""
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8}, epochs=4)
    words = {0: (), 1: ("float32",) * 4, 2: ("bf16", "bf16", "float32", "float32")}
    mixed = [
        replace(r, history=tuple({**e, "precision": w} for e, w in zip(r.history, words[r.seed], strict=True)))
        if words[r.seed]
        else r
        for r in runs
    ]
    assert compare(mixed, dataset).to_dict() == compare(runs, dataset).to_dict()


def test_compare_of_unlike_runs_raises(dataset: Dataset) -> None:
    runs = make_records(dataset, {"plain": 0.5, "better": 0.8})
    short = {**runs[0].probabilities, "test": runs[0].probabilities["test"][:-1]}
    lame = tuple({**e, "train_loss": float("nan")} for e in runs[0].history)
    cases = [
        ([], "needs finished runs"),
        (runs[:3], "two or more arms, got plain"),
        (runs[:-1], r"'plain' has the seeds \[0, 1, 2\] and 'better' has \[0, 1\]"),
        ([*runs, runs[0]], r"'plain' has a seed twice: \[0, 0, 1, 2\]"),
        ([replace(runs[0], digest="d2"), *runs[1:]], "trained on other data .digest d2."),
        (
            [replace(runs[0], truth="ferplus8 by the majority of FER+ votes"), *runs[1:]],
            r"'plain' seed 0 was evaluated against ferplus8 by .*, and this comparison uses fer7 by its own",
        ),
        ([replace(runs[0], probabilities=short), *runs[1:]], r"must have the shape \[300,7\], got \[299, 7\]"),
        (
            [replace(runs[0], probabilities={}), *runs[1:]],
            "1 of 6 runs have no predictions for split 'val', first 'plain' seed 0",
        ),
        ([replace(runs[0], history=()), *runs[1:]], "'plain' seed 0 has no finished epoch"),
        ([replace(runs[0], history=runs[0].history[:3]), *runs[1:]], "runs of one arm must have the same epochs"),
        ([replace(runs[0], history=runs[0].history[1:]), *runs[1:]], r"epochs must be 1, 2, 3, ..., got \[2, 3, 4\]"),
        ([replace(runs[0], history=lame), *runs[1:]], "train_loss is not finite in epoch 1"),
        ([replace(runs[0], recipe={**runs[0].recipe, "lr": 1.0}), *runs[1:]], "different recipes: lr in"),
        (
            [replace(r, probabilities={}) for r in runs],
            "no labeled split 'val' or 'test' with predictions of the runs",
        ),
    ]
    for given, wanted in cases:
        with pytest.raises(MienError, match=wanted):
            compare(given, dataset)
    # Digest and truth are compared only where a run tells them.
    compare([replace(r, digest="d1", truth="fer7 by its own labels") for r in runs], dataset)
