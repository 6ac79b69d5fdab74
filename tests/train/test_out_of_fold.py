"""Out-of-fold predictions find wrong labels; duplicates share a fold; the experiment runs on a toy."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mien.data import Dataset, sketch, write_csv
from mien.errors import RunError
from mien.train import Recipe, Run, apply_overrides, out_of_fold
from mien.train.label_noise.scores import rank_by_confident_learning, read_label_noise
from mien.train.out_of_fold import assign_folds
from test_docs import write_votes


@pytest.fixture(scope="module")
def spoiled(make_toy: Callable[..., Dataset]) -> Dataset:
    """A toy of 140 faces, the first 14 of which have the label of another class."""
    toy = make_toy(train=140, val=0, test=0)
    labels_N = toy["train"].labels_N.copy()
    labels_N[:14] = (labels_N[:14] + 3) % 7
    return replace(toy, splits={"train": replace(toy["train"], labels_N=labels_N)})


@pytest.fixture
def quick(linear: Recipe) -> Recipe:
    return replace(linear, optimizer="adam", lr=0.001, epochs=8)


def test_wrong_labels_rank_first_and_the_call_resumes(spoiled: Dataset, quick: Recipe, tmp_path: Path) -> None:
    label_noise = out_of_fold(quick, spoiled, tmp_path, folds=2)
    first = rank_by_confident_learning(spoiled["train"].labels_N, label_noise.of(spoiled["train"].rows_N))[:14]
    assert (first < 14).mean() > 0.8
    assert read_label_noise(tmp_path / "label_noise.npz").digest == label_noise.digest
    fold_N = assign_folds(spoiled, 2, seed=0)
    for fold in (0, 1):
        run = Run(tmp_path / f"fold{fold}")
        np.testing.assert_array_equal(run.predictions()["val"], label_noise.probs_NK[fold_N == fold])
        assert run.identity["data"]["faces"] == {
            "train": int((fold_N != fold).sum()),
            "val": int((fold_N == fold).sum()),
        }
    before = (tmp_path / "fold0" / "checkpoint.safetensors").stat().st_mtime_ns
    assert out_of_fold(quick, spoiled, tmp_path, folds=2).digest == label_noise.digest
    assert (tmp_path / "fold0" / "checkpoint.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunError, match=r"other settings \(data\.digest="):
        out_of_fold(quick, spoiled, tmp_path, folds=3)


def test_duplicates_share_a_fold_and_classes_are_stratified(make_toy: Callable[..., Dataset]) -> None:
    toy = make_toy(train=84, val=0, test=0)
    train = toy["train"]
    pixels_NHW = train.pixels_NHW.copy()
    for copy, of in ((20, 3), (50, 20), (51, 4), (83, 51)):
        pixels_NHW[copy] = pixels_NHW[of]
    data = replace(toy, splits={**toy.splits, "train": replace(train, pixels_NHW=pixels_NHW)})
    fold_N = assign_folds(data, 3, seed=0)
    assert len(set(fold_N[[3, 20, 50]])) == len(set(fold_N[[4, 51, 83]])) == 1
    assert set(fold_N) == set(range(3))
    counts_FK = np.array([np.bincount(train.labels_N[fold_N == fold], minlength=7) for fold in range(3)])
    assert np.ptp(counts_FK, axis=0).max() <= 4  # one, were it not for the copies
    assert (assign_folds(data, 3, seed=0) == fold_N).all()
    assert (assign_folds(data, 3, seed=1) != fold_N).any()


@pytest.mark.parametrize(
    ("settings", "folds", "says"),
    [
        ([], 1, "folds must be from 2 to"),
        ([], 141, "training faces, 140, got 141"),
        (["scheme=expected"], 2, "learns from more than the labels"),
        (["label_set=ferplus8"], 2, "learns from more than the labels"),
        (["teacher=base"], 2, "learns from more than the labels"),
    ],
)
def test_unfit_folds_or_recipe_is_refused(
    settings: list[str], folds: int, says: str, spoiled: Dataset, quick: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=says):
        out_of_fold(apply_overrides(quick, settings), spoiled, tmp_path / "out", folds=folds)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Import experiments/noise.py, which is not in a package."""
    file = Path(__file__).parents[2] / "experiments" / "noise.py"
    spec = importlib.util.spec_from_file_location("noise_experiment", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_precision_by_hand(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "FIRST", (2, 4, 9))
    wrong_N, known_N = np.array([0, 1, 0, 0, 1, 1], bool), np.array([1, 1, 0, 1, 1, 1], bool)
    assert script.precision(np.array([4, 2, 0, 1, 5, 3]), wrong_N, known_N) == {"2": 0.5, "4": 0.75}


def test_mislabelled_faces_by_votes(script: ModuleType, make_voted: Callable[..., Dataset]) -> None:
    """In the toy the raters' first choice is the label; of eight faces one is contempt, two have no majority."""
    wrong_N, known_N = script.mislabeled_masks(make_voted())
    place = np.arange(len(wrong_N)) % 8
    assert (wrong_N == (place == 6)).all()
    assert (known_N == ~np.isin(place, (5, 7))).all()


def test_experiment_resumes_and_writes_its_record(
    script: ModuleType, quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = sketch(train=70, val=21, test=0)
    write_csv(tmp_path / "fer2013.csv", drawn)
    write_votes(tmp_path / "votes.csv", drawn)
    monkeypatch.setattr(script, "recipe_of", lambda epochs: replace(quick, epochs=epochs, batch=32))
    monkeypatch.setattr(script, "FIRST", (10,))
    changes = {"nothing": [], "worst dropped": ["drop_noisy=0.1"], "worst softened": ["soften_noisy=0.2"]}
    monkeypatch.setattr(script, "CHANGES", changes)
    words = [tmp_path / "fer2013.csv", tmp_path / "votes.csv", tmp_path / "runs", "--folds=2", "--epochs=1"]
    given: argparse.Namespace = script.options().parse_args(
        [*map(str, words), "--seeds=1", f"--json={tmp_path}/n.json"]
    )
    script.main(given)
    record = json.loads((tmp_path / "n.json").read_text())
    assert [row["change"] for row in record["changes"]] == list(changes)
    assert record["rankings"]["random"] == {"10": 0.0}  # the raters agree with every label
    assert set(record["rankings"]) == {"confident learning", "loss, label not learned", "loss, label learned", "random"}
    assert "labels, official" in record["changes"][0]["runs"][0]["accuracy"]
    script.main(given)
    again = json.loads((tmp_path / "n.json").read_text())
    assert {**again, "when": record["when"]} == record
