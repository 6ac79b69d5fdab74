"""Training faces that a recipe leaves out: duplicates of evaluation faces, and noisy labels."""

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
    """Return 40 training faces: face 3 is a brighter val face, and face 5 a mirrored test face."""
    voted, faces = make_voted(train=40, val=8, test=8), fields(56)
    faces[3], faces[5] = faces[41] * 0.5 + 90, faces[50][:, ::-1]
    pixels = {"train": faces[:40], "val": faces[40:48], "test": faces[48:]}
    return replace(
        voted, splits={name: replace(split, pixels_NHW=pixels[name]) for name, split in voted.splits.items()}
    )


@pytest.fixture
def label_noise(leaky: Dataset, tmp_path: Path) -> LabelNoise:
    """Write d.npz, in which faces 10, 11 and 3 are the most likely mislabelled, in this order."""
    train_split = leaky["train"]
    probs_NK = np.full((40, 7), 0.05, np.float32)
    probs_NK[np.arange(40), train_split.labels_N] = 0.7
    for face, sure in ((10, 0.9), (11, 0.85), (3, 0.8)):
        probs_NK[face] = (1 - sure) / 6
        probs_NK[face, (train_split.labels_N[face] + 1) % 7] = sure
    scores = LabelNoise(leaky.digest, leaky.labels.names, train_split.rows_N, probs_NK)
    scores.write(tmp_path / "d.npz")
    return scores


def learned_rows(recipe: Recipe, data: Dataset) -> list[int]:
    return prepare_targets(recipe, data, 0).dataset["train"].rows_N.tolist()


def test_drop_duplicates_drops_evaluation_faces(leaky: Dataset, small: Recipe) -> None:
    kept = [row for row in range(40) if row not in (3, 5)]
    training_targets = prepare_targets(replace(small, drop_duplicates=True), leaky, 0)
    assert training_targets.dataset["train"].rows_N.tolist() == kept
    assert training_targets.train_eval.rows_N.tolist() == kept
    assert len(training_targets.target_NK) == 38
    assert (training_targets.target_NK.argmax(1).numpy() == training_targets.dataset["train"].labels_N).all()
    assert learned_rows(small, leaky) == list(range(40))


def test_drop_duplicates_with_votes(leaky: Dataset, small: Recipe) -> None:
    voted = replace(small, scheme="majority")
    rows = learned_rows(voted, leaky)
    assert 3 in rows
    training_targets = prepare_targets(replace(voted, drop_duplicates=True), leaky, 0)
    assert training_targets.dataset["train"].rows_N.tolist() == [row for row in rows if row not in (3, 5)]
    assert not {3, 5} & set(training_targets.train_eval.rows_N.tolist())


def test_drop_duplicates_is_part_of_the_run(leaky: Dataset, linear: Recipe, tmp_path: Path) -> None:
    recipe = replace(linear, drop_duplicates=True, epochs=1)
    run = train(recipe, leaky, tmp_path / "run")
    assert Run(run.folder).identity["recipe"]["drop_duplicates"] is True
    assert run.identity["data"]["faces"]["train"] == 38
    with pytest.raises(RunError, match=r"recipe\.drop_duplicates=true instead of false"):
        train(replace(recipe, drop_duplicates=False), leaky, tmp_path / "run", resume=True)


def test_drop_noisy_and_soften_noisy(leaky: Dataset, small: Recipe, label_noise: LabelNoise, tmp_path: Path) -> None:
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


def test_run_records_the_digest_of_label_noise(
    leaky: Dataset, linear: Recipe, label_noise: LabelNoise, tmp_path: Path
) -> None:
    recipe = replace(linear, label_noise=str(tmp_path / "d.npz"), drop_noisy=0.1, epochs=1)
    run = train(recipe, leaky, tmp_path / "run")
    assert run.identity["data"]["label_noise"] == label_noise.digest
    replace(label_noise, probs_NK=label_noise.probs_NK[::-1]).write(tmp_path / "d.npz")
    with pytest.raises(RunError, match=r"data\.label_noise="):
        train(recipe, leaky, tmp_path / "run", resume=True)


def test_label_noise_of_other_data_raises(
    leaky: Dataset, small: Recipe, label_noise: LabelNoise, tmp_path: Path
) -> None:
    file = tmp_path / "d.npz"
    recipe = replace(small, label_noise=str(file), drop_noisy=0.1)
    with pytest.raises(RunError, match=r"own labels angry.* with scheme majority"):
        prepare_targets(replace(recipe, scheme="majority"), leaky, 0)
    with pytest.raises(RunError, match="for another data set than"):
        prepare_targets(recipe, replace(leaky, digest="other"), 0)
    with pytest.raises(RunError, match="file of label noise scores not found"):
        prepare_targets(replace(recipe, label_noise=str(tmp_path / "gone")), leaky, 0)


def test_drop_duplicates_of_all_faces_raises(leaky: Dataset, small: Recipe) -> None:
    copies = replace(leaky["val"], pixels_NHW=leaky["train"].pixels_NHW[:8])
    only = replace(leaky["train"], **{k: v[:8] for k, v in vars(leaky["train"]).items() if k != "name"})
    data = replace(leaky, splits={"train": only, "val": copies})
    with pytest.raises(RunError, match="drops every training face"):
        prepare_targets(replace(small, drop_duplicates=True), data, 0)
