"""Export to ONNX: parity with torch, the figures on the card, storage formats and errors."""

from __future__ import annotations

import errno
import functools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import mien
from mien import files as mien_files
from mien.data import sketch, write_csv
from mien.data.dataset import Dataset
from mien.errors import DataError, MienError, MissingSplit, RunError
from mien.evaluation.protocols import evaluate_model
from mien.evaluation.statistics import calibration, metrics
from mien.labels import FERPLUS8
from mien.model_card import DEDUPLICATED, MAJORITY_VOTE, OFFICIAL, OWN_LABELS, Card
from mien.train import Recipe, Run, export, find_weights, train
from mien.train.batches import normalize
from mien.train.export.onnx_graph import (
    UNUSED,
    PixelModel,
    build_graph,
    class_weights,
    half_precision,
    quantize_int8,
    serialize_graph,
    set_temperature,
    to_float16,
)
from mien.train.models import MODELS, build_model
from mien.train.models.base import ExpressionModel
from mien.train.runs.checkpoint import Tensors, digest
from mien.train.runs.format import FORMAT
from mien.train.runs.graph_state import read_state  # fmt: skip

NAMES = sorted(set(MODELS) - {"seed_cnn"})  # its narrower copies are the same code
ARCHITECTURES = [name if name == "mien_nano" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
FACES = sketch(train=0, val=9, test=0)["val"].pixels_NHW


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sketch as a file, with two of its training faces among those of validation."""
    file = tmp_path_factory.mktemp("data") / "fer2013.csv"
    data = sketch(train=140, val=210, test=35)
    train_, val = data["train"], data["val"]
    val = replace(val, pixels_NHW=np.concatenate([train_.pixels_NHW[:2], val.pixels_NHW[2:]]))
    write_csv(file, replace(data, splits={**data.splits, "val": val}))
    return file


@pytest.fixture(scope="module")
def data(csv: Path) -> Dataset:
    return mien.load_data(csv)


@pytest.fixture(scope="module")
def run(data: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(replace(small, model="seed_cnn_eighth"), data, tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def exported(run: Run, data: Dataset) -> Path:
    """The folder of the model that was made of `run`."""
    folder = run.folder.parent / "models" / "small"
    export(run.folder, folder, data)
    return folder


@pytest.fixture(scope="module")
def released(run: Run) -> Callable[..., Path]:
    """Writes the weights of `run`, changed, as a file."""

    def release(name: str, change: Callable[[dict[str, Tensor]], Tensors]) -> Path:
        file, weights = run.folder.parent / f"{name}.safetensors", find_weights(run.folder)
        replace(weights, tensors=change({k: v.clone() for k, v in weights.tensors.items()})).release(file)
        return file

    return release


SKEWED = (0.05, 0.3, 0.05, 0.3, 0.1, 0.1, 0.1)


@pytest.fixture
def skewed(run: Run, tmp_path: Path) -> Path:
    """The weights of `run`, as if they had learned from classes of these frequencies."""
    weights = find_weights(run.folder)
    file = tmp_path / "skewed.safetensors"
    replace(weights, about={**weights.about, "class_frequencies": SKEWED}).release(file)
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are written as a graph once, which takes seconds, however often they are exported."""
    made: dict[str, onnx.ModelProto] = {}

    def once(pixel_model: PixelModel, labels: Sequence[str]) -> onnx.ModelProto:
        name = digest(pixel_model.model.state_dict(), json.dumps(labels))
        return made.setdefault(name, made.get(name) or build_graph(pixel_model, labels))

    monkeypatch.setattr(sys.modules["mien.train.export.export"], "build_graph", once)


def alive(name: str, classes: int = 7) -> ExpressionModel:
    """A model with fresh weights whose normalisation has seen faces and whose head is strong enough to part them."""
    torch.manual_seed(0)
    built, x_NCHW = build_model(name, classes), torch.from_numpy(FACES).unsqueeze(1).float() / 64 - 2
    for layer in built.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # what it has seen last is what it knows
    with torch.no_grad():
        built.maps(x_NCHW)
        weight = built.eval().head.weight
        assert isinstance(weight, Tensor)
        weight /= built.logits(built.maps(x_NCHW)).std(0).mean()
    return built


def as_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


@functools.cache
def made(name: str) -> tuple[PixelModel, onnx.ModelProto]:
    """The model of `name` in torch and as a graph, at temperature 1."""
    pixel_model = PixelModel(alive(name), mean=0.4, std=0.25)
    return pixel_model, build_graph(pixel_model, "abcdefg")


def predict_torch(model: ExpressionModel, recipe: Recipe, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Of `FACES`, which come in as they do in training."""
    with torch.inference_mode():
        x_NCHW = normalize(torch.from_numpy(FACES).unsqueeze(1).float(), recipe)
        return torch.softmax(model(x_NCHW) / temperature, 1).numpy(), model.maps(x_NCHW).numpy()


def predict_file(content: bytes, faces: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "maps"], {"faces": faces})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_predicts_as_in_torch(name: str) -> None:
    pixel_model, plain = made(name)
    model = set_temperature(plain, 1.7)
    p_NK, maps_NCHW = predict_torch(pixel_model.model, Recipe("any", mean=0.4, std=0.25), 1.7)
    assert p_NK.std(0).max() > 0.01  # different faces give different outputs
    for part in (slice(0, 1), slice(1, 8), slice(0, 9)):
        probs_NK, seen_NCHW = predict_file(serialize_graph(model), FACES[part])
        assert np.abs(probs_NK - p_NK[part]).max() < 1e-5
        assert np.allclose(seen_NCHW, maps_NCHW[part], rtol=1e-4, atol=1e-4)
    assert probs_NK.sum(1) == pytest.approx(np.ones(9), abs=1e-5)


def loaded(content: bytes, file: Path) -> onnx.GraphProto:
    """The graph as onnxruntime has it at the level that it optimises every graph to at least."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(file)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return onnx.load(file).graph


def normalised(graph: onnx.GraphProto) -> dict[str, int]:
    """How many nodes of batch normalisation come behind each kind of node."""
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    return dict(Counter(made_by[n.input[0]] for n in graph.node if n.op_type == "BatchNormalization"))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("store", [as_is, to_float16])
def test_batchnorm_after_conv_is_fused_when_loaded(
    name: str, store: Callable[[onnx.ModelProto], onnx.ModelProto], tmp_path: Path
) -> None:
    plain = made(name)[1]
    layers = sum(isinstance(layer, nn.BatchNorm2d) for layer in made(name)[0].model.modules())
    assert sum(normalised(plain.graph).values()) == layers
    assert "Conv" not in normalised(loaded(serialize_graph(store(plain)), tmp_path / "loaded.onnx"))
    prefetch = [n.op_type for n in plain.graph.node][: [n.op_type for n in plain.graph.node].index("Conv")]
    assert prefetch.count("Mul") + prefetch.count("Div") == prefetch.count("Add") + prefetch.count("Sub") == 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_read_state_equals_the_state_dict(name: str) -> None:
    pixel_model, plain = made(name)
    wanted = pixel_model.model.state_dict()
    for model, kept in ((plain, wanted), (to_float16(plain), {k: half_precision(k, v) for k, v in wanted.items()})):
        labels, state = read_state(model)
        assert state is not None
        assert labels == tuple("abcdefg")
        assert {k: (v.dtype, v.shape) for k, v in state.items()} == {k: (v.dtype, v.shape) for k, v in kept.items()}
        assert all(torch.equal(state[k], v) for k, v in kept.items())
        kernels = {v.dtype for v in state.values() if v.dim() > 1}
        assert kernels == {torch.float32 if model is plain else torch.float16}


def test_half_precision_keeps_inexact_vectors() -> None:
    variance, ones = torch.tensor([1.0, 1e-9]), torch.ones(2)
    assert half_precision("running_var", variance) is variance
    assert half_precision("weight", ones).dtype == torch.float16
    assert half_precision("weight", torch.full((2, 2), 0.1)).dtype == torch.float16
    count = torch.tensor(7)
    assert half_precision("num_batches_tracked", count) is count


@pytest.mark.parametrize("name", [n for n in NAMES if MODELS[n](7).pooled])
def test_class_weights_turn_maps_into_logits(name: str) -> None:
    """What class activation maps stand on: the mean of weights times maps is the logit, but for the head's bias."""
    pixel_model, plain = made(name)
    built, weights_KC = pixel_model.model, class_weights(pixel_model.model)
    assert weights_KC is not None
    p_NK, maps_NCHW = predict_file(serialize_graph(set_temperature(plain, 2.5)), FACES)
    logits_NK = np.einsum("kc,nchw->nkhw", weights_KC, maps_NCHW).mean((2, 3))
    if getattr(built.head, "bias", None) is not None:
        logits_NK += built.head.bias.detach().numpy()
    differ_NK = logits_NK - 2.5 * np.log(p_NK)  # equal but for a constant per face
    assert np.abs(differ_NK - differ_NK.mean(1, keepdims=True)).max() < 1e-3
    assert np.ptp(logits_NK, 1).max() > 1e-2


def test_model_without_linear_head_has_no_class_weights() -> None:
    assert class_weights(build_model("vgg13", 7)) is None
    model = made("deep_emotion")[1]
    assert {p.key for p in model.metadata_props} == {"mien.format", "mien.labels", "mien.unused_state"}


@pytest.mark.slow
def test_temperature_is_not_shared_with_equal_constants() -> None:
    """Whatever other number of the graph is equal to it: here mean/std, that of the multiply-add, is 2."""
    model = build_graph(PixelModel(alive("seed_cnn_eighth"), mean=0.5, std=0.25), "abcdefg")
    (p_NK, maps_NCHW), (cool_NK, same_NCHW) = (
        predict_file(serialize_graph(set_temperature(model, t)), FACES) for t in (1.0, 2.0)
    )
    assert np.array_equal(maps_NCHW, same_NCHW)
    assert np.abs(calibration.apply(p_NK, 2.0) - cool_NK).max() < 1e-6
    assert np.array_equal(predict_file(serialize_graph(model), FACES)[0], p_NK)  # the copy was changed, not the model


def test_file_predicts_as_the_run_at_the_temperature(run: Run, exported: Path, data: Dataset) -> None:
    model, card = mien.model.load(exported), mien.model.load(exported).card
    probs_NK = model.probabilities(data["val"].pixels_NHW)
    wanted_NK = calibration.apply(run.predictions()["val"], card.calibration.temperature)
    assert np.abs(probs_NK - wanted_NK).max() < 1e-4
    assert card.parity <= 1e-5
    for n in (1, 7, 210):
        assert np.abs(model.probabilities(data["val"].pixels_NHW[:n], batch=n) - probs_NK[:n]).max() < 1e-6
    assert model.maps(FACES)[1].shape == (9, 32, 4, 4)


def test_card_records_training_and_metrics(run: Run, exported: Path, data: Dataset) -> None:
    card = Card.from_json((exported / "card.json").read_text(), "card.json")
    identity = run.identity
    assert (card.name, card.labels, card.side) == ("seed_augmented", data.labels, 48)
    assert (card.parameters, card.storage, card.test) == (322_724, "float32", ())
    assert card.recipe == identity["recipe"]
    assert {k: card.data[k] for k in ("name", "digest", "votes", "known_as", "scheme")} == {
        "name": "sketch", "digest": data.digest, "votes": None, "known_as": None, "scheme": "fer2013",
    }  # fmt: skip
    assert (card.data["faces"]["train"], card.data["faces"]["val"]) == (140, 210)
    assert dict(card.origin) == {
        "weights": find_weights(run.folder).identity["sha256"],
        "seed": 0, "epoch": 2, "epochs": 2, "select": "last", "init": None, "teachers": None,
        "figures": {k: v for k, v in run.history[-1].items() if k not in ("seconds", "images_per_second")},
        "run_format": FORMAT,
    }  # fmt: skip
    # Side of the maps, kernel's places, channels in and out of the nine convolutions and the head.
    layers = (
        (48, 9, 3, 4), (48, 9, 4, 8), (24, 9, 8, 16), (24, 9, 16, 32), (24, 1, 32, 64), (13, 9, 64, 128),
        (13, 9, 128, 128), (6, 9, 128, 64), (4, 9, 64, 32), (1, 1, 32, 7),
    )  # fmt: skip
    assert card.flops == sum(2 * side * side * kernel * i * o for side, kernel, i, o in layers)
    fitted, raw_NK, true_N = card.calibration, run.predictions()["val"], data["val"].labels_N
    assert (fitted.split, fitted.n) == ("val", 210)
    assert fitted.temperature == pytest.approx(calibration.fit_temperature(np.log(raw_NK), true_N), abs=1e-3)
    assert fitted.ece_before == pytest.approx(metrics.ece(raw_NK, true_N), abs=1e-3)
    assert fitted.ece_after == pytest.approx(calibration.cross_fitted_ece(np.log(raw_NK), true_N), abs=1e-3)
    assert {s.key for s in card.scores} == {
        ("val", protocol, OWN_LABELS, tta) for protocol in (OFFICIAL, DEDUPLICATED) for tta in ("none", "flip")
    }
    assert {s.protocol: s.n for s in card.scores} == {OFFICIAL: 210, DEDUPLICATED: 208}


def test_export_on_few_faces_keeps_temperature_1(small: Recipe, tmp_path: Path) -> None:
    few = sketch(train=14, val=14, test=0)
    run = train(replace(small, epochs=1), few, tmp_path / "run")
    with pytest.warns(UserWarning, match="the temperature is 1: 'val' has 14 faces, and fewer than 200 are too few"):
        card = export(run.folder, tmp_path / "model", few)
    fitted = card.calibration
    assert (fitted.temperature, fitted.split, fitted.n) == (1.0, "", 14)
    assert fitted.ece_after == fitted.ece_before
    assert fitted.ece_before == pytest.approx(metrics.ece(run.predictions()["val"], few["val"].labels_N), abs=1e-3)
    assert not any(score.selected_on for score in card.scores)


def test_card_scores_equal_an_evaluation(exported: Path, data: Dataset) -> None:
    model = mien.model.load(exported)
    for tta in ("none", "flip"):
        found = evaluate_model(model, data, "val", tta=tta)[1]
        assert found is not None
        assert found.scores() == tuple(s for s in model.card.scores if s.tta == tta)
    flipped = np.ascontiguousarray(data["val"].pixels_NHW[:, :, ::-1])
    both_NK = model.probabilities(data["val"].pixels_NHW) + model.probabilities(flipped)
    (flip,) = [s for s in model.card.scores if (s.protocol, s.tta) == (OFFICIAL, "flip")]
    assert flip.accuracy == (both_NK.argmax(1) == data["val"].labels_N).mean()


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_prior_strength_of_zero_is_the_same_file(skewed: Path, exported: Path, data: Dataset, tmp_path: Path) -> None:
    plain = mien.model.read_card(exported).sha256
    assert export(skewed, tmp_path / "zero", data, prior_strength=0).sha256 == plain
    assert export(skewed, tmp_path / "some", data, prior_strength=0.1).sha256 != plain


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_prior_strength_equals_a_computation_by_hand(
    skewed: Path, run: Run, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    monkeypatch.setattr(
        sys.modules["mien.train.export.measure"], "MAX_ACCURACY_LOSS", 3
    )  # points; one of 210 faces is 0.5
    card = export(skewed, tmp_path / "model", data, prior_strength=0.7, storage=storage)
    found = card.class_frequencies
    assert found is not None
    assert found.training == pytest.approx(SKEWED)
    assert (found.training_strength, found.export_strength) == (0, 0.7)
    power_K = np.array(SKEWED) ** 0.3
    assert found.assumed == pytest.approx(power_K / power_K.sum())
    raw_NK = run.predictions()["val"].astype(np.float64)
    logits_NK = np.log(raw_NK) - 0.7 * np.log(SKEWED)
    shifted_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(1, keepdims=True)
    by_hand_NK = calibration.apply(shifted_NK, card.calibration.temperature)
    probs_NK = mien.model.load(tmp_path / "model").probabilities(data["val"].pixels_NHW)
    near = {"float32": 1e-4, "float16": 2e-3}[storage]
    effect = np.abs(by_hand_NK - calibration.apply(raw_NK, card.calibration.temperature)).max()
    assert np.abs(probs_NK - by_hand_NK).max() < min(near, effect / 5)
    true_N, close = data["val"].labels_N, 10 * near
    assert card.calibration.ece_before == pytest.approx(metrics.ece(shifted_NK, true_N), abs=close)
    assert card.calibration.balanced_ece_before == pytest.approx(metrics.balanced_ece(shifted_NK, true_N), abs=close)
    wanted = calibration.cross_fitted_ece(np.log(shifted_NK), true_N, error=metrics.balanced_ece)
    assert card.calibration.balanced_ece_after == pytest.approx(wanted, abs=close)


@pytest.mark.usefixtures("quick")
def test_prior_strength_auto_has_the_best_macro_f1(run: Run, data: Dataset, tmp_path: Path) -> None:
    """Of training frequencies twice as uneven, in logarithms, as what the weights predict on average."""
    weights, raw_NK = find_weights(run.folder), np.log(run.predictions()["val"].astype(np.float64))
    twice_K = np.exp(2 * raw_NK.mean(0))
    training_K = twice_K / twice_K.sum()
    about = {**weights.about, "class_frequencies": training_K.tolist()}
    replace(weights, about=about).release(tmp_path / "uneven.safetensors")
    card = export(tmp_path / "uneven.safetensors", tmp_path / "model", data, prior_strength="auto")
    true_N, f1 = data["val"].labels_N, {}
    for step in range(21):
        scores_NK = raw_NK - step / 20 * np.log(training_K)
        f1[step / 20] = metrics.macro_f1(metrics.confusion_matrix(true_N, scores_NK.argmax(1), 7))
    assert card.class_frequencies is not None
    chosen = card.class_frequencies.export_strength
    assert chosen == min(s for s in f1 if f1[s] == max(f1.values()))
    assert 0 < chosen < 1  # else the test would show little
    assert card.scores[0].macro_f1 == pytest.approx(f1[chosen])


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_prior_strength_of_training_is_on_the_card(
    run: Run, data: Dataset, released: Callable[..., Path], tmp_path: Path
) -> None:
    """What moved the class frequencies in training counts as well, from a file that lacks the frequencies too."""
    weights = find_weights(run.folder)
    recipe = {**weights.about["recipe"], "logit_adjustment": 0.5, "class_weights": 0.25}
    about = {k: v for k, v in weights.about.items() if k != "class_frequencies"} | {"recipe": recipe}
    replace(weights, about=about).release(tmp_path / "old.safetensors")
    found = export(tmp_path / "old.safetensors", tmp_path / "model", data, prior_strength=0.2).class_frequencies
    assert found is not None
    counts_K = np.bincount(data["train"].labels_N, minlength=7)
    assert found.training == pytest.approx(counts_K / counts_K.sum())  # counted in the data
    assert (found.training_strength, found.export_strength) == (0.75, 0.2)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), "best", True])
def test_prior_strength_out_of_range_is_refused(run: Run, data: Dataset, tmp_path: Path, strength: float | str) -> None:
    with pytest.raises(MienError, match="prior_strength must be auto or a number of 0 or more"):
        export(run.folder, tmp_path / "model", data, prior_strength=strength)


def test_files_contain_no_paths(exported: Path, csv: Path) -> None:
    here = {str(Path.cwd()), str(Path.home()), str(csv.parent), sys.prefix, os.path.dirname(mien.__file__)}
    for file in (exported / "model.onnx", exported / "card.json"):
        content = file.read_bytes()
        assert not [place for place in here if place.encode() in content], file
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    parts = [model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]
    assert not any(part.doc_string for part in parts)
    assert not any(part.metadata_props for part in parts[1:])
    assert [p.key for p in model.metadata_props] == [
        "mien.format", "mien.labels", "mien.unused_state", "mien.class_weights",
    ]  # fmt: skip


@pytest.mark.slow
def test_export_command_writes_the_same_bytes(run: Run, exported: Path, csv: Path, tmp_path: Path) -> None:
    words = ["export", str(run.folder), "--data", str(csv), "--out", str(tmp_path / "again"), "--name", "mine"]
    done = subprocess.run(
        [sys.executable, "-m", "mien", *words],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (exported / "model.onnx").read_bytes()
    card = mien.model.load(tmp_path / "again").card
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"wrote {tmp_path / 'again' / 'model.onnx'} (1.30 MB, float32)")
    assert lines[0].endswith("the model 'mine'")
    assert lines[1].startswith(f"temperature {card.calibration.temperature:.3f}, fitted on 'val': ")
    assert f"accuracy on 'val' {100 * card.scores[0].accuracy:.1f} % (95 % interval " in lines[2]
    assert ("210 faces, used for selection)" in lines[2]) == card.scores[0].selected_on


def test_file_runs_without_torch(exported: Path, data: Dataset) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning_fabric', 'safetensors', 'onnx'): sys.modules[name] = None\n"
        "import mien, numpy, json\n"
        f"p = "
        f"mien.model.load({str(exported)!r}).probabilities(mien.load_data({str(data.source)!r})['val'].pixels_NHW[:3])\n"
        "print(json.dumps(p.tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    probs_NK = mien.model.load(exported).probabilities(data["val"].pixels_NHW[:3])
    assert np.abs(np.array(json.loads(done.stdout)) - probs_NK).max() < 1e-6


@pytest.mark.slow
def test_float16_is_half_the_size_and_cast_when_loaded(run: Run, exported: Path, data: Dataset, tmp_path: Path) -> None:
    card = export(run.folder, tmp_path / "half", data, storage="float16")
    size, whole = ((folder / "model.onnx").stat().st_size for folder in (tmp_path / "half", exported))
    assert (card.storage, size < 0.52 * whole) == ("float16", True)
    assert 1e-6 < card.parity < 1e-2
    graph = loaded((tmp_path / "half" / "model.onnx").read_bytes(), tmp_path / "loaded.onnx")
    assert [n.op_type for n in graph.node].count("Cast") == 1  # that of the pixels
    assert not any(i.data_type == onnx.TensorProto.FLOAT16 for i in graph.initializer)
    original = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(exported / "model.onnx").graph.initializer}
    for stored in onnx.load(tmp_path / "half" / "model.onnx").graph.initializer:
        if stored.data_type == onnx.TensorProto.FLOAT16:
            assert np.array_equal(
                onnx.numpy_helper.to_array(stored), original[stored.name.removesuffix(".half")].astype(np.float16)
            )


def test_int8_computes_in_int8(data: Dataset) -> None:
    plain = made("seed_cnn_eighth")[1]
    small = quantize_int8(plain, data["train"].pixels_NHW)
    assert len(serialize_graph(small)) < 0.3 * len(serialize_graph(plain))
    assert serialize_graph(small) == serialize_graph(quantize_int8(plain, data["train"].pixels_NHW))
    assert list(small.metadata_props) == [note for note in plain.metadata_props if note.key != UNUSED]
    assert "Conv" not in normalised(small.graph)
    assert read_state(small) == (tuple("abcdefg"), None)
    nodes = {output: n for n in small.graph.node for output in n.output}
    convolutions = [n for n in small.graph.node if n.op_type == "Conv"]
    from_int8 = [nodes[n.input[1]].op_type == "DequantizeLinear" for n in convolutions if n.input[1] in nodes]
    assert from_int8 == [True] * 9  # the head, which is the tenth, stays as it is
    p_NK, probs_NK = (predict_file(serialize_graph(m), data["val"].pixels_NHW)[0] for m in (plain, small))
    assert np.abs(p_NK - probs_NK).max() > 1e-4
    assert np.corrcoef(p_NK.ravel(), probs_NK.ravel())[0, 1] > 0.95  # no trained model, so its margins are slim


def test_eight_classes_are_evaluated_by_the_majority_vote(
    make_voted: Callable[..., Dataset], small: Recipe, tmp_path: Path
) -> None:
    voted = make_voted()
    run = train(replace(small, epochs=1, scheme="distribution"), voted, tmp_path / "run")
    card = export(run.folder, tmp_path / "model", voted)
    assert card.labels == FERPLUS8
    assert {s.against for s in card.scores} == {MAJORITY_VOTE}
    assert card.data["votes"] == run.identity["data"]["votes"] != None  # noqa: E711
    assert card.calibration.n == card.scores[0].n < len(voted["val"])
    bare = replace(voted, splits={k: replace(s, votes_NV=None) for k, s in voted.splits.items()})
    with pytest.raises(DataError, match="has no FER\\+ votes"):
        export(run.folder, tmp_path / "other", bare)
    others = {
        k: replace(s, votes_NV=s.votes_NV[::-1].copy()) for k, s in voted.splits.items() if s.votes_NV is not None
    }
    with pytest.raises(RunError, match="was trained on other FER\\+ votes"):
        export(run.folder, tmp_path / "other", replace(voted, splits=others))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_seven_classes_are_evaluated_by_labels_and_votes(
    make_voted: Callable[..., Dataset], small: Recipe, tmp_path: Path
) -> None:
    voted = make_voted()
    run = train(replace(small, epochs=2, select="val_accuracy"), voted, tmp_path / "run")
    card = export(run.folder, tmp_path / "model", voted)
    assert {s.against for s in card.scores} == {OWN_LABELS, MAJORITY_VOTE}
    assert all(s.selected_on for s in card.scores)
    assert (card.origin["select"], card.origin["epoch"]) == ("val_accuracy", run.selected_epoch)


def test_export_with_other_data_is_refused(
    run: Run, data: Dataset, make_toy: Callable[..., Dataset], tmp_path: Path
) -> None:
    with pytest.raises(
        RunError, match=rf"'run' with toy\.csv: it was trained on other data \(sketch with the digest {data.digest}, "
    ):
        export(run.folder, tmp_path / "model", make_toy())
    for val in ({}, {"val": replace(data["val"], labels_N=np.full(210, -1))}):
        splits = {"train": data["train"], **val}
        with pytest.raises(MissingSplit, match="no labeled split 'val', which the temperature is fitted on"):
            export(run.folder, tmp_path / "model", replace(data, splits=splits))
    with pytest.raises(MienError, match="unknown storage 'int4'; available: float32, float16, int8"):
        export(run.folder, tmp_path / "model", data, storage="int4")
    assert not (tmp_path / "model").exists()


class Peeking(ExpressionModel):
    """A model that subtracts the mean of the batch, so that its output depends on the other faces."""

    def __init__(self, num_classes: int, *, noisy: bool = False) -> None:
        super().__init__()
        self.noisy = noisy
        self.head = nn.Linear(48, num_classes)

    def maps(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + torch.rand_like(x_NCHW) if self.noisy else x_NCHW - x_NCHW.mean(0, keepdim=True)

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(maps_NCHW.mean((1, 2)))
        return logits_NK


@pytest.mark.parametrize("noisy", [False, True])
def test_model_that_differs_in_onnx_is_refused(
    noisy: bool, data: Dataset, small: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "peeking", lambda classes: Peeking(classes, noisy=noisy))
    run = train(replace(small, model="peeking", epochs=1), data, tmp_path / "run")
    with pytest.raises(RunError, match=r"'seed_augmented' differs from torch: a probability differs by .*0\.0001 is"):
        export(run.folder, tmp_path / "model", data)
    assert not (tmp_path / "model").exists()


class Unexportable(Peeking):
    """A model with an operation that ONNX does not have."""

    def maps(self, x_NCHW: Tensor) -> Tensor:
        return torch.linalg.svd(x_NCHW)[0]


def test_model_with_unsupported_operation_is_refused() -> None:
    with pytest.raises(RunError, match="cannot export Unexportable to ONNX: "):
        build_graph(PixelModel(Unexportable(7), 0.5, 0.5), "abcdefg")


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_storage_that_loses_accuracy_is_refused(
    run: Run, released: Callable[..., Path], data: Dataset, tmp_path: Path
) -> None:
    """Weights too small for float16 become 0, and then every face is the first class; too large ones have no end."""

    # Whatever little the model has learned, with its rows in some other order it is better than the first class alone.
    truth_N, predicted_N = data["val"].labels_N, run.predictions()["val"].argmax(1)
    turn = max(range(7), key=lambda t: ((predicted_N + t) % 7 == truth_N).mean())

    def tiny(tensors: dict[str, Tensor]) -> Tensors:
        last = max(int(k.split(".")[1]) for k in tensors if k.startswith("features."))
        raised = {
            k: tensors[k] * 1e9 for k in (f"features.{last}.weight", f"features.{last}.bias")
        }  # too few to narrow
        return {**tensors, **raised, "head.weight": tensors["head.weight"].roll(turn, 0) * 1e-9}

    def huge(tensors: dict[str, Tensor]) -> Tensors:
        return {**tensors, "head.weight": tensors["head.weight"] * 1e9}

    files = {change.__name__: released(change.__name__, change) for change in (tiny, huge)}
    accuracy = export(files["tiny"], tmp_path / "model", data).scores[0].accuracy
    first = (truth_N == 0).mean()
    lost = 100 * (accuracy - first)
    assert lost > 0.2  # else there is nothing to refuse
    with pytest.raises(RunError, match=rf"stored as float16 loses {lost:.2f} percentage points of accuracy on 'val'"):
        export(files["tiny"], tmp_path / "half", data, storage="float16")
    with pytest.raises(RunError, match=r"model\.head\.weight reach .*, and the maximum of float16 is 65504"):
        export(files["huge"], tmp_path / "half", data, storage="float16")
    assert not (tmp_path / "half").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_only_the_same_model_is_replaced(
    run: Run, released: Callable[..., Path], data: Dataset, tmp_path: Path
) -> None:
    first = export(run.folder, tmp_path, data)
    judged = first.with_scores(tuple(replace(s, split="test") for s in first.scores[:1]), test=True)
    (tmp_path / "card.json").write_text(judged.to_json())
    assert export(run.folder, tmp_path, data).test == judged.test  # the same bytes keep what was measured on them
    half = export(run.folder, tmp_path, data, storage="float16")
    assert half.test == ()
    other = released("other", lambda t: {**t, "head.weight": t["head.weight"] * 2})
    with pytest.raises(RunError, match=r"contains another model, 'seed_augmented'; replace it with --overwrite"):
        export(other, tmp_path, data)
    assert mien.model.load(tmp_path).card == half
    assert mien.model.load(tmp_path).card.sha256 != export(other, tmp_path, data, overwrite=True).sha256
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(RunError, match=r"contains an incomplete model, model\.onnx"):
        export(run.folder, tmp_path, data)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_export_write_error_keeps_the_old_files(
    run: Run, exported: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write to .*file/model: Not a directory; the old files are kept"):
        export(run.folder, tmp_path / "file" / "model", data)
    export(run.folder, tmp_path / "model", data)
    before = {f.name: f.read_bytes() for f in (tmp_path / "model").iterdir()}
    assert set(before) == {"model.onnx", "card.json"}
    write = mien_files.write

    def full(path: Path, chunks: Iterable[bytes]) -> None:
        if path.name == "card.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, chunks)

    monkeypatch.setattr(mien_files, "write", full)
    for folder in ("model", "new"):
        with pytest.raises(RunError, match=r"No space left on device; the old files are kept"):
            export(run.folder, tmp_path / folder, data, name="later")
    assert {f.name: f.read_bytes() for f in (tmp_path / "model").iterdir()} == before
    assert list((tmp_path / "new").iterdir()) == []


def test_to_float16_keeps_vectors_and_its_input() -> None:
    plain = made("deep_emotion")[1]
    content = serialize_graph(plain)
    half = to_float16(plain)
    assert serialize_graph(plain) == content
    for tensor in half.graph.initializer:
        if tensor.name.startswith("model."):
            assert (tensor.data_type == onnx.TensorProto.FLOAT16) == (len(tensor.dims) > 1), tensor.name
    assert np.abs(predict_file(serialize_graph(half), FACES)[0] - predict_file(content, FACES)[0]).max() < 1e-2


@pytest.mark.parametrize(
    ("scheme", "label_set", "against"),
    [("mixed", "auto", OWN_LABELS), ("majority", "fer7", MAJORITY_VOTE), ("distribution", "auto", MAJORITY_VOTE)],
)
def test_run_and_model_are_evaluated_by_the_same_labels(
    scheme: str, label_set: str, against: str, small: Recipe, voted: Dataset, tmp_path: Path
) -> None:
    run = train(replace(small, scheme=scheme, label_set=label_set, epochs=1), voted, tmp_path / "run")
    card = export(run.folder, tmp_path / "model", voted)
    model_evaluation = evaluate_model(mien.model.load(tmp_path / "model"), voted, "val")[1]
    assert model_evaluation is not None
    assert (model_evaluation.official.against, card.data["truth"]) == (against, against)
    assert model_evaluation.official.n == len(run.predictions()["val"])
    assert model_evaluation.official.accuracy == pytest.approx(run.history[-1]["val_accuracy"])


@pytest.mark.slow
def test_int8_from_end_to_end(small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    """On bars that a model tells apart with ease, so that eight bits lose no face."""
    run = train(replace(small, model="mien_nano", augment=(), epochs=20, lr=0.02), toy, tmp_path / "run")
    plain, card = (export(run.folder, tmp_path / kind, toy, storage=kind) for kind in ("float32", "int8"))
    assert card.storage == "int8"
    assert card.parity > plain.parity
    assert card.scores[0].accuracy == plain.scores[0].accuracy > 0.9
    sizes = [(tmp_path / kind / "model.onnx").stat().st_size for kind in ("float32", "int8")]
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.slow
def test_out_named_like_a_shipped_model_is_the_folder(
    run: Run, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _again in range(2):  # the second time it is the folder's card that is looked at, not the shipped one's
        card = export(run.folder, "nano", data)
    assert mien.model.load(Path("nano")).card.sha256 == mien.model.load("./nano").card.sha256 == card.sha256
    assert mien.model.load("nano").card.sha256 != card.sha256


def test_out_that_is_a_file_is_refused_first(run: Run, data: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunError, match="cannot write to"):
        export(run.folder, file, data)
    assert file.read_text() == "mine"
