"""Runs written by older versions are resumed, exported, evaluated and fine-tuned; those of newer ones are refused.

`run_format_0` holds two runs that were written before runs had a format, stopped after two of three epochs: `fer7` with
every field of the recipe that adds something to a checkpoint, `ferplus8` with the classes of FER+, trained in bf16.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.evaluation.protocols import evaluate_predictor
from mien.model import load, read_card
from mien.model_card import Card
from mien.train import Recipe, Run, apply_overrides, export, find_recipe, find_weights, predict, train
from mien.train.models import MODELS
from mien.train.models.base import ExpressionModel
from mien.train.predict import load_predictor
from mien.train.runs import format
from mien.train.runs.checkpoint import digest
from mien.train.runs.format import FORMAT, NewerRunError, converted

OLD = Path(__file__).parent / "run_format_0"
NAMES = ("fer7", "ferplus8")
TOLERANCE = {"fer7": 1e-4, "ferplus8": 0.02}  # of a probability or weight: the second was trained in bf16
FILES = ("recipe.json", "checkpoint.safetensors", "released.safetensors")


class Tiny(ExpressionModel):
    """A model whose runs are small enough to be kept with the tests: 151 parameters with seven classes."""

    pooled = True

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, num_classes)

    def maps(self, x_NCHW: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x_NCHW)))

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        return self.head(maps_NCHW.mean((2, 3)))


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    MODELS["tiny"] = Tiny
    yield
    del MODELS["tiny"]


def recipe_of(name: str) -> Recipe:
    """The recipe of the old run `name` in the words of today."""
    base = apply_overrides(find_recipe("seed_augmented"), ["model=tiny", "epochs=3", "batch=16", "lr=0.1"])
    if name == "ferplus8":
        return replace(base, name=name, scheme="majority")
    return replace(
        base, name=name, precision="float32", accumulate=2, schedule="cosine", warmup=0.5, label_smoothing=0.1,
        class_weights=0.5, balanced_sampling=0.5, ema=0.5, select="val_loss", patience=9,
    )  # fmt: skip


@pytest.fixture
def data(toy: Dataset, voted: Dataset) -> dict[str, Dataset]:
    return {"fer7": toy, "ferplus8": voted}


@pytest.fixture
def old(tmp_path: Path) -> dict[str, Run]:
    shutil.copytree(OLD, tmp_path / "old")
    return {name: Run(tmp_path / "old" / name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_old_run_is_resumed_in_the_new_format(name: str, old: dict[str, Run], data: dict[str, Dataset]) -> None:
    run = old[name]
    before = [{**epoch, "precision": {"fer7": "float32", "ferplus8": "bf16"}[name]} for epoch in run.history]
    train(recipe_of(name), data[name], run.folder, seed=1, resume=True)
    assert run.finished
    assert list(run.history[:2]) == before
    assert set(run.history[2]) == set(before[0])
    assert json.loads((run.folder / "recipe.json").read_text())["format"] == FORMAT
    assert run.checkpoint().state["format"] == FORMAT


@pytest.mark.parametrize("name", NAMES)
def test_old_run_resumes_like_an_uninterrupted_one(
    name: str, old: dict[str, Run], data: dict[str, Dataset], tmp_path: Path
) -> None:
    """Weights, momentum and average are all taken over: a run that lost one of them ends elsewhere."""
    recipe = replace(recipe_of(name), precision="float32")
    new = train(recipe, data[name], tmp_path / "new", seed=1)
    resumed = train(recipe_of(name), data[name], old[name].folder, seed=1, resume=True)
    for part in ("model", "optimizer", "average"):
        wanted = getattr(new.checkpoint(), part)
        for key, tensor in getattr(resumed.checkpoint(), part).items():
            assert torch.allclose(tensor.float(), wanted[key].float(), atol=TOLERANCE[name]), key


@pytest.mark.parametrize("name", NAMES)
def test_old_run_is_evaluated_as_when_it_was_written(name: str, old: dict[str, Run], data: dict[str, Dataset]) -> None:
    run = old[name]
    for split in ("val", "test"):
        probs_NK = predict(run.folder, data[name], split)
        assert np.allclose(probs_NK, run.predictions()[split], atol=TOLERANCE[name])
    _, found = evaluate_predictor(load_predictor(run.folder), data[name], "val", name=name)
    if name == "fer7":
        assert found.official.accuracy == pytest.approx(run.history[run.selected_epoch - 1]["val_accuracy"])


@pytest.mark.parametrize("name", NAMES)
def test_old_run_is_exported(name: str, old: dict[str, Run], data: dict[str, Dataset], tmp_path: Path) -> None:
    card = export(old[name].folder, tmp_path / "model", data[name])
    assert card.recipe == recipe_of(name).to_dict()
    faces_NHW = data[name]["val"].pixels_NHW
    logits_NK = np.log(load_predictor(old[name].folder).predict(faces_NHW)) / card.calibration.temperature
    probs_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(1, keepdims=True)
    assert np.allclose(load(tmp_path / "model").probabilities(faces_NHW), probs_NK, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_old_run_starts_a_new_one(name: str, old: dict[str, Run], data: dict[str, Dataset], tmp_path: Path) -> None:
    """With so low a rate that the new run ends where it began; the head is lost if the labels are not recognised."""
    recipe = replace(recipe_of(name), precision="float32", lr=1e-9, ema=0.0, epochs=1)
    run = train(recipe, data[name], tmp_path / "new", init=old[name].folder)
    begun = find_weights(old[name].folder)
    assert run.identity["init"] == begun.identity
    for key in ("conv.weight", "head.weight", "head.bias"):
        assert torch.allclose(run.checkpoint().model[key], begun.tensors[key], atol=1e-6), key


def test_released_weights_state_the_run_format(old: dict[str, Run], tmp_path: Path) -> None:
    find_weights(old["fer7"].folder).release(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        assert json.loads(file.metadata()["state"])["format"] == FORMAT


def test_a_later_converter_reaches_every_copy_of_the_record(
    old: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rename a class and a metric, as a later version may; the old run then belongs to the renamed data."""

    def rename(record: format.Record) -> None:
        labels = record["data"]["labels"]
        labels[labels.index("neutral")] = "calm face"
        for epoch in [*record.get("history", []), *([record["figures"]] if "figures" in record else [])]:
            epoch["validation_loss"] = epoch.pop("val_loss")

    find_weights(old["fer7"].folder).release(tmp_path / "released.safetensors")
    monkeypatch.setattr(format, "CONVERTERS", (*format.CONVERTERS, rename))
    monkeypatch.setattr(format, "FORMAT", "mien run 2")
    run = old["fer7"]
    for record in (run.identity, run.checkpoint().state, find_weights(tmp_path / "released.safetensors").about):
        assert record["format"] == "mien run 2"
        assert record["data"]["labels"][6] == "calm face"
    assert [set(e) & {"val_loss", "validation_loss"} for e in run.history] == [{"validation_loss"}] * 2
    assert "validation_loss" in run.checkpoint().state["history"][0]
    assert "validation_loss" in find_weights(tmp_path / "released.safetensors").about["figures"]


def rewrite(file: Path, run: Run, header: dict[str, str], record: dict[str, object]) -> None:
    """Write a whole file like that of `run`, with other entries in its header or in its record."""
    if file.name == "recipe.json":
        (run.folder / file.name).write_text(json.dumps({**run.identity, **record}))
        return
    if file.name == "released.safetensors":
        find_weights(run.folder).release(file)
    with safe_open(file, "pt") as opened:
        about, tensors = opened.metadata(), {k: opened.get_tensor(k) for k in opened.keys()}  # noqa: SIM118
    state = json.dumps({**json.loads(about["state"]), **record})
    file.write_bytes(save(tensors, {**about, **header, "state": state, "sha256": digest(tensors, state)}))


@pytest.mark.parametrize("name", FILES)
def test_a_run_of_a_newer_version_is_refused(name: str, old: dict[str, Run], toy: Dataset) -> None:
    run = old["fer7"]
    shutil.copy(run.checkpoint_file, run.folder / "checkpoint-before.safetensors")  # no advice to go back to it
    file = run.folder / name
    rewrite(file, run, {}, {"format": "mien run 99"})
    says = rf"^{file}: written by a newer mien: its format is 'mien run 99', and this version reads up to '{FORMAT}'"
    released = name == "released.safetensors"
    with pytest.raises(NewerRunError, match=says + r"\. Upgrade with: pip install --upgrade mien$"):
        predict(file, toy, "val") if released else train(recipe_of("fer7"), toy, run.folder, seed=1, resume=True)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_weight_file_of_a_newer_version_is_refused(name: str, old: dict[str, Run], toy: Dataset) -> None:
    file = old["fer7"].folder / name
    kind = "checkpoint" if name.startswith("checkpoint") else "weights"
    rewrite(file, old["fer7"], {"format": f"mien {kind} 99"}, {})
    with pytest.raises(NewerRunError, match=rf"newer mien: its format is 'mien {kind} 99', .* up to 'mien {kind} \d'"):
        predict(file, toy, "val")


def test_a_card_of_a_newer_version_is_refused() -> None:
    card = json.loads(read_card("nano").to_json())
    with pytest.raises(MienError, match=r"^card\.json: written by a newer mien: its format is 'mien card 99'"):
        Card.from_json(json.dumps({**card, "format": "mien card 99"}), "card.json")


@pytest.mark.parametrize("form", ["mien run", "mien run -1", "mien run x", "mien card 1", 1, None])
def test_a_format_that_is_none_of_a_run_is_refused(form: object) -> None:
    with pytest.raises(RunError, match=r"^recipe\.json is no record of a run: its format is"):
        converted({"format": form, "recipe": {}}, "recipe.json")


def test_converting_changes_no_current_record(old: dict[str, Run]) -> None:
    state = old["fer7"].checkpoint().state
    assert converted(state, "") == state
