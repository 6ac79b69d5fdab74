"""Runs written by older versions are resumed, exported, evaluated and fine-tuned; those of newer ones are refused.

`run_format_0` contains two runs from before runs had a format, stopped after two of three epochs: `fer7` with every
field of the recipe that adds something to a checkpoint, `ferplus8` with the classes of FER+, trained in bf16.
Runs of version 1 are made by `write_version_1`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
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
from mien.model_graph import FORMER_FORMAT
from mien.train import Recipe, Run, apply_overrides, export, find_recipe, find_weights, predict, train
from mien.train.label_noise.scores import LabelNoise
from mien.train.loop import train_epochs
from mien.train.models import MODELS
from mien.train.models.base import ExpressionModel
from mien.train.predict import load_predictor
from mien.train.runs import format
from mien.train.runs.checkpoint import FORMAT as CHECKPOINT_FORMAT
from mien.train.runs.checkpoint import digest
from mien.train.runs.format import FORMAT, NewerRunError, convert_record

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
    """Return the recipe of the old run `name` in the current format."""
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
def test_old_run_is_evaluated_with_the_same_result(name: str, old: dict[str, Run], data: dict[str, Dataset]) -> None:
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
def test_old_run_is_fine_tuned(name: str, old: dict[str, Run], data: dict[str, Dataset], tmp_path: Path) -> None:
    """The learning rate is so low that the weights do not change; the head is lost if the labels are not recognized."""
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


def test_later_converter_reaches_every_copy_of_the_record(
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
    monkeypatch.setattr(format, "FORMAT", "mien run 4")
    run = old["fer7"]
    for record in (run.identity, run.checkpoint().state, find_weights(tmp_path / "released.safetensors").about):
        assert record["format"] == "mien run 4"
        assert record["data"]["labels"][6] == "calm face"
    assert [set(e) & {"val_loss", "validation_loss"} for e in run.history] == [{"validation_loss"}] * 2
    assert "validation_loss" in run.checkpoint().state["history"][0]
    assert "validation_loss" in find_weights(tmp_path / "released.safetensors").about["figures"]


def test_old_names_of_metrics_are_converted(old: dict[str, Run]) -> None:
    """Version 2 called the metrics on unaugmented training faces `clean_*`."""
    run = old["fer7"]
    assert '"clean_accuracy"' in (run.folder / "metrics.jsonl").read_text()
    figures = find_weights(run.folder).about["figures"]
    for metrics in (*run.history, *run.checkpoint().state["history"], figures):
        assert {"train_eval_loss", "train_eval_accuracy"} <= set(metrics)
        assert not [name for name in metrics if name.startswith("clean_")]


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
    about |= header
    signed = about["format"] if about["format"] == CHECKPOINT_FORMAT else ""
    file.write_bytes(save(tensors, {**about, "state": state, "sha256": digest(tensors, signed + state)}))


@pytest.mark.parametrize("name", FILES)
def test_run_of_a_newer_version_is_refused(name: str, old: dict[str, Run], toy: Dataset) -> None:
    run = old["fer7"]
    shutil.copy(run.checkpoint_file, run.folder / "checkpoint-before.safetensors")  # no advice to go back to it
    file = run.folder / name
    rewrite(file, run, {}, {"format": "mien run 99"})
    says = rf"^{file}: written by a newer mien: its format is 'mien run 99', and this version reads up to '{FORMAT}'"
    released = name == "released.safetensors"
    with pytest.raises(NewerRunError, match=says + r"\. Upgrade with: pip install --upgrade mien$"):
        predict(file, toy, "val") if released else train(recipe_of("fer7"), toy, run.folder, seed=1, resume=True)


@pytest.mark.parametrize("name", FILES[1:])
def test_weight_file_of_a_newer_version_is_refused(name: str, old: dict[str, Run], toy: Dataset) -> None:
    file = old["fer7"].folder / name
    kind = "checkpoint" if name.startswith("checkpoint") else "weights"
    rewrite(file, old["fer7"], {"format": f"mien {kind} 99"}, {})
    with pytest.raises(NewerRunError, match=rf"newer mien: its format is 'mien {kind} 99', .* up to 'mien {kind} \d'"):
        predict(file, toy, "val")


def test_card_of_a_newer_version_is_refused() -> None:
    card = json.loads(read_card("nano").to_json())
    with pytest.raises(MienError, match=r"^card\.json: written by a newer mien: its format is 'mien card 99'"):
        Card.from_json(json.dumps({**card, "format": "mien card 99"}), "card.json")


@pytest.mark.parametrize("form", ["mien run", "mien run -1", "mien run x", "mien card 1", 1, None])
def test_format_of_another_kind_is_refused(form: object) -> None:
    with pytest.raises(RunError, match=r"^recipe\.json is not the record of a training run: its format is"):
        convert_record({"format": form, "recipe": {}}, "recipe.json")


def test_convert_record_keeps_current_records(old: dict[str, Run]) -> None:
    state = old["fer7"].checkpoint().state
    assert convert_record(state, "") == state


# Version 1: other names for fields of the recipe, for a key of the data and for the parts of a checkpoint.
FIELDS = {
    "optimizer": "optimiser", "teacher_weight": "teach", "drop_duplicates": "drop_twins", "label_noise": "doubts",
}  # fmt: skip
PARTS = {"model": "net", "optimizer": "optimiser", "probs": "told"}


def record_version_1(record: dict[str, Any]) -> dict[str, Any]:
    renamed = {part: {FIELDS.get(k, k): v for k, v in record[part].items()} for part in ("recipe", "data")}
    return {**record, **renamed, "format": "mien run 1"}


def write_graph_version_1(file: Path) -> str:
    """Rewrite an exported graph with the former names of its format and its weights; return its SHA-256."""
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        tensor.name = re.sub(r"^model\.", "net.", tensor.name)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [re.sub(r"^model\.", "net.", name) for name in names]
    for note in model.metadata_props:
        if note.key == "mien.format":
            note.value = FORMER_FORMAT
    file.write_bytes(model.SerializeToString())
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_version_1(file: Path) -> None:
    """Rewrite a file of a run, of released weights or of an exported model as version 1 wrote it."""
    if file.suffix == ".json":
        content = json.loads(file.read_text())
        if file.name == "card.json":
            record = record_version_1({"recipe": content["recipe"], "data": content["data"]})
            origin = {**content["origin"], "run_format": record.pop("format")}
            sha256 = write_graph_version_1(file.with_name("model.onnx"))
            file.write_text(json.dumps({**content, **record, "origin": origin, "sha256": sha256}))
        else:
            file.write_text(json.dumps(record_version_1(content)))
        return
    with safe_open(file, "pt") as opened:
        about, tensors = opened.metadata(), {k: opened.get_tensor(k) for k in opened.keys()}  # noqa: SIM118
    if about["format"] == CHECKPOINT_FORMAT:
        about["format"] = "mien checkpoint 2"
        parts = {k: k.partition(".") for k in tensors}
        tensors = {f"{PARTS.get(parts[k][0], parts[k][0])}.{parts[k][2]}": v for k, v in tensors.items()}
    state = json.dumps(record_version_1(json.loads(about["state"])))
    file.write_bytes(save(tensors, {**about, "state": state, "sha256": digest(tensors, state)}))


@pytest.fixture
def all_fields(old: dict[str, Run], toy: Dataset, tmp_path: Path) -> Recipe:
    """A recipe in which every renamed field has a value other than its default."""
    faces = toy["train"]
    probs_NK = np.random.default_rng(0).dirichlet(np.ones(7), len(faces)).astype(np.float32)
    LabelNoise(toy.digest, toy.labels.names, faces.rows_N, probs_NK).write(tmp_path / "label_noise.npz")
    return replace(
        recipe_of("fer7"), optimizer="adam", lr=0.01, teacher=str(old["fer7"].folder), teacher_weight=0.25,
        drop_duplicates=True, label_noise=str(tmp_path / "label_noise.npz"), drop_noisy=0.1,
    )  # fmt: skip


@pytest.fixture
def version_1(all_fields: Recipe, toy: Dataset, tmp_path: Path) -> Run:
    """A run of version 1, stopped after two of three epochs."""
    run = Run(tmp_path / "version_1")
    with closing(train_epochs(all_fields, toy, run.folder)) as epochs:
        assert len(list(islice(epochs, 2))) == 2
    for name in ("recipe.json", "checkpoint.safetensors", "checkpoint-before.safetensors"):
        write_version_1(run.folder / name)
    return run


def test_version_1_files_have_the_old_names(version_1: Run) -> None:
    recorded = json.loads((version_1.folder / "recipe.json").read_text())
    assert set(FIELDS.values()) <= set(recorded["recipe"])
    assert not set(FIELDS) & set(recorded["recipe"])
    assert "doubts" in recorded["data"]
    with safe_open(version_1.checkpoint_file, "pt") as file:
        assert {k.partition(".")[0] for k in file.keys()} == {"net", "optimiser", "average", "selected", "told"} - (  # noqa: SIM118
            set() if version_1.selected_epoch < 2 else {"selected"}
        )


def test_version_1_run_is_read(version_1: Run, all_fields: Recipe, toy: Dataset) -> None:
    assert version_1.identity["recipe"] == version_1.checkpoint().state["recipe"] == all_fields.to_dict()
    assert version_1.identity["data"]["label_noise"] == version_1.checkpoint().state["data"]["label_noise"]
    assert np.array_equal(predict(version_1.folder, toy, "val", device="cpu"), version_1.predictions()["val"])


def test_version_1_run_resumes_bit_for_bit(version_1: Run, all_fields: Recipe, toy: Dataset, tmp_path: Path) -> None:
    straight = train(all_fields, toy, tmp_path / "straight").checkpoint()
    resumed = train(all_fields, toy, version_1.folder, resume=True).checkpoint()
    for part in ("model", "optimizer", "average", "selected", "probs"):
        wanted, found = getattr(straight, part), getattr(resumed, part)
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[k], found[k]) for k in wanted), part
    recorded = json.loads((version_1.folder / "recipe.json").read_text())
    assert (recorded["format"], recorded["recipe"]) == (FORMAT, all_fields.to_dict())


def test_version_1_run_is_exported(version_1: Run, all_fields: Recipe, toy: Dataset, tmp_path: Path) -> None:
    card = export(version_1.folder, tmp_path / "model", toy)
    assert card.recipe == all_fields.to_dict()
    assert card.data["label_noise"] == version_1.identity["data"]["label_noise"]


def test_version_1_weights_and_card_start_a_run(
    version_1: Run, all_fields: Recipe, toy: Dataset, tmp_path: Path
) -> None:
    """As `train --init` reads them: a run, a released file, and an exported model."""
    weights = find_weights(version_1.folder)
    weights.release(tmp_path / "released.safetensors")
    export(version_1.folder, tmp_path / "model", toy)
    for file in (tmp_path / "released.safetensors", tmp_path / "model" / "card.json"):
        write_version_1(file)
    export(version_1.folder, tmp_path / "half", toy, storage="float16")
    write_version_1(tmp_path / "half" / "card.json")
    assert set(find_weights(tmp_path / "half").tensors) == set(weights.tensors)
    plain = replace(recipe_of("fer7"), epochs=1)
    for source in (version_1.folder, tmp_path / "released.safetensors", tmp_path / "model"):
        assert find_weights(source).recipe == all_fields.to_dict()
        assert find_weights(source).about["data"]["label_noise"] == weights.about["data"]["label_noise"]
        run = train(plain, toy, tmp_path / f"from-{source.name}", init=source)
        assert run.identity["init"]["sha256"] == weights.identity["sha256"]
