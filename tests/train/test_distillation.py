"""Teaching: what teachers say is mixed into the targets, recorded with the run, and refused where it does not fit."""

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
    """A model that has learned the toy wrongly on purpose: each class for the next one."""
    shifted = {name: replace(split, labels_N=(split.labels_N + 1) % 7) for name, split in large.splits.items()}
    recipe = replace(small, epochs=5, lr=0.02, schedule="cosine", augment=())
    return train(recipe, replace(large, splits=shifted), tmp_path_factory.mktemp("teacher") / "run")


def test_targets_are_mixed_with_the_mean_of_what_the_teachers_say(teacher: Run, toy: Dataset, small: Recipe) -> None:
    fabric = make_fabric("cpu", "float32")
    recipe = replace(small, teacher=f"{teacher.folder}+{teacher.folder}", teacher_weight=0.25)
    teaching = Teachers.of(load_teachers(recipe, toy.labels.names), recipe, fabric)
    x_NCHW = normalize(torch.from_numpy(toy["val"].pixels_NHW).unsqueeze(1).float(), recipe)
    target_NK = torch.eye(7)[torch.from_numpy(toy["val"].labels_N)]
    mixed_NK = teaching(Batch(x_NCHW, target_NK, 1.0, True, (1, 0)))
    probs_NK = predict(teacher.folder, toy, "val", device="cpu")
    assert np.allclose(mixed_NK.numpy(), 0.75 * target_NK.numpy() + 0.25 * probs_NK, atol=1e-5)
    assert not mixed_NK.requires_grad


def test_without_a_teacher_targets_stay_as_they_are(toy: Dataset, small: Recipe) -> None:
    target_NK = torch.rand(4, 7)
    teaching = Teachers.of(load_teachers(small, toy.labels.names), small, make_fabric("cpu", "float32"))
    assert teaching(Batch(torch.zeros(4, 1, 48, 48), target_NK, 1.0, True, (1, 0))) is target_NK


def test_a_pupil_of_the_teacher_alone_learns_what_the_teacher_says(
    teacher: Run, large: Dataset, small: Recipe, tmp_path: Path
) -> None:
    recipe = replace(
        small, teacher=str(teacher.folder), teacher_weight=1.0, epochs=5, lr=0.02, schedule="cosine", augment=()
    )
    run = train(recipe, large, tmp_path / "pupil")
    said_N = predict(teacher.folder, large, "val", device="cpu").argmax(1)
    predicted_N = run.predictions()["val"].argmax(1)
    assert (predicted_N == said_N).mean() > 0.7
    assert (predicted_N == large["val"].labels_N).mean() < 0.2  # the labels, which are other ones, had no say


def test_the_record_names_the_teacher_by_its_sum(
    teacher: Run, one_epoch: Run, toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    recipe = replace(small, epochs=2, teacher=str(teacher.folder))
    run = train(recipe, toy, tmp_path / "pupil")
    recorded = json.loads((run.folder / "recipe.json").read_text())["teachers"]
    assert recorded == [find_weights(teacher.folder).identity]
    assert find_weights(run.folder).about["teachers"] == recorded
    swapped = tmp_path / "swapped"
    swapped.symlink_to(teacher.folder)
    longer = replace(recipe, teacher=str(swapped))
    run = train(longer, toy, tmp_path / "second")
    swapped.unlink()
    swapped.symlink_to(one_epoch.folder)
    with pytest.raises(RunError, match="holds a run of something else: teachers is"):
        train(longer, toy, tmp_path / "second", resume=True)


@pytest.mark.parametrize("views", [0, 1])  # 1: what the teacher said in the first epoch is gone, and asked again
def test_a_taught_run_resumes_bit_for_bit(
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


def test_of_images_that_come_again_teachers_are_asked_once(teacher: Run, toy: Dataset, small: Recipe) -> None:
    recipe = replace(small, teacher=str(teacher.folder), views=2, epochs=4)
    teaching = Teachers.of(load_teachers(recipe, toy.labels.names), recipe, make_fabric("cpu", "float32"))
    asked: list[int] = []
    teaching.models[0].register_forward_hook(lambda *seen: asked.append(len(seen[2])))
    target_NK = torch.eye(7)[torch.from_numpy(toy["train"].labels_N)]
    faces = Faces.of(toy["train"], torch.device("cpu"), target_NK)
    told = [[(b.x_BCHW, teaching(b)) for b in training_batches(faces, recipe, 0, epoch)] for epoch in (1, 2, 3)]
    assert sum(asked) == 2 * len(faces)
    assert all(
        torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
        for first, again in zip(told[0], told[2], strict=True)
    )
    assert not torch.equal(told[0][0][0], told[1][0][0])


def test_what_cannot_teach_is_told_before_a_folder_is_made(
    teacher: Run, toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="no run, no file and no shipped model is called nobody"):
        train(replace(small, teacher="nobody"), toy, tmp_path / "a")
    splits = {name: replace(split, labels_N=split.labels_N % 3) for name, split in toy.splits.items()}
    three = replace(toy, labels=LabelSet("custom", ("a", "b", "c")), splits=splits)
    with pytest.raises(RunError, match=r"the teacher 'run' tells angry, .* apart, and recipe .* learns a, b, c"):
        train(replace(small, teacher=str(teacher.folder)), three, tmp_path / "b")
    with pytest.raises(RunError, match=r"sees pixels with std 0.5, recipe .* with 0.25: --set std=0.5"):
        train(replace(small, teacher=str(teacher.folder), std=0.25), toy, tmp_path / "c")
    with pytest.raises(MienError, match=r"teach goes from 0, the labels alone, to 1, the teachers alone, got 1\.5"):
        apply_overrides(small, ["teach=1.5"])
    assert not list(tmp_path.iterdir())
