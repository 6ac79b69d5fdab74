"""Comparison of recipes on a toy: runs that are trained, reused and refused; the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.errors import MissingSplit, RunError
from mien.train import Recipe, compare, find_recipe
from mien.train.compare import augmentation_sheet, examples


@pytest.fixture(scope="module")
def arms(small: Recipe) -> list[Recipe]:
    """Two arms of one epoch that differ in augmentation alone."""
    return [replace(small, name="plain", augment=(), epochs=1), replace(small, name="changed", epochs=1)]


@pytest.fixture(scope="module")
def folder(toy: Dataset, arms: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison with two seeds."""
    out = tmp_path_factory.mktemp("study")
    compare(toy, arms, seeds=2, out=out)
    return out


def test_compare_trains_all_arms_and_writes_the_report(folder: Path) -> None:
    assert {f.name for f in folder.iterdir() if f.is_dir()} == {
        "plain-seed0", "plain-seed1", "changed-seed0", "changed-seed1", "plots",
    }  # fmt: skip
    written = json.loads((folder / "comparison.json").read_text())
    assert [arm["arm"] for arm in written["arms"]] == ["plain", "changed"]
    assert written["arms"][0]["seeds"] == [0, 1]
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_compare_reuses_runs_and_trains_new_seeds(folder: Path, toy: Dataset, arms: list[Recipe]) -> None:
    before = (folder / "plain-seed0" / "checkpoint.safetensors").stat().st_mtime_ns
    result = compare(toy, arms, seeds=[0, 1, 5], out=folder)
    assert (folder / "plain-seed0" / "checkpoint.safetensors").stat().st_mtime_ns == before
    assert (folder / "changed-seed5").is_dir()
    assert result.verdicts[0].basis.seeds == 3
    own = [arm.scores["test"].accuracy.mean for arm in result.arms]
    assert result.verdicts[0].accuracy.mean == pytest.approx(own[1] - own[0])


def test_compare_run_with_other_settings_is_refused(folder: Path, toy: Dataset, arms: list[Recipe]) -> None:
    with pytest.raises(
        RunError, match=r"plain-seed0 contains a run with other settings \(recipe\.lr=0\.003 instead of 0\.1\)"
    ):
        compare(toy, [replace(arm, lr=0.1) for arm in arms], seeds=2, out=folder)


@pytest.mark.parametrize("seeds", [[], [1, 1], 0])
def test_compare_seeds_empty_or_equal_are_refused(
    seeds: list[int] | int, toy: Dataset, arms: list[Recipe], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="seeds must be one or more different numbers"):
        compare(toy, arms, seeds=seeds, out=tmp_path)


@pytest.mark.slow
def test_compare_without_test_split_uses_validation(
    make_toy: Callable[..., Dataset], arms: list[Recipe], tmp_path: Path
) -> None:
    sentence = compare(make_toy(test=0), arms, seeds=1, out=tmp_path).verdicts[0].sentence
    assert "validation, because there is no test split" in sentence


def test_compare_without_evaluation_split_is_refused(
    make_toy: Callable[..., Dataset], arms: list[Recipe], tmp_path: Path
) -> None:
    for data in (make_toy(val=0, test=0), make_toy(val=1, test=0)):
        with pytest.raises(MissingSplit, match="cannot be compared"):
            compare(data, arms, seeds=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_compare_finishes_an_unfinished_run(toy: Dataset, arms: list[Recipe], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    shutil.copytree(folder / "plain-seed0", out / "plain-seed0")
    (out / "plain-seed0" / "metrics.jsonl").write_text("")  # stopped between the checkpoint and the metrics
    compare(toy, arms, seeds=1, out=out)
    assert (out / "plain-seed0" / "metrics.jsonl").read_text() == (folder / "plain-seed0" / "metrics.jsonl").read_text()


def test_augmentation_sheet_is_an_image(toy: Dataset, tmp_path: Path) -> None:
    recipes = [find_recipe(n) for n in ("seed", "seed_augmented")]
    sheet = augmentation_sheet(toy, recipes, tmp_path / "new" / "sheet.png")
    high, wide, _ = cv2.imread(str(sheet)).shape
    assert min(high, wide) > 200
    with pytest.raises(RunError, match="cannot write"):
        augmentation_sheet(toy, recipes, sheet / "below-a-file.png")


def test_examples_show_each_augmentation_once(toy: Dataset) -> None:
    shown = examples(toy, [find_recipe(n) for n in ("seed", "seed_augmented", "seed_augmented_as_run")])
    assert [name.split("(")[0] for name, _, _ in shown] == [
        "flip",
        "cutout",
        "gaussiannoise",
        "cutout",
        "blankedbynoise",
    ]
    for _, before_HW, after in shown:
        assert before_HW.shape == (48, 48)
        assert any(not np.array_equal(before_HW, image) for image in after)
