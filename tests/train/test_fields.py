"""Each field of a recipe has its effect in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.data.dataset import Dataset
from mien.errors import MissingSplit
from mien.train import Recipe, Run, predict, train
from mien.train.batches import Faces, training_batches

ALL_AT_ONCE = {
    "accumulate": 2, "schedule": "cosine", "warmup": 0.5, "label_smoothing": 0.1, "class_weights": 0.5,
    "balanced_sampling": 0.5, "ema": 0.9, "select": "val_loss", "patience": 9,
}  # fmt: skip


def weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(run.checkpoint().model)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_accumulated_batches_equal_one_large_batch(linear: Recipe, toy: Dataset, tmp_path: Path) -> None:
    """96 faces in steps of 40, 40 and 16: the last step is smaller, and so is its last batch."""
    whole = train(replace(linear, batch=40), toy, tmp_path / "whole")
    parts = train(replace(linear, batch=10, accumulate=4), toy, tmp_path / "parts")
    single = train(replace(linear, batch=10), toy, tmp_path / "single")
    for key, tensor in weights(whole).items():
        assert torch.allclose(tensor, weights(parts)[key], atol=1e-6)
        assert not torch.allclose(tensor, weights(single)[key], atol=1e-4)
    assert parts.history[0]["train_loss"] == pytest.approx(whole.history[0]["train_loss"], rel=1e-5)


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("triangular", 1 / 6), ("cosine", 0.0669873)])
def test_learning_rate_follows_its_schedule(
    schedule: str, last: float, small: Recipe, toy: Dataset, tmp_path: Path
) -> None:
    recipe = replace(small, schedule=schedule)  # 2 epochs of 3 steps; the last begins at 5/6 of the way
    assert train(recipe, toy, tmp_path).history[-1]["lr"] == pytest.approx(recipe.lr * last)


def test_warm_up_is_counted_in_epochs(small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    history = train(replace(small, warmup=4 / 3), toy, tmp_path).history  # 4 of 6 steps
    assert [e["lr"] for e in history] == pytest.approx([small.lr * 3 / 4, small.lr])


def test_balanced_sampling_shows_rare_classes_more_often(small: Recipe, toy: Dataset) -> None:
    keep_N = np.flatnonzero((toy["train"].labels_N != 1) | (np.arange(96) < 24))
    labels_N = torch.from_numpy(toy["train"].labels_N[keep_N])
    pixels_NCHW = torch.from_numpy(toy["train"].pixels_NHW[keep_N]).unsqueeze(1)
    faces = Faces(pixels_NCHW, labels_N, functional.one_hot(labels_N, 7).float())

    def seen(power: float) -> torch.Tensor:
        recipe = replace(small, augment=(), balanced_sampling=power)
        labels_N = torch.cat([batch.target_BK.argmax(1) for batch in training_batches(faces, recipe, seed=0, epoch=1)])
        assert len(labels_N) == len(faces)
        return torch.bincount(labels_N, minlength=7)

    assert seen(0).tolist() == torch.bincount(faces.labels_N, minlength=7).tolist()
    assert seen(0)[1] < seen(0.5)[1] < seen(1)[1]
    assert seen(1).max() - seen(1).min() <= 1


@pytest.mark.parametrize(
    ("field", "value"), [("class_weights", 1.0), ("balanced_sampling", 1.0), ("label_smoothing", 0.2), ("ema", 0.5)]
)
def test_field_changes_the_training(
    field: str, value: float, one_epoch: Run, small: Recipe, toy: Dataset, tmp_path: Path
) -> None:
    plain, changed = one_epoch, train(replace(small, epochs=1, **{field: value}), toy, tmp_path / "changed")
    if field == "ema":  # the weights that are trained are the same, those that are evaluated are not
        assert equal(weights(plain), weights(changed))
    else:
        assert not equal(weights(plain), weights(changed))
    assert not equal(dict(plain.checkpoint().evaluated_weights), dict(changed.checkpoint().evaluated_weights))


def test_weighted_loss_finds_more_of_the_rare_class(linear: Recipe, toy: Dataset, tmp_path: Path) -> None:
    """Eleven faces of twelve are of one class; each class has a bar of its own, in noise."""
    labels_N = toy["train"].labels_N
    few_N = np.flatnonzero((labels_N != 3) & (np.arange(96) % 12 == 0))
    keep_N = np.concatenate([np.tile(np.flatnonzero(labels_N == 3), 9), few_N])
    rare = replace(
        toy["train"],
        pixels_NHW=toy["train"].pixels_NHW[keep_N],
        labels_N=labels_N[keep_N],
        rows_N=np.arange(len(keep_N)),
    )
    data = replace(toy, splits={**toy.splits, "train": rare})

    def macro_f1(recipe: Recipe, name: str) -> float:
        return train(replace(recipe, lr=0.001), data, tmp_path / name).history[-1]["val_macro_f1"]

    assert macro_f1(replace(linear, class_weights=1.0), "weighted") > macro_f1(linear, "plain") + 0.1


def test_run_with_ema_is_evaluated_by_the_average(small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    run = train(replace(small, ema=0.9), toy, tmp_path)
    kept = run.checkpoint()
    assert equal(dict(kept.evaluated_weights), dict(kept.average))
    assert np.array_equal(predict(run.folder, toy, "val"), run.predictions()["val"])


@pytest.fixture
def random_val(toy: Dataset) -> Dataset:
    """The toy with shuffled validation labels: the more a model learns, the higher its validation loss."""
    val = replace(toy["val"], labels_N=np.random.default_rng(0).permutation(toy["val"].labels_N))
    return replace(toy, splits={**toy.splits, "val": val})


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_selected_epoch_is_kept_and_evaluated(ema: float, small: Recipe, random_val: Dataset, tmp_path: Path) -> None:
    run = train(replace(small, epochs=8, lr=0.03, ema=ema, select="val_loss"), random_val, tmp_path)
    losses = [e["val_loss"] for e in run.history]
    assert run.selected_epoch == losses.index(min(losses)) + 1
    assert run.selected_epoch < 7, "the last epochs must not be the best ones, or nothing is tested"
    probs_NK = run.predictions()["val"]
    assert -np.log(probs_NK[np.arange(32), random_val["val"].labels_N]).mean() == pytest.approx(min(losses), rel=1e-5)
    assert np.array_equal(predict(run.folder, random_val, "val"), probs_NK)
    assert np.array_equal(predict(run.folder, random_val, "test"), run.predictions()["test"])


def test_training_ends_when_patience_runs_out(small: Recipe, random_val: Dataset, tmp_path: Path) -> None:
    recipe = replace(small, epochs=30, lr=0.03, select="val_loss", patience=2)
    run = train(recipe, random_val, tmp_path)
    assert len(run.history) == run.selected_epoch + 2 < 30
    assert run.finished
    before = run.checkpoint_file.stat().st_mtime_ns
    assert train(recipe, random_val, tmp_path, resume=True).checkpoint_file.stat().st_mtime_ns == before


def test_select_without_validation_is_refused(make_toy: Callable[..., Dataset], small: Recipe, tmp_path: Path) -> None:
    with pytest.raises(MissingSplit, match=r"toy\.csv has no labeled split 'val' .*; use --set select=last"):
        train(replace(small, select="val_loss"), make_toy(val=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_test_split_does_not_select_the_epoch(small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    recipe = replace(small, epochs=4, lr=0.1, select="val_accuracy")
    other = replace(toy["test"], labels_N=(toy["test"].labels_N + 1) % 7)
    a = train(recipe, toy, tmp_path / "a")
    b = train(recipe, replace(toy, splits={**toy.splits, "test": other}), tmp_path / "b")
    assert a.selected_epoch == b.selected_epoch
    assert equal(dict(a.checkpoint().evaluated_weights), dict(b.checkpoint().evaluated_weights))


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_all_fields_at_once_resume_bit_for_bit(precision: str, small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    recipe = replace(small, precision=precision, epochs=4, batch=16, lr=0.05, **ALL_AT_ONCE)
    straight = train(recipe, toy, tmp_path / "straight", seed=1)
    write = Run.write_derived_files

    def stop(self: Run, checkpoint: object) -> None:
        write(self, checkpoint)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_derived_files", stop)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, toy, tmp_path / "part", seed=1)
    for _ in range(2):  # so that the selected weights are carried over twice
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mien.train.loop.save_checkpoint", _then_stop)
            with pytest.raises(KeyboardInterrupt):
                train(recipe, toy, tmp_path / "part", seed=1, resume=True)
    resumed = train(recipe, toy, tmp_path / "part", seed=1, resume=True)
    a, b = straight.checkpoint(), resumed.checkpoint()
    for part in ("model", "optimizer", "average", "selected", "probs"):
        assert equal(dict(getattr(a, part)), dict(getattr(b, part))), part
    assert [e["val_loss"] for e in a.state["history"]] == [e["val_loss"] for e in b.state["history"]]


def _then_stop(*args: object) -> None:
    from mien.train.runs.checkpoint import save_checkpoint

    save_checkpoint(*args)  # type: ignore[arg-type]
    raise KeyboardInterrupt
