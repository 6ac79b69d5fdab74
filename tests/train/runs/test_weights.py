"""Weights to start from: a run, a file, a shipped model; the head where labels differ; released files."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mien.data.dataset import Dataset
from mien.errors import RunError
from mien.labels import LabelSet
from mien.train import Recipe, Run, export, predict, train
from mien.train.models import build_model
from mien.train.runs.weights import find_weights, shipped_names


@pytest.fixture(scope="module")
def run(one_epoch: Run) -> Run:
    return one_epoch


@pytest.fixture(scope="module")
def three(toy: Dataset) -> Dataset:
    """Three classes, one of which the first run knew by name, at another place."""
    labels = LabelSet("custom", ("cross", "happy", "puzzled"))
    splits = {name: replace(split, labels_N=split.labels_N % 3) for name, split in toy.splits.items()}
    return replace(toy, labels=labels, splits=splits, digest="three")


def test_run_checkpoint_and_released_file_start_alike(run: Run, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    find_weights(run.folder).release(tmp_path / "first.safetensors")
    again = replace(small, epochs=1)
    probs = {
        name: train(again, toy, tmp_path / name, init=source).predictions()["val"]
        for name, source in {
            "run": run.folder, "checkpoint": run.checkpoint_file, "file": tmp_path / "first.safetensors",
        }.items()
    }  # fmt: skip
    assert np.array_equal(probs["run"], probs["checkpoint"])
    assert np.array_equal(probs["run"], probs["file"])
    assert not np.array_equal(probs["run"], train(again, toy, tmp_path / "fresh").predictions()["val"])
    assert np.array_equal(predict(tmp_path / "first.safetensors", toy, "val"), run.predictions()["val"])


def test_released_half_file_predicts_nearly_the_same(run: Run, toy: Dataset, tmp_path: Path) -> None:
    find_weights(run.folder).release(tmp_path / "whole.safetensors")
    find_weights(run.folder).release(tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    probs_NK = predict(tmp_path / "half.safetensors", toy, "val", device="cpu")
    assert np.allclose(probs_NK, run.predictions()["val"], atol=5e-3)
    assert not np.array_equal(probs_NK, run.predictions()["val"])


def test_load_into_keeps_the_rows_of_common_classes(run: Run) -> None:
    source, model = find_weights(run.folder), build_model("mien_nano", 3)
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    source.load_into(model, ("cross", "happy", "puzzled"))
    for key, tensor in model.state_dict().items():
        if not key.startswith("head."):
            assert torch.equal(tensor, source.tensors[key]), key
    for key in ("head.weight", "head.bias"):
        head = model.state_dict()[key]
        assert torch.equal(head[1], source.tensors[key][3])  # `happy` is FER2013's fourth
        assert torch.equal(head[[0, 2]], fresh[key][[0, 2]])


def test_load_into_reorders_the_head_by_label(run: Run, toy: Dataset) -> None:
    source, model = find_weights(run.folder), build_model("mien_nano", 7).eval()
    source.load_into(model, toy.labels.names[::-1])
    with torch.no_grad():
        probs_NK = model((torch.from_numpy(toy["val"].pixels_NHW).unsqueeze(1).float() / 255 - 0.5) / 0.5).exp()
    assert np.allclose(probs_NK.numpy()[:, ::-1], run.predictions()["val"], atol=1e-5)


def test_fine_tuned_run_records_its_initial_weights(run: Run, three: Dataset, small: Recipe, tmp_path: Path) -> None:
    tuned = train(replace(small, epochs=1), three, tmp_path / "tuned", init=run.folder)
    assert tuned.identity["init"] == find_weights(run.folder).identity
    assert tuned.predictions()["val"].shape == (32, 3)
    again = replace(small, epochs=1)
    # Its weights may be renamed, or gone: its initial weights are recorded in the checkpoint.
    find_weights(run.folder).release(tmp_path / "renamed.safetensors")
    assert train(again, three, tmp_path / "tuned", resume=True, init=tmp_path / "renamed.safetensors") == tuned
    assert train(again, three, tmp_path / "tuned", resume=True) == tuned
    with pytest.raises(RunError, match=r"other settings \(init\.sha256=.* instead of "):
        train(again, three, tmp_path / "tuned", resume=True, init=tuned.folder)


def test_init_of_another_architecture_is_refused(run: Run, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    recipe = replace(small, model="seed_cnn_quarter", mean=0.4)
    with pytest.raises(RunError, match=r"use --set model=mien_nano --set mean=0\.5"):
        train(recipe, toy, tmp_path / "run", init=run.folder)
    assert not (tmp_path / "run").exists()


def test_find_weights_missing_or_damaged_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"model not found: nothing .*nano"):
        find_weights("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"empty is not a run folder: it contains no checkpoint\.safetensors"):
        find_weights(tmp_path / "empty")
    find_weights(run.folder).release(tmp_path / "whole.safetensors")
    content = bytearray((tmp_path / "whole.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"flipped\.safetensors is damaged: its checksum is wrong"):
        find_weights(tmp_path / "flipped.safetensors")


@pytest.fixture(scope="module")
def exported(run: Run, toy: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Storage -> the folder of what was exported from `run`."""
    folder = tmp_path_factory.mktemp("exported")
    for storage in ("float32", "float16"):
        export(run.folder, folder / storage, toy, storage=storage)
    return {storage: folder / storage for storage in ("float32", "float16")}


def test_exported_model_gives_back_the_run_weights(run: Run, exported: dict[str, Path], tmp_path: Path) -> None:
    released = {"float32": tmp_path / "whole.safetensors", "float16": tmp_path / "half.safetensors"}
    for storage, file in released.items():
        find_weights(run.folder).release(file, half=storage == "float16")
        wanted = find_weights(file)
        for source in (exported[storage], exported[storage] / "model.onnx", exported[storage] / "card.json"):
            found = find_weights(source)
            assert found.identity == {"name": storage, "sha256": wanted.identity["sha256"]}  # names, types and bytes
            figures = {k: v for k, v in wanted.about["figures"].items() if k not in ("seconds", "images_per_second")}
            assert found.about == {**wanted.about, "figures": figures}
            assert found.labels == wanted.labels
    assert any(
        v.item() for k, v in find_weights(exported["float16"]).tensors.items() if k.endswith("num_batches_tracked")
    )


def test_training_starts_alike_from_model_and_released_file(
    run: Run, exported: dict[str, Path], toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    find_weights(run.folder).release(tmp_path / "half.safetensors", half=True)
    again = replace(small, epochs=1)
    from_file = train(again, toy, tmp_path / "a", init=tmp_path / "half.safetensors")
    from_model = train(again, toy, tmp_path / "b", init=exported["float16"])
    assert np.array_equal(from_file.predictions()["val"], from_model.predictions()["val"])
    assert from_file.identity["init"]["sha256"] == from_model.identity["init"]["sha256"]


def test_teacher_may_be_the_folder_of_a_model(
    run: Run, exported: dict[str, Path], toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    pupils = [
        train(replace(small, epochs=1, teacher=str(source)), toy, tmp_path / name)
        for name, source in {"run": run.folder, "model": exported["float32"]}.items()
    ]
    assert np.array_equal(*(pupil.predictions()["val"] for pupil in pupils))


def test_run_folder_with_a_model_in_it_is_the_run(run: Run, exported: dict[str, Path], tmp_path: Path) -> None:
    both = shutil.copytree(run.folder, tmp_path / "both")
    shutil.copytree(exported["float16"], both, dirs_exist_ok=True)
    assert find_weights(both).identity["sha256"] == find_weights(run.folder).identity["sha256"]


def test_model_without_training_weights_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    def change(name: str, storage: str, prune: bool) -> Path:
        folder = shutil.copytree(exported["float16"], tmp_path / name)
        model = onnx.load(folder / "model.onnx")
        if prune:
            kept = [note for note in model.metadata_props if note.key != "mien.unused_state"]
            del model.metadata_props[:]
            model.metadata_props.extend(kept)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        card = json.loads((folder / "card.json").read_text())
        card |= {"storage": storage, "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()}
        (folder / "card.json").write_text(json.dumps(card))
        return folder

    assert find_weights(change("same", "float16", prune=False)).labels
    with pytest.raises(
        RunError, match=r"old was exported by an earlier version of mien, without training weights; start from its run"
    ):
        find_weights(change("old", "float16", prune=True))
    with pytest.raises(RunError, match=r"int8 was exported as int8, without training weights; start from its run"):
        find_weights(change("int8", "int8", prune=True))


def test_damaged_model_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    flipped = shutil.copytree(exported["float16"], tmp_path / "flipped")
    content = bytearray((flipped / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (flipped / "model.onnx").write_bytes(content)
    with pytest.raises(RunError, match=r"flipped/model\.onnx is damaged or not the model of its card"):
        find_weights(flipped)
    relabelled = shutil.copytree(exported["float16"], tmp_path / "relabelled")
    text = (relabelled / "card.json").read_text()
    (relabelled / "card.json").write_text(text.replace('"disgust"', '"disgusted"'))
    with pytest.raises(RunError, match=r"the graph and the card of .* do not match"):
        find_weights(relabelled)
    (relabelled / "model.onnx").unlink()
    with pytest.raises(RunError, match=r"no model\.onnx in"):
        find_weights(relabelled)


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_model_loads_by_name(name: str) -> None:
    weights = find_weights(name)
    weights.load_into(build_model(weights.recipe["model"], len(weights.labels)), weights.labels)
    assert {"recipe", "seed", "data", "figures"} <= set(weights.about)
    assert weights.identity["name"] == name
