"""Distillation: targets are mixed with the teachers' probabilities; records, resume and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crash import CrashingAugmentation, SimulatedCrash
from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.labels import LabelSet
from mien.train import Recipe, Run, apply_overrides, find_weights, predict, train
from mien.train.batches import Batch, Faces, normalize, training_batches
from mien.train.distillation import Teachers, load_teachers
from mien.train.fabric import make_fabric


@pytest.fixture(scope="module")
def large(make_toy: Callable[..., Dataset]) -> Dataset:
    """Enough faces to learn from in a few epochs."""
    return make_toy(train=384)


@pytest.fixture(scope="module")
def teacher(large: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model trained on shifted labels: each class is labelled as the next one."""
    shifted = {name: replace(split, labels_N=(split.labels_N + 1) % 7) for name, split in large.splits.items()}
    recipe = replace(small, epochs=5, lr=0.02, schedule="cosine", augment=())
    return train(recipe, replace(large, splits=shifted), tmp_path_factory.mktemp("teacher") / "run")


def test_targets_are_mixed_with_the_mean_of_the_teachers(teacher: Run, toy: Dataset, small: Recipe) -> None:
    fabric = make_fabric("cpu", "float32")
    recipe = replace(small, teacher=f"{teacher.folder}+{teacher.folder}", teacher_weight=0.25)
    teaching = Teachers.from_weights(load_teachers(recipe, toy.labels.names), recipe, fabric)
    x_NCHW = normalize(torch.from_numpy(toy["val"].pixels_NHW).unsqueeze(1).float(), recipe)
    target_NK = torch.eye(7)[torch.from_numpy(toy["val"].labels_N)]
    mixed_NK = teaching(Batch(x_NCHW, target_NK, 1.0, True, (1, 0)))
    probs_NK = predict(teacher.folder, toy, "val", device="cpu")
    assert np.allclose(mixed_NK.numpy(), 0.75 * target_NK.numpy() + 0.25 * probs_NK, atol=1e-5)
    assert not mixed_NK.requires_grad


def test_targets_without_teacher_are_unchanged(toy: Dataset, small: Recipe) -> None:
    target_NK = torch.rand(4, 7)
    teaching = Teachers.from_weights(load_teachers(small, toy.labels.names), small, make_fabric("cpu", "float32"))
    assert teaching(Batch(torch.zeros(4, 1, 48, 48), target_NK, 1.0, True, (1, 0))) is target_NK


def test_student_of_a_teacher_alone_predicts_as_the_teacher(
    teacher: Run, large: Dataset, small: Recipe, tmp_path: Path
) -> None:
    recipe = replace(
        small, teacher=str(teacher.folder), teacher_weight=1.0, epochs=5, lr=0.02, schedule="cosine", augment=()
    )
    run = train(recipe, large, tmp_path / "student")
    teacher_N = predict(teacher.folder, large, "val", device="cpu").argmax(1)
    predicted_N = run.predictions()["val"].argmax(1)
    assert (predicted_N == teacher_N).mean() > 0.7
    assert (predicted_N == large["val"].labels_N).mean() < 0.2  # the labels, which are others, are not used


def test_record_has_the_checksum_of_the_teacher(
    teacher: Run, one_epoch: Run, toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    recipe = replace(small, epochs=2, teacher=str(teacher.folder))
    run = train(recipe, toy, tmp_path / "student")
    recorded = json.loads((run.folder / "recipe.json").read_text())["teachers"]
    assert recorded == [find_weights(teacher.folder).identity]
    assert find_weights(run.folder).about["teachers"] == recorded
    swapped = tmp_path / "swapped"
    swapped.symlink_to(teacher.folder)
    longer = replace(recipe, teacher=str(swapped))
    run = train(longer, toy, tmp_path / "second")
    swapped.unlink()
    swapped.symlink_to(one_epoch.folder)
    with pytest.raises(RunError, match=r"contains a run with other settings \(teachers="):
        train(longer, toy, tmp_path / "second", resume=True)


@pytest.mark.parametrize("views", [0, 1])  # 1: the cache of the first epoch is lost
def test_run_with_teacher_resumes_bit_for_bit(
    teacher: Run, toy: Dataset, small: Recipe, tmp_path: Path, views: int
) -> None:
    recipe = replace(small, epochs=3, teacher=str(teacher.folder), views=views)
    whole = train(recipe, toy, tmp_path / "whole").checkpoint()

    with pytest.raises(SimulatedCrash):  # in the third epoch: there are three batches in each
        train(
            replace(recipe, augment=(CrashingAugmentation(recipe.augment[0], 2 * 3), *recipe.augment[1:])),
            toy,
            tmp_path / "cut",
        )
    resumed = train(recipe, toy, tmp_path / "cut", resume=True).checkpoint()
    assert all(torch.equal(resumed.model[k], whole.model[k]) for k in whole.model)


def test_teacher_predicts_repeated_images_once(teacher: Run, toy: Dataset, small: Recipe) -> None:
    recipe = replace(small, teacher=str(teacher.folder), views=2, epochs=4)
    teaching = Teachers.from_weights(load_teachers(recipe, toy.labels.names), recipe, make_fabric("cpu", "float32"))
    predicted: list[int] = []
    teaching.models[0].register_forward_hook(lambda *args: predicted.append(len(args[2])))
    target_NK = torch.eye(7)[torch.from_numpy(toy["train"].labels_N)]
    faces = Faces.from_split(toy["train"], torch.device("cpu"), target_NK)
    epochs = [[(b.x_BCHW, teaching(b)) for b in training_batches(faces, recipe, 0, epoch)] for epoch in (1, 2, 3)]
    assert sum(predicted) == 2 * len(faces)
    assert all(
        torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
        for first, again in zip(epochs[0], epochs[2], strict=True)
    )
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])


def test_unfit_teacher_is_refused_before_a_folder_is_made(
    teacher: Run, toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="model not found: nobody "):
        train(replace(small, teacher="nobody"), toy, tmp_path / "a")
    splits = {name: replace(split, labels_N=split.labels_N % 3) for name, split in toy.splits.items()}
    three = replace(toy, labels=LabelSet("custom", ("a", "b", "c")), splits=splits)
    with pytest.raises(
        RunError, match=r"the teacher 'run' has other classes than recipe .*: angry, .* instead of a, b, c"
    ):
        train(replace(small, teacher=str(teacher.folder)), three, tmp_path / "b")
    with pytest.raises(RunError, match=r"std=0\.5, and recipe .* has std=0\.25; use --set std=0\.5"):
        train(replace(small, teacher=str(teacher.folder), std=0.25), toy, tmp_path / "c")
    with pytest.raises(MienError, match=r"teacher_weight must be from 0 .* to 1 .*, got 1\.5"):
        apply_overrides(small, ["teacher_weight=1.5"])
    assert not list(tmp_path.iterdir())
