"""A run that is resumed on another machine: `auto` follows the machine, a precision that was asked for stays."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from mien.data.dataset import Dataset
from mien.train import Recipe, Run, train
from mien.train.loop import train_epochs


@pytest.fixture
def recipe(linear: Recipe) -> Recipe:
    return replace(linear, precision="auto", epochs=4)


def train_some(recipe: Recipe, data: Dataset, folder: Path, count: int, *, bf16: bool) -> None:
    """Train `count` epochs, or resume for so many, on a machine with or without bf16 arithmetic.

    No test has two machines, so what the hardware says of itself is replaced; bf16 is emulated where it is lacking.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.train.fabric._has_bf16", lambda device: bf16)
        with closing(train_epochs(recipe, data, folder, resume=True, progress=True)) as going:
            assert len(list(islice(going, count))) == count


def precisions(folder: Path) -> list[str]:
    return [epoch["precision"] for epoch in Run(folder).history]


def test_auto_continues_in_float32_without_bf16(
    recipe: Recipe, toy: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_some(recipe, toy, tmp_path, 2, bf16=True)
    assert "continuing" not in capfd.readouterr().err
    train_some(recipe, toy, tmp_path, 2, bf16=False)
    says = "this machine has no bf16 arithmetic: continuing in float32 (epochs 1-2 were trained in bf16)\n"
    assert capfd.readouterr().err.count(says) == 1
    assert precisions(tmp_path) == ["bf16", "bf16", "float32", "float32"]
    assert Run(tmp_path).checkpoint().state["history"] == list(Run(tmp_path).history)
    assert Run(tmp_path).machine["precision"] == "bf16-mixed"
    assert [(m["after_epoch"], m["precision"]) for m in Run(tmp_path).machine["resumed"]] == [(2, "32-true")]


def test_auto_continues_in_bf16_where_there_is_some(
    recipe: Recipe, toy: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_some(recipe, toy, tmp_path, 1, bf16=True)
    train_some(recipe, toy, tmp_path, 1, bf16=False)
    assert "float32 (epoch 1 was trained in bf16)" in capfd.readouterr().err
    train_some(recipe, toy, tmp_path, 1, bf16=False)
    assert "continuing" not in capfd.readouterr().err
    train_some(recipe, toy, tmp_path, 1, bf16=True)
    says = "this machine has bf16 arithmetic: continuing in bf16 (epochs 2-3 were trained in float32)\n"
    assert capfd.readouterr().err.count(says) == 1
    assert precisions(tmp_path) == ["bf16", "float32", "float32", "bf16"]


@pytest.mark.parametrize(("asked", "bf16"), [("bf16", False), ("float32", True)])
def test_a_precision_that_was_asked_for_stays(
    asked: str, bf16: bool, recipe: Recipe, toy: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(recipe, precision=asked)
    train_some(recipe, toy, tmp_path, 2, bf16=not bf16)
    train_some(recipe, toy, tmp_path, 2, bf16=bf16)
    assert "continuing" not in capfd.readouterr().err
    assert precisions(tmp_path) == [asked] * 4


def test_a_finished_run_says_nothing_of_precision(
    recipe: Recipe, toy: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even where a lost file makes it unfinished: the file is written again, and nothing is trained."""
    train_some(replace(recipe, epochs=1), toy, tmp_path, 1, bf16=True)
    (tmp_path / "predictions-val.npy").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.train.fabric._has_bf16", lambda device: False)
        assert train(replace(recipe, epochs=1), toy, tmp_path, resume=True, progress=True).finished
    assert "continuing" not in capfd.readouterr().err
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["precision"] == "bf16"
