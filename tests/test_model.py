"""A model as a file: what it says, and every way in which the file can be wrong."""

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
from mien import model as room
from mien.errors import MienError, ModelError
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet
from mien.prior import ClassFrequencies, adjusted

FACES = np.random.RandomState(0).randint(0, 256, (9, 48, 48)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def model(folder: Path) -> mien.model.Model:
    return mien.model.load(folder)


def assert_refused(folder: Path | str, *says: str) -> None:
    """One line that says these things, and nothing on stderr but for it."""
    with pytest.raises(ModelError) as error:
        mien.model.load(folder)
    assert "\n" not in str(error.value)
    for words in says:
        assert words in str(error.value), str(error.value)


def test_probabilities_are_those_worked_out_by_hand(model: mien.model.Model) -> None:
    probs_NK = model.probabilities(FACES)
    assert probs_NK.dtype == np.float32
    np.testing.assert_allclose(probs_NK, models.by_hand(FACES, 7), atol=2e-5)
    assert len(set(probs_NK.argmax(1))) > 1
    assert model.labels == FER7
    assert model.card.name == "toy"


def test_batches_change_nothing(model: mien.model.Model) -> None:
    many_NHW = np.concatenate([FACES] * 60)  # 540: two batches of 256 and a rest
    assert model.probabilities(many_NHW).shape == (540, 7)
    for batch in (1, 7, 540, 999):
        np.testing.assert_allclose(model.probabilities(many_NHW, batch=batch), model.probabilities(many_NHW), atol=1e-6)


def test_flip_is_the_mean_with_the_mirror_image(model: mien.model.Model) -> None:
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


def test_no_faces_are_no_rows(model: mien.model.Model) -> None:
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
def test_faces_that_are_none(model: mien.model.Model, faces: object, got: str) -> None:
    for tta in ("none", "flip"):
        with pytest.raises(ModelError, match=rf"faces must be uint8 \[N,48,48\], got {got}$"):
            model.probabilities(faces, tta=tta)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="faces must be"):
        model.maps(faces)  # type: ignore[arg-type]


def test_unknown_tta_and_batch(model: mien.model.Model) -> None:
    with pytest.raises(ModelError, match="tta is one of none, flip, got 'ten'"):
        model.probabilities(FACES, tta="ten")
    with pytest.raises(ModelError, match="batch is 1 or more, got 0"):
        model.probabilities(FACES, batch=0)


def test_many_threads_may_ask_at_once(model: mien.model.Model) -> None:
    rng = np.random.RandomState(1)
    lots = [rng.randint(0, 256, (n, 48, 48)).astype(np.uint8) for n in range(1, 41)]
    alone = [model.probabilities(faces) for faces in lots]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for one, other in zip(alone, pool.map(model.probabilities, lots), strict=True):
                np.testing.assert_allclose(one, other, atol=1e-6)


def test_threads_are_those_allowed_or_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(**options: int) -> int:
        return int(mien.model.load(folder, **options)._session.get_session_options().intra_op_num_threads)

    monkeypatch.setenv("MIEN_THREADS", "3")
    assert of() == 3
    assert of(threads=2) == 2


def test_the_same_model_with_other_threads(tmp_path: Path) -> None:
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


def test_prior_adjusts_all_that_a_model_is_asked_for(tmp_path: Path) -> None:
    """Also with the mirror image, after averaging; and with other threads."""
    folder = models.write_model(tmp_path / "model", class_frequencies=FREQUENCIES)
    plain, balanced = mien.model.load(folder), mien.model.load(folder, prior="balanced")
    for tta in ("none", "flip"):
        wanted_NK = adjusted(plain.probabilities(FACES, tta=tta), FREQUENCIES.assumed, BALANCED)
        assert np.array_equal(balanced.probabilities(FACES, tta=tta), wanted_NK)
        assert np.abs(wanted_NK - plain.probabilities(FACES, tta=tta)).max() > 0.05
    probs_NK, maps_NCHW = balanced.maps(FACES)
    assert np.array_equal(probs_NK, adjusted(plain.maps(FACES)[0], FREQUENCIES.assumed, BALANCED))
    assert np.array_equal(maps_NCHW, plain.maps(FACES)[1])
    assert np.array_equal(balanced.with_threads(1).probabilities(FACES), balanced.probabilities(FACES))
    assert (plain.prior, balanced.prior and balanced.prior.name) == (None, "balanced")
    same = mien.model.load(folder, prior=dict(zip(FER7.names, FREQUENCIES.assumed, strict=True)))
    np.testing.assert_allclose(same.probabilities(FACES), plain.probabilities(FACES), atol=1e-6)


def test_prior_that_cannot_be_applied_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"the card 'toy' has no class frequencies; export the model again with: mien "
    ):
        mien.model.load(folder, prior="balanced")
    known = models.write_model(tmp_path / "model", class_frequencies=FREQUENCIES)
    with pytest.raises(MienError, match="in the prior, 'bored' is no class of fer7"):
        mien.model.load(known, prior="bored=0.5")


def test_folder_and_either_file_are_the_same_model(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "model.onnx").rename(other / "called_otherwise.onnx")
    for place in (folder, str(folder), folder / "model.onnx", folder / "card.json", other / "called_otherwise.onnx"):
        np.testing.assert_array_equal(
            mien.model.load(place).probabilities(FACES), mien.model.load(folder).probabilities(FACES)
        )


def test_a_shipped_name_goes_before_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.write_model(tmp_path / "assets" / "small", name="shipped")
    models.write_model(tmp_path / "assets" / "another", FERPLUS8)
    (tmp_path / "assets" / "empty").mkdir()
    (models.write_model(tmp_path / "assets" / "half") / "model.onnx").unlink()
    models.write_model(tmp_path / "here" / "small", name="own")
    monkeypatch.setattr(room, "SHIPPED", tmp_path / "assets")
    monkeypatch.chdir(tmp_path / "here")
    assert room.shipped_models() == ("another", "small")
    assert mien.model.load("small").card.name == "shipped"
    assert mien.model.load("./small").card.name == "own"
    assert_refused("smal", "no file, no folder and no shipped model is called smal", "shipped are: another, small",
                   "a folder that holds model.onnx and card.json")  # fmt: skip
    assert [room.is_model(n) for n in ("small", "./small", "smal")] == [True, True, True]
    (tmp_path / "here" / "another").mkdir()  # no model, as a run would be
    assert [room.is_model(n) for n in ("another", "./another")] == [True, False]


def test_what_torch_reads_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "w.safetensors").write_bytes(b"")
    assert not room.is_model(tmp_path / "run")
    assert not room.is_model(tmp_path / "w.safetensors")
    assert not room.is_model("seed_quarter")
    assert room.is_model(tmp_path / "nothing")
    assert room.is_model("x" * 5000)


def test_a_card_is_read_without_the_model(folder: Path) -> None:
    code = (
        f"import sys; from mien.model import read_card; assert read_card({str(folder)!r}).name == 'toy'; "
        "print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


# Damage, each kind by itself


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
def test_a_damaged_graph(folder: Path, tmp_path: Path, change: object) -> None:
    assert_refused(
        damaged(folder, tmp_path, change),
        f"{tmp_path / 'model' / 'model.onnx'} is damaged or not the model of its card",
        "'toy'", "sha256", "get both files anew",
    )  # fmt: skip


def test_the_card_of_another_model(folder: Path, tmp_path: Path) -> None:
    other = models.write_model(tmp_path / "other", FERPLUS8, name="eight")
    (other / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    assert_refused(other, "not the model of its card 'eight'")


@pytest.mark.parametrize("content", [b"", b"hello", models.graph(FER7.names)[:3000]], ids=["empty", "text", "cut"])
def test_a_card_whose_sum_fits_what_is_no_graph(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_refused(
        models.write_model(tmp_path / "model", content=content), "model.onnx is no ONNX file that onnxruntime can"
    )
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_onnxruntime_cannot_run(tmp_path: Path) -> None:
    made = onnx.load_from_string(models.graph(FER7.names))
    made.graph.node[1].op_type = "NoSuchThing"
    assert_refused(
        models.write_model(tmp_path / "model", content=made.SerializeToString()), "no ONNX file that onnxruntime"
    )


def test_onnxruntime_says_nothing_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = onnx.load_from_string(models.graph(FER7.names))
    made.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "of_no_use"))  # worth a warning
    mien.model.load(models.write_model(tmp_path / "model", content=made.SerializeToString())).probabilities(FACES)
    assert capfd.readouterr() == ("", "")


def foreign() -> bytes:
    """A graph that mien never made: floats in, floats out."""
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
    ("content", "says"),
    [
        (foreign(), "is no model of this mien: its format is None, expected 'mien model 1'"),
        (models.graph(FER7.names, notes={"mien.format": "mien model 2"}), "its format is 'mien model 2'"),
        (models.graph(FER7.names, input_type=TensorProto.FLOAT), "its faces are tensor(float)"),
        (models.graph(FER7.names, side=96), "are tensor(uint8) ['N', 96, 96], expected tensor(uint8) ['N', 48, 48]"),
        (models.graph(FER7.names, batch=4), "its faces are tensor(uint8) [4, 48, 48]"),
        (models.graph(FER7.names, outputs=("p", "maps")), "its probabilities are none []"),
        (models.graph(FER7.names, outputs=("probabilities", "m")), "its maps are none []"),
        (models.graph(FER7.names, classes=8), "are tensor(float) ['N', 8], expected tensor(float) ['N', 7]"),
        (models.graph(FER7.names[::-1]), 'it tells ["neutral", "surprise", '),
        (models.graph(FER7.names, notes={"mien.labels": None}), "it tells None apart"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: "?"}), "its class weights are no 7 rows of numbers"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: base64.b64encode(bytes(4)).decode()}), "no 7 rows"),
        (models.graph(FER7.names, notes={CLASS_WEIGHTS: base64.b64encode(bytes(56)).decode()}), "for 2 maps, and 6"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_what_its_card_says(tmp_path: Path, content: bytes, says: str) -> None:
    assert_refused(
        models.write_model(tmp_path / "model", content=content), says, str(tmp_path / "model" / "model.onnx")
    )


def test_no_class_weights_are_none(tmp_path: Path) -> None:
    content = models.graph(FER7.names, notes={CLASS_WEIGHTS: None})
    assert mien.model.load(models.write_model(tmp_path / "model", content=content)).class_weights_KC is None


def test_own_labels(tmp_path: Path) -> None:
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
def test_one_of_the_two_files_lacks(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / name).unlink()
    left = copy / ({"card.json", "model.onnx"} - {name}).pop()
    for place in (copy, left):
        assert_refused(place, f"{copy} holds no {name}; a model is model.onnx and card.json side by side")
    with pytest.raises(ModelError, match=f"holds no {name}"):
        room.read_card(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: "no json", "is no card: not JSON"),
        (lambda told: json.dumps({**told, "format": "mien card 9"}), "written by a newer mien"),
        (lambda told: json.dumps({k: v for k, v in told.items() if k != "labels"}), "lacks labels"),
        (lambda told: "\xff", "is no card: not text"),
    ],
)
def test_a_card_that_is_none(folder: Path, tmp_path: Path, change: object, says: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    file = copy / "card.json"
    file.write_text(change(json.loads(file.read_text())), encoding="latin-1")  # type: ignore[operator]
    assert_refused(copy, str(file), says)


@pytest.mark.usefixtures("no_privilege")
@pytest.mark.parametrize("name", ["card.json", "model.onnx"])
def test_a_file_that_may_not_be_read(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / name).chmod(0)
    assert_refused(copy, f"cannot read {copy / name}: Permission denied")


@pytest.mark.usefixtures("no_privilege")
def test_a_folder_that_may_not_be_entered(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    copy.chmod(0)
    try:
        assert_refused(copy / "model.onnx", "Permission denied")
        assert room.is_model(copy / "model.onnx")
    finally:
        copy.chmod(0o755)


def test_names_that_no_disk_takes() -> None:
    assert_refused("x" * 5000, "cannot read xxx", "too long")
    assert_refused("a\0b", "no file, no folder and no shipped model")


def test_every_shipped_model_opens_and_answers() -> None:
    """Nothing to do until models are shipped."""
    for name in room.shipped_models():
        model = mien.model.load(name)
        assert model.card.name == name
        assert model.probabilities(FACES).sum(1) == pytest.approx(1, abs=1e-5)
