"""What a recipe leaves out of its training faces: copies of the faces that judge it, and doubtful labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blurs import fields
from mien.data import Dataset
from mien.errors import RunError
from mien.train import Recipe, Run, train
from mien.train.label_noise.scores import LabelNoise
from mien.train.loop import prepare_targets


@pytest.fixture(scope="module")
def leaky(make_voted: Callable[..., Dataset]) -> Dataset:
    """Forty training faces, of which 3 is a val face, brighter, and 5 a test face, mirrored."""
    voted, faces = make_voted(train=40, val=8, test=8), fields(56)
    faces[3], faces[5] = faces[41] * 0.5 + 90, faces[50][:, ::-1]
    pixels = {"train": faces[:40], "val": faces[40:48], "test": faces[48:]}
    return replace(
        voted, splits={name: replace(split, pixels_NHW=pixels[name]) for name, split in voted.splits.items()}
    )


@pytest.fixture
def label_noise(leaky: Dataset, tmp_path: Path) -> LabelNoise:
    """Faces 10, 11 and 3 are least believable, in this order; the others are as labelled. Written to d.npz."""
    train_split = leaky["train"]
    probs_NK = np.full((40, 7), 0.05, np.float32)
    probs_NK[np.arange(40), train_split.labels_N] = 0.7
    for face, sure in ((10, 0.9), (11, 0.85), (3, 0.8)):
        probs_NK[face] = (1 - sure) / 6
        probs_NK[face, (train_split.labels_N[face] + 1) % 7] = sure
    found = LabelNoise(leaky.digest, leaky.labels.names, train_split.rows_N, probs_NK)
    found.write(tmp_path / "d.npz")
    return found


def learned_rows(recipe: Recipe, data: Dataset) -> list[int]:
    return prepare_targets(recipe, data, 0).dataset["train"].rows_N.tolist()


def test_training_copies_of_judged_faces_are_left_out(leaky: Dataset, small: Recipe) -> None:
    kept = [row for row in range(40) if row not in (3, 5)]
    training_targets = prepare_targets(replace(small, drop_duplicates=True), leaky, 0)
    assert training_targets.dataset["train"].rows_N.tolist() == kept
    assert training_targets.clean.rows_N.tolist() == kept
    assert len(training_targets.target_NK) == 38
    assert (training_targets.target_NK.argmax(1).numpy() == training_targets.dataset["train"].labels_N).all()
    assert learned_rows(small, leaky) == list(range(40))


def test_with_votes_too(leaky: Dataset, small: Recipe) -> None:
    voted = replace(small, scheme="majority")
    rows = learned_rows(voted, leaky)
    assert 3 in rows
    training_targets = prepare_targets(replace(voted, drop_duplicates=True), leaky, 0)
    assert training_targets.dataset["train"].rows_N.tolist() == [row for row in rows if row not in (3, 5)]
    assert not {3, 5} & set(training_targets.clean.rows_N.tolist())


def test_a_run_says_so_and_does_not_go_on_otherwise(leaky: Dataset, linear: Recipe, tmp_path: Path) -> None:
    recipe = replace(linear, drop_duplicates=True, epochs=1)
    run = train(recipe, leaky, tmp_path / "run")
    assert Run(run.folder).identity["recipe"]["drop_duplicates"] is True
    assert run.identity["data"]["faces"]["train"] == 38
    with pytest.raises(RunError, match=r"recipe\.drop_duplicates is true there and false here"):
        train(replace(recipe, drop_duplicates=False), leaky, tmp_path / "run", resume=True)


def test_the_least_believable_are_dropped_and_the_next_softened(
    leaky: Dataset, small: Recipe, label_noise: LabelNoise, tmp_path: Path
) -> None:
    recipe = replace(small, label_noise=str(tmp_path / "d.npz"), drop_noisy=0.05, soften_noisy=0.025)
    training_targets = prepare_targets(recipe, leaky, 0)
    rows = training_targets.dataset["train"].rows_N
    assert rows.tolist() == [row for row in range(40) if row not in (10, 11)]
    plain = prepare_targets(small, leaky, 0).target_NK[torch.from_numpy(rows)]
    changed = (training_targets.target_NK != plain).any(1)
    assert rows[changed.numpy()].tolist() == [3]
    np.testing.assert_allclose(training_targets.target_NK[changed][0].numpy(), label_noise.probs_NK[3])
    assert training_targets.label_noise == label_noise.digest
    both = prepare_targets(replace(recipe, drop_duplicates=True), leaky, 0)
    assert both.dataset["train"].rows_N.tolist() == [row for row in range(40) if row not in (3, 5, 10, 11)]


def test_the_record_has_the_sum_of_the_doubts(
    leaky: Dataset, linear: Recipe, label_noise: LabelNoise, tmp_path: Path
) -> None:
    recipe = replace(linear, label_noise=str(tmp_path / "d.npz"), drop_noisy=0.1, epochs=1)
    run = train(recipe, leaky, tmp_path / "run")
    assert run.identity["data"]["label_noise"] == label_noise.digest
    replace(label_noise, probs_NK=label_noise.probs_NK[::-1]).write(tmp_path / "d.npz")
    with pytest.raises(RunError, match=r"data\.doubts is"):
        train(recipe, leaky, tmp_path / "run", resume=True)


def test_doubts_about_something_else(leaky: Dataset, small: Recipe, label_noise: LabelNoise, tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    recipe = replace(small, label_noise=str(file), drop_noisy=0.1)
    with pytest.raises(RunError, match=r"are about the labels angry.* by the scheme majority"):
        prepare_targets(replace(recipe, scheme="majority"), leaky, 0)
    with pytest.raises(RunError, match="about other data than"):
        prepare_targets(recipe, replace(leaky, digest="other"), 0)
    with pytest.raises(RunError, match="no file of doubts"):
        prepare_targets(replace(recipe, label_noise=str(tmp_path / "gone")), leaky, 0)


def test_something_must_be_left(leaky: Dataset, small: Recipe) -> None:
    copies = replace(leaky["val"], pixels_NHW=leaky["train"].pixels_NHW[:8])
    only = replace(leaky["train"], **{k: v[:8] for k, v in vars(leaky["train"]).items() if k != "name"})
    data = replace(leaky, splits={"train": only, "val": copies})
    with pytest.raises(RunError, match="leaves out every training face"):
        prepare_targets(replace(small, drop_duplicates=True), data, 0)
