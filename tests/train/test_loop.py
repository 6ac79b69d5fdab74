"""Training on a toy: it learns, is reproducible, resumes, and refuses what does not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.dataset import Dataset
from mien.errors import MissingSplit, RunError
from mien.train import Recipe, Run, predict, train
from mien.train.batches import Faces, training_batches
from mien.train.targets.schemes import training_targets

MakeToy = Callable[..., Dataset]


def weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(run.checkpoint().model)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole(toy: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(small, toy, tmp_path_factory.mktemp("runs") / "whole", seed=3)


def test_train_reduces_the_loss(make_toy: MakeToy, small: Recipe, tmp_path: Path) -> None:
    run = train(replace(small, epochs=4, lr=0.03), make_toy(train=448), tmp_path)
    losses = [epoch["train_loss"] for epoch in run.history]
    assert losses[-1] < 0.7 * losses[0]
    assert run.history[-1]["val_accuracy"] > 0.6


def test_history_has_the_metrics_of_every_epoch(whole: Run, toy: Dataset) -> None:
    assert [epoch["epoch"] for epoch in whole.history] == [1, 2]
    for part in ("train", "train_eval", "val", "test"):
        assert all(0 <= epoch[f"{part}_accuracy"] <= 1 and epoch[f"{part}_loss"] > 0 for epoch in whole.history)
    for split in ("val", "test"):
        p_NK = whole.predictions()[split]
        assert p_NK.shape == (len(toy[split]), 7)
        assert np.allclose(p_NK.sum(1), 1, atol=1e-4)
        accuracy = (p_NK.argmax(1) == toy[split].labels_N).mean()
        assert whole.history[-1][f"{split}_accuracy"] == pytest.approx(accuracy)


def test_weights_depend_on_the_seed_alone(whole: Run, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    assert equal(weights(whole), weights(train(small, toy, tmp_path / "again", seed=3)))
    assert not equal(weights(whole), weights(train(small, toy, tmp_path / "other", seed=4)))


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_resumed_run_equals_an_uninterrupted_one(precision: str, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    recipe = replace(small, precision=precision, epochs=3)
    straight = train(recipe, toy, tmp_path / "straight", seed=1)
    part = tmp_path / "part"
    write = Run.write_history

    def stop_after_two(self: Run, history: list[dict[str, float]]) -> None:
        if len(history) == 2:  # the checkpoint of epoch 2 lies there, its metrics do not yet
            raise KeyboardInterrupt
        write(self, history)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_history", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, toy, part, seed=1)
    assert not Run(part).finished
    resumed = train(recipe, toy, part, seed=1, resume=True)
    assert equal(weights(resumed), weights(straight))
    assert equal(dict(resumed.checkpoint().optimizer), dict(straight.checkpoint().optimizer))
    assert [e["train_loss"] for e in resumed.history] == [e["train_loss"] for e in straight.history]


def test_train_keeps_the_random_state_of_the_caller(toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(replace(small, epochs=1), toy, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_epoch_is_a_permutation_that_arms_share(toy: Dataset, small: Recipe) -> None:
    faces = Faces.from_split(toy["train"], torch.device("cpu"), training_targets(toy, "fer2013").target_NK)
    plain = replace(small, augment=())

    def labels(recipe: Recipe, epoch: int) -> torch.Tensor:
        return torch.cat([batch.target_BK.argmax(1) for batch in training_batches(faces, recipe, seed=0, epoch=epoch)])

    pixels = torch.cat([batch.x_BCHW for batch in training_batches(faces, plain, seed=0, epoch=1)])
    mean_before = (faces.pixels_NCHW.double().mean((1, 2, 3)) / 255 - 0.5) / 0.5
    assert torch.allclose(pixels.double().mean((1, 2, 3)).sort().values, mean_before.sort().values, atol=1e-5)
    assert torch.equal(labels(plain, 1), labels(small, 1))
    assert not torch.equal(labels(plain, 1), labels(plain, 2))


def test_train_without_validation_and_test_split(make_toy: MakeToy, small: Recipe, tmp_path: Path) -> None:
    run = train(replace(small, epochs=1), make_toy(val=0, test=0), tmp_path)
    assert "val_accuracy" not in run.history[0]
    assert run.predictions() == {}


def test_train_without_training_split_is_refused(make_toy: MakeToy, small: Recipe, tmp_path: Path) -> None:
    with pytest.raises(MissingSplit, match=r"toy.csv has no split 'train'; existing splits: val \(32 faces\)"):
        train(small, make_toy(train=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_existing_run_is_not_overwritten(make_toy: MakeToy, whole: Run, toy: Dataset, small: Recipe) -> None:
    before = weights(whole)
    with pytest.raises(RunError, match="contains a run already; continue it with --resume"):
        train(small, toy, whole.folder, seed=3)
    with pytest.raises(RunError, match=r"other settings \(recipe\.lr=0\.003 instead of 0\.01; seed=3 instead of 5\)"):
        train(replace(small, lr=0.01), toy, whole.folder, seed=5, resume=True)
    with pytest.raises(RunError, match=r"data\.digest="):
        train(small, make_toy(train=97), whole.folder, seed=3, resume=True)
    assert equal(weights(whole), before)


def test_nan_loss_stops_the_run_without_a_checkpoint(small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    good = train(replace(small, epochs=1), toy, tmp_path / "good")
    # Pixels divided by next to nothing overflow in the first convolution.
    with pytest.raises(RunError, match=r"is NaN in epoch 1 .*lower learning rate in another --out: --set lr="):
        train(replace(small, std=1e-38), toy, tmp_path / "bad")
    assert Run(tmp_path / "bad").history == ()
    assert Run(tmp_path / "bad").predictions() == {}
    assert not Run(tmp_path / "bad").checkpoint_file.exists()
    assert len(good.history) == 1


def test_checkpoint_of_another_run_is_refused(whole: Run, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    """Even where the recipe beside it is lost."""
    (tmp_path / "run").mkdir()
    copy = Run(tmp_path / "run")
    copy.checkpoint_file.write_bytes(whole.checkpoint_file.read_bytes())
    with pytest.raises(RunError, match="contains a run already"):
        train(small, toy, copy.folder, seed=3)
    with pytest.raises(
        RunError, match=r"checkpoint of another run \(recipe\.lr=0\.003 instead of 0\.5; seed=3 instead of 9\)"
    ):
        train(replace(small, lr=0.5), toy, copy.folder, seed=9, resume=True)
    assert equal(weights(copy), weights(whole))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("recipe.json", "[1]", "expected an object with recipe, seed, data"),
        ("recipe.json", "{", "recipe.json is damaged"),
        ("machine.json", "{}", "machine.json is damaged"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl is damaged"),
        ("metrics.jsonl", "half a li", "metrics.jsonl is damaged"),
        ("predictions-val.npy", "", "predictions-val.npy is damaged"),
    ],
)
def test_damaged_record_is_named(whole: Run, tmp_path: Path, name: str, content: str, says: str) -> None:
    shutil.copytree(whole.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    (run.folder / name).write_text(content)
    with pytest.raises(RunError, match=says):
        _ = run.identity, run.machine, run.history, run.predictions()


def test_training_faces_without_labels_are_refused(
    make_toy: MakeToy, small: Recipe, toy: Dataset, tmp_path: Path
) -> None:
    blank = replace(toy["train"], labels_N=np.full(len(toy["train"]), -1))
    with pytest.raises(RunError, match=r"training faces of toy\.csv have no labels"):
        train(small, replace(toy, splits={**toy.splits, "train": blank}), tmp_path / "run")
    with pytest.raises(RunError, match="the random seed must be an integer from 0"):
        train(small, toy, tmp_path / "run", seed=-1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("faces", "size"), [(1999, 1000), (96, 32), (10, 20), (28709, 1795)])
def test_sample_is_spread_over_the_whole_split(faces: int, size: int) -> None:
    all_faces = Faces(torch.zeros(faces, 1, 1, 1), torch.arange(faces))
    picked_N = all_faces.sample(size).labels_N
    assert len(picked_N) == min(size, faces)
    steps = picked_N.diff()
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1
    assert picked_N[-1] >= faces - faces / size - 1


def test_damaged_and_foreign_checkpoints_are_refused(whole: Run, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    content = whole.checkpoint_file.read_bytes()
    for name, bad in {"cut": content[: len(content) // 2], "other": b"not a checkpoint", "empty": b""}.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(RunError, match="is damaged or not a safetensors file"):
            predict(tmp_path / name, toy, "val")
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(RunError, match=r"has the format 'none', expected mien "):
        predict(tmp_path / "foreign.safetensors", toy, "val")
    with pytest.raises(RunError, match=r"model not found: .*nothing "):
        predict(tmp_path / "nothing", toy, "val")


def test_predict_repeats_the_predictions_of_the_run(whole: Run, toy: Dataset) -> None:
    assert np.array_equal(predict(whole.folder, toy, "val"), whole.predictions()["val"])
    assert np.array_equal(predict(whole.checkpoint_file, toy, "test"), whole.predictions()["test"])


def test_recipe_json_records_recipe_seed_and_data(whole: Run, small: Recipe) -> None:
    recorded = json.loads((whole.folder / "recipe.json").read_text())
    assert recorded["recipe"] == small.to_dict()
    assert recorded["seed"] == 3
    assert recorded["data"]["faces"] == {"train": 96, "val": 32, "test": 32}
    assert {"torch", "threads", "precision", "device"} <= set(whole.machine)


def test_tensorboard_events_are_written(whole: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole.folder / "tensorboard"))
    events.Reload()
    assert [e.value for e in events.Scalars("val/accuracy")] == pytest.approx(
        [e["val_accuracy"] for e in whole.history]
    )


def test_test_labels_do_not_change_the_weights(toy: Dataset, small: Recipe, whole: Run, tmp_path: Path) -> None:
    """Other test labels, same weights."""
    test = replace(toy["test"], labels_N=(toy["test"].labels_N + 1) % 7)
    other = replace(toy, splits={**toy.splits, "test": test})
    assert equal(weights(train(small, other, tmp_path, seed=3)), weights(whole))
