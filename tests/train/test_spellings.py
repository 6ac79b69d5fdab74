"""Runs and weights that record FER+'s own column names, as older versions wrote them, mean the same classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crash import CrashingAugmentation, SimulatedCrash
from mien.data.dataset import TRAIN, Dataset
from mien.labels import FERPLUS8, FERPLUS_COLUMNS, LabelSet
from mien.train import Recipe, Run, export, predict, train
from mien.train.distillation import load_teachers
from mien.train.label_noise.scores import LabelNoise
from mien.train.loop import prepare_targets
from mien.train.models import build_model
from mien.train.runs.weights import Weights, find_weights
from mien.train.targets import schemes

OLD = LabelSet("ferplus8", FERPLUS_COLUMNS[:8])
KINDS = ("run", "checkpoint", "weights")


@pytest.fixture(scope="module")
def voted(make_voted: Callable[..., Dataset]) -> Dataset:
    return make_voted()


@pytest.fixture(scope="module")
def recipe(small: Recipe) -> Recipe:
    return replace(small, epochs=2, scheme="distribution")


@pytest.fixture(scope="module")
def runs(voted: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same training twice: recorded with the old names and with the new; and an old one that was stopped."""
    folder = tmp_path_factory.mktemp("spellings")
    found = {"new": train(recipe, voted, folder / "new")}
    with pytest.MonkeyPatch.context() as before:
        before.setattr(schemes, "FERPLUS8", OLD)
        found["old"] = train(recipe, voted, folder / "old")
        stopped = replace(recipe, augment=(CrashingAugmentation(recipe.augment[0], 3), *recipe.augment[1:]))
        with pytest.raises(SimulatedCrash):
            train(stopped, voted, folder / "stopped")
        found["stopped"] = Run(folder / "stopped")
    found["old"].checkpoint()
    find_weights(folder / "old").release(folder / "old.safetensors")
    return found


def source(runs: dict[str, Run], kind: str) -> Path:
    """The old model as the folder of its run, as its checkpoint or as released weights."""
    old = runs["old"]
    return {"run": old.folder, "checkpoint": old.checkpoint_file, "weights": old.folder.with_suffix(".safetensors")}[
        kind
    ]


def test_old_run_records_the_old_names(runs: dict[str, Run]) -> None:
    for name, names in (("old", OLD.names), ("stopped", OLD.names), ("new", FERPLUS8.names)):
        assert runs[name].identity["data"]["labels"] == list(names)
        assert find_weights(runs[name].folder).labels == names


def test_old_run_resumes_bit_for_bit(runs: dict[str, Run], voted: Dataset, recipe: Recipe) -> None:
    assert len(runs["stopped"].history) == 1
    resumed = train(recipe, voted, runs["stopped"].folder, resume=True)
    assert np.array_equal(resumed.predictions()["val"], runs["new"].predictions()["val"])
    assert resumed.identity == runs["new"].identity
    assert train(recipe, voted, runs["old"].folder, resume=True) == runs["old"]  # finished, and no other run


def test_resume_with_other_labels_is_refused(runs: dict[str, Run], voted: Dataset, recipe: Recipe) -> None:
    other = LabelSet("ferplus8", (*FERPLUS8.names[1:], FERPLUS8.names[0]))
    wanted = json.loads(json.dumps(runs["old"].identity))
    runs["old"].check_identity(wanted)
    wanted["data"]["labels"] = list(other.names)
    with pytest.raises(Exception, match=r"data\.labels=.*happiness.* instead of .*happy"):
        runs["old"].check_identity(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_of_an_old_model_is_the_same(runs: dict[str, Run], voted: Dataset, kind: str) -> None:
    probs_NK = predict(source(runs, kind), voted, "val", device="cpu")
    assert np.array_equal(probs_NK, predict(runs["new"].folder, voted, "val", device="cpu"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (FERPLUS8.names, range(8)),
        (("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), (4, 5, 6, 1, 3, 2, 0)),
        (("joy", "Anger", "wink"), (1, 4, None)),
    ],
)
def test_load_into_maps_old_names_to_head_rows(
    runs: dict[str, Run], kind: str, labels: tuple[str, ...], rows: tuple[int | None, ...]
) -> None:
    weights, model = find_weights(source(runs, kind)), build_model("mien_nano", len(labels))
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    weights.load_into(model, labels)
    for key in ("head.weight", "head.bias"):
        for place, row in enumerate(rows):
            wanted = fresh[key][place] if row is None else weights.tensors[key][row]
            assert torch.equal(model.state_dict()[key][place], wanted), (key, labels[place])


def test_init_from_an_old_run_equals_a_new_one(
    runs: dict[str, Run], voted: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    tuned = [
        train(replace(recipe, epochs=1, label_set="fer7"), voted, tmp_path / name, init=runs[name].folder)
        for name in ("old", "new")
    ]
    assert np.array_equal(*(run.predictions()["val"] for run in tuned))


@pytest.mark.parametrize("kind", KINDS)
def test_old_weights_are_a_teacher_of_the_same_classes(runs: dict[str, Run], recipe: Recipe, kind: str) -> None:
    (found,) = load_teachers(replace(recipe, teacher=str(source(runs, kind))), FERPLUS8.names)
    assert isinstance(found, Weights)
    assert found.labels == OLD.names


@pytest.mark.slow
def test_export_of_an_old_run_has_the_new_names(runs: dict[str, Run], voted: Dataset, tmp_path: Path) -> None:
    cards = [export(runs[name].folder, tmp_path / name, voted) for name in ("old", "new")]
    assert cards[0].labels == FERPLUS8
    assert cards[0] == cards[1]
    assert (tmp_path / "old" / "model.onnx").read_bytes() == (tmp_path / "new" / "model.onnx").read_bytes()


@pytest.mark.slow
def test_label_noise_file_with_other_spellings_is_used(toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    probs_NK = np.full((len(toy[TRAIN]), 7), 1 / 7, np.float32)
    spelled = ("anger", "disgusted", "fearful", "happiness", "sadness", "surprised", "calm")
    for name, labels in (("here", toy.labels.names), ("other", spelled)):
        LabelNoise(toy.digest, labels, toy[TRAIN].rows_N, probs_NK).write(tmp_path / name)
    here, other = (
        prepare_targets(replace(small, label_noise=str(tmp_path / name), drop_noisy=0.25), toy, 0)
        for name in ("here", "other")
    )
    assert np.array_equal(here.dataset[TRAIN].rows_N, other.dataset[TRAIN].rows_N)
    assert len(other.dataset[TRAIN]) == 72
