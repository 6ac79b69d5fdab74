"""Models: predictions, and every kind of invalid model file."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mien.model
import models
from mien import model_files
from mien.errors import MienError, ModelError
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet
from mien.prior import ClassFrequencies, apply_prior

FACES = np.random.RandomState(0).randint(0, 256, (9, 48, 48)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def model(folder: Path) -> mien.model.Model:
    return mien.model.load(folder)


def assert_load_fails(folder: Path | str, *messages: str) -> None:
    """Assert that `load` raises an error of one line that contains `messages`."""
    with pytest.raises(ModelError) as error:
        mien.model.load(folder)
    assert "\n" not in str(error.value)
    for message in messages:
        assert message in str(error.value), str(error.value)


def test_probabilities_match_numpy(model: mien.model.Model) -> None:
    probs_NK = model.probabilities(FACES)
    assert probs_NK.dtype == np.float32
    np.testing.assert_allclose(probs_NK, models.expected_probabilities(FACES, 7), atol=2e-5)
    assert len(set(probs_NK.argmax(1))) > 1
    assert model.labels == FER7
    assert model.card.name == "toy"


def test_probabilities_do_not_depend_on_batch(model: mien.model.Model) -> None:
    many_NHW = np.concatenate([FACES] * 60)  # 540: two batches of 256 and a rest
    assert model.probabilities(many_NHW).shape == (540, 7)
    for batch in (1, 7, 540, 999):
        np.testing.assert_allclose(model.probabilities(many_NHW, batch=batch), model.probabilities(many_NHW), atol=1e-6)


def test_probabilities_flip_is_mean_of_mirror_image(model: mien.model.Model) -> None:
    mirrored_NHW = np.ascontiguousarray(FACES[:, :, ::-1])
    both = (model.probabilities(FACES) + model.probabilities(mirrored_NHW)) / 2
    flipped_NK = model.probabilities(FACES, tta="flip")
    np.testing.assert_allclose(flipped_NK, both, atol=1e-6)
    assert flipped_NK.dtype == np.float32
    assert np.abs(flipped_NK - model.probabilities(FACES)).max() > 0.01
    np.testing.assert_allclose(model.probabilities(mirrored_NHW, tta="flip"), flipped_NK, atol=1e-6)


def test_maps_and_class_weights_give_the_logits(model: mien.model.Model) -> None:
    probs_NK, maps_NCHW = model.maps(FACES)
    assert maps_NCHW.shape == (9, models.MAPS, 2, 2)
    assert model.class_weights_KC is not None
    assert model.class_weights_KC.shape == (7, models.MAPS)
    logits_NK = maps_NCHW.mean((2, 3)) @ model.class_weights_KC.T
    np.testing.assert_allclose(np.exp(logits_NK) / np.exp(logits_NK).sum(1, keepdims=True), probs_NK, atol=1e-5)
    np.testing.assert_array_equal(probs_NK, model.probabilities(FACES))


def test_probabilities_of_no_faces_is_empty(model: mien.model.Model) -> None:
    none_NHW = FACES[:0]
    assert model.probabilities(none_NHW).shape == model.probabilities(none_NHW, tta="flip").shape == (0, 7)
    assert [a.shape for a in model.maps(none_NHW)] == [(0, 7), (0, models.MAPS, 2, 2)]


@pytest.mark.parametrize(
    ("faces", "got"),
    [
        (FACES.astype(np.float32), r"float32 \[9, 48, 48\]"),
        (FACES[:, :40], r"uint8 \[9, 40, 48\]"),
        (FACES[0], r"uint8 \[48, 48\]"),
        (FACES[:, None], r"uint8 \[9, 1, 48, 48\]"),
        (FACES.tolist(), "list"),
        (None, "NoneType"),
    ],
)
def test_probabilities_invalid_faces_raise(model: mien.model.Model, faces: object, got: str) -> None:
    for tta in ("none", "flip"):
        with pytest.raises(ModelError, match=rf"faces must be uint8 \[N,48,48\], got {got}$"):
            model.probabilities(faces, tta=tta)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="faces must be"):
        model.maps(faces)  # type: ignore[arg-type]


def test_probabilities_invalid_tta_or_batch_raises(model: mien.model.Model) -> None:
    with pytest.raises(ModelError, match="tta must be one of none, flip, got 'ten'"):
        model.probabilities(FACES, tta="ten")
    with pytest.raises(ModelError, match="batch must be 1 or more, got 0"):
        model.probabilities(FACES, batch=0)


def test_probabilities_from_many_threads(model: mien.model.Model) -> None:
    rng = np.random.RandomState(1)
    lots = [rng.randint(0, 256, (n, 48, 48)).astype(np.uint8) for n in range(1, 41)]
    alone = [model.probabilities(faces) for faces in lots]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for one, other in zip(alone, pool.map(model.probabilities, lots), strict=True):
                np.testing.assert_allclose(one, other, atol=1e-6)


def test_load_threads_from_environment_or_argument(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(**options: int) -> int:
        return int(mien.model.load(folder, **options)._session.get_session_options().intra_op_num_threads)

    monkeypatch.setenv("MIEN_THREADS", "3")
    assert of() == 3
    assert of(threads=2) == 2


def test_with_threads_reopens_the_model(tmp_path: Path) -> None:
    folder = models.write_model(tmp_path / "model")
    two = mien.model.load(folder, threads=2)
    one = two.with_threads(1)
    assert one._session.get_session_options().intra_op_num_threads == 1
    assert two._session.get_session_options().intra_op_num_threads == 2
    assert np.array_equal(one.probabilities(FACES), two.probabilities(FACES))
    (folder / "model.onnx").unlink()
    assert two.with_threads(1) is two


FREQUENCIES = ClassFrequencies.of((0.14, 0.015, 0.145, 0.25, 0.17, 0.11, 0.17), 0, 0.5)
BALANCED = [1 / 7] * 7


def test_prior_adjusts_probabilities_and_maps(tmp_path: Path) -> None:
    """Also with the mirror image, after averaging; and with other threads."""
    folder = models.write_model(tmp_path / "model", class_frequencies=FREQUENCIES)
    plain, balanced = mien.model.load(folder), mien.model.load(folder, prior="balanced")
    for tta in ("none", "flip"):
        wanted_NK = apply_prior(plain.probabilities(FACES, tta=tta), FREQUENCIES.assumed, BALANCED)
        assert np.array_equal(balanced.probabilities(FACES, tta=tta), wanted_NK)
        assert np.abs(wanted_NK - plain.probabilities(FACES, tta=tta)).max() > 0.05
    probs_NK, maps_NCHW = balanced.maps(FACES)
    assert np.array_equal(probs_NK, apply_prior(plain.maps(FACES)[0], FREQUENCIES.assumed, BALANCED))
    assert np.array_equal(maps_NCHW, plain.maps(FACES)[1])
    assert np.array_equal(balanced.with_threads(1).probabilities(FACES), balanced.probabilities(FACES))
    assert (plain.prior, balanced.prior and balanced.prior.name) == (None, "balanced")
    same = mien.model.load(folder, prior=dict(zip(FER7.names, FREQUENCIES.assumed, strict=True)))
    np.testing.assert_allclose(same.probabilities(FACES), plain.probabilities(FACES), atol=1e-6)


def test_prior_without_class_frequencies_raises(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"the card 'toy' has no class frequencies; export the model again with: mien "
    ):
        mien.model.load(folder, prior="balanced")
    known = models.write_model(tmp_path / "model", class_frequencies=FREQUENCIES)
    with pytest.raises(MienError, match="in the prior, 'bored' is not a class of fer7"):
        mien.model.load(known, prior="bored=0.5")


def test_load_folder_or_either_file(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "model.onnx").rename(other / "called_otherwise.onnx")
    for place in (folder, str(folder), folder / "model.onnx", folder / "card.json", other / "called_otherwise.onnx"):
        np.testing.assert_array_equal(
            mien.model.load(place).probabilities(FACES), mien.model.load(folder).probabilities(FACES)
        )


def test_load_prefers_a_shipped_name_to_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.write_model(tmp_path / "assets" / "small", name="shipped")
    models.write_model(tmp_path / "assets" / "another", FERPLUS8)
    (tmp_path / "assets" / "empty").mkdir()
    (models.write_model(tmp_path / "assets" / "half") / "model.onnx").unlink()
    models.write_model(tmp_path / "here" / "small", name="own")
    monkeypatch.setattr(model_files, "SHIPPED", tmp_path / "assets")
    monkeypatch.chdir(tmp_path / "here")
    assert model_files.shipped_models() == ("another", "small")
    assert mien.model.load("small").card.name == "shipped"
    assert mien.model.load("./small").card.name == "own"
    assert_load_fails("smal", "model not found: smal", "shipped models: another, small",
                   "a folder with model.onnx and card.json")  # fmt: skip
    assert [model_files.is_model(n) for n in ("small", "./small", "smal")] == [True, True, True]
    (tmp_path / "here" / "another").mkdir()  # no model, as a run would be
    assert [model_files.is_model(n) for n in ("another", "./another")] == [True, False]


def test_is_model_false_for_runs_and_weights(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "w.safetensors").write_bytes(b"")
    assert not model_files.is_model(tmp_path / "run")
    assert not model_files.is_model(tmp_path / "w.safetensors")
    assert not model_files.is_model("seed_quarter")
    assert model_files.is_model(tmp_path / "nothing")
    assert model_files.is_model("x" * 5000)


def test_read_card_does_not_import_onnxruntime(folder: Path) -> None:
    code = (
        f"import sys; from mien.model import read_card; assert read_card({str(folder)!r}).name == 'toy'; "
        "print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


# Invalid files


def damaged(folder: Path, tmp_path: Path, change: object) -> Path:
    copy = shutil.copytree(folder, tmp_path / "model")
    content = bytearray((copy / "model.onnx").read_bytes())
    (copy / "model.onnx").write_bytes(change(content))  # type: ignore[operator]
    return copy


@pytest.mark.parametrize(
    "change",
    [lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:700] + bytes([b[700] ^ 1]) + b[701:]],
    ids=["a byte short", "half", "empty", "a bit flipped"],
)
def test_load_damaged_graph_raises(folder: Path, tmp_path: Path, change: object) -> None:
    assert_load_fails(
        damaged(folder, tmp_path, change),
        f"{tmp_path / 'model' / 'model.onnx'} is damaged or not the model of its card",
        "'toy'", "sha256", "download or export both files again",
    )  # fmt: skip


def test_load_card_of_another_model_raises(folder: Path, tmp_path: Path) -> None:
    other = models.write_model(tmp_path / "other", FERPLUS8, name="eight")
    (other / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    assert_load_fails(other, "not the model of its card 'eight'")


@pytest.mark.parametrize("content", [b"", b"hello", models.graph(FER7.names)[:3000]], ids=["empty", "text", "cut"])
def test_load_not_onnx_raises(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert_load_fails(models.write_model(tmp_path / "model", content=content), "model.onnx as an ONNX file")
    assert capfd.readouterr() == ("", "")


def test_load_unknown_operator_raises(tmp_path: Path) -> None:
    made = onnx.load_from_string(models.graph(FER7.names))
    made.graph.node[1].op_type = "NoSuchThing"
    assert_load_fails(
        models.write_model(tmp_path / "model", content=made.SerializeToString()), "onnxruntime cannot open"
    )


def test_load_prints_no_onnxruntime_warnings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = onnx.load_from_string(models.graph(FER7.names))
    made.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "of_no_use"))  # worth a warning
    mien.model.load(models.write_model(tmp_path / "model", content=made.SerializeToString())).probabilities(FACES)
    assert capfd.readouterr() == ("", "")


def foreign() -> bytes:
    """Return an ONNX graph that mien did not export: floats in, floats out."""
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "other",
        [value("x", TensorProto.FLOAT, ["N", 3])], [value("y", TensorProto.FLOAT, ["N", 3])],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


CLASS_WEIGHTS = "mien.class_weights"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (foreign(), "is not a mien model: its format is None, expected 'mien model 1'"),
        (models.graph(FER7.names, notes={"mien.format": "mien model 2"}), "its format is 'mien model 2'"),
        (models.graph(FER7.names, input_type=TensorProto.FLOAT), "its faces are tensor(float)"),
        (models.graph(FER7.names, side=96), "are tensor(uint8) ['N', 96, 96], expected tensor(uint8) ['N', 48, 48]"),
        (models.graph(FER7.names, batch=4), "its faces are tensor(uint8) [4, 48, 48]"),
        (models.graph(FER7.names, outputs=("p", "maps")), "its probabilities are none []"),
        (models.graph(FER7.names, outputs=("probabilities", "m")), "its maps are none []"),
        (models.graph(FER7.names, classes=8), "are tensor(float) ['N', 8], expected tensor(float) ['N', 7]"),
        (models.graph(FER7.names[::-1]), 'its labels are ["neutral", "surprise", '),
        (models.graph(FER7.names, notes={"mien.labels": None}), "its labels are None"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: "?"}), "its class weights are not 7 rows of numbers"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: base64.b64encode(bytes(4)).decode()}), "not 7 rows"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: base64.b64encode(bytes(56)).decode()}), "for 2 maps, and 6"),
    ],
)  # fmt: skip
def test_load_graph_that_does_not_match_its_card_raises(tmp_path: Path, content: bytes, message: str) -> None:
    assert_load_fails(
        models.write_model(tmp_path / "model", content=content), message, str(tmp_path / "model" / "model.onnx")
    )


def test_load_without_class_weights(tmp_path: Path) -> None:
    content = models.graph(FER7.names, notes={CLASS_WEIGHTS: None})
    assert mien.model.load(models.write_model(tmp_path / "model", content=content)).class_weights_KC is None


def test_load_custom_labels(tmp_path: Path) -> None:
    labels = LabelSet("custom", ("bored", "keen", "café"))
    model = mien.model.load(models.write_model(tmp_path / "model", labels))
    assert model.labels == labels
    assert model.probabilities(FACES).shape == (9, 3)


@pytest.mark.parametrize("names", [FERPLUS8.names, FERPLUS_COLUMNS[:8]], ids=["new", "old"])
def test_load_keeps_the_names_of_the_card(tmp_path: Path, names: tuple[str, ...]) -> None:
    model = mien.model.load(models.write_model(tmp_path / "model", LabelSet("ferplus8", names)))
    assert model.labels.names == model.card.labels.names == names
    assert model.labels.index("happiness") == model.labels.index("happy") == 1


@pytest.mark.parametrize("name", ["card.json", "model.onnx"])
def test_load_missing_file_raises(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / name).unlink()
    left = copy / ({"card.json", "model.onnx"} - {name}).pop()
    for place in (copy, left):
        assert_load_fails(place, f"no {name} in {copy}; a model is a folder with model.onnx and card.json")
    with pytest.raises(ModelError, match=f"no {name} in "):
        model_files.read_card(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: "no json", "is not a model card: not JSON"),
        (lambda record: json.dumps({**record, "format": "mien card 9"}), "written by a newer mien"),
        (lambda record: json.dumps({k: v for k, v in record.items() if k != "labels"}), "lacks labels"),
        (lambda record: "\xff", "is not a model card: not UTF-8 text"),
    ],
)
def test_load_invalid_card_raises(folder: Path, tmp_path: Path, change: object, message: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    file = copy / "card.json"
    file.write_text(change(json.loads(file.read_text())), encoding="latin-1")  # type: ignore[operator]
    assert_load_fails(copy, str(file), message)


@pytest.mark.usefixtures("no_privilege")
@pytest.mark.parametrize("name", ["card.json", "model.onnx"])
def test_load_unreadable_file_raises(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / name).chmod(0)
    assert_load_fails(copy, f"cannot read {copy / name}: Permission denied")


@pytest.mark.usefixtures("no_privilege")
def test_load_unreadable_folder_raises(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    copy.chmod(0)
    try:
        assert_load_fails(copy / "model.onnx", "Permission denied")
        assert model_files.is_model(copy / "model.onnx")
    finally:
        copy.chmod(0o755)


def test_load_invalid_path_raises() -> None:
    assert_load_fails("x" * 5000, "cannot read xxx", "too long")
    assert_load_fails("a\0b", "model not found: a\0b")


def test_load_every_shipped_model() -> None:
    for name in model_files.shipped_models():
        model = mien.model.load(name)
        assert model.card.name == name
        assert model.probabilities(FACES).sum(1) == pytest.approx(1, abs=1e-5)
