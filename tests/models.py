"""A small ONNX model with its card, whose probabilities `expected_probabilities` computes in numpy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mien.imaging.load import CropRule
from mien.labels import FER7, LabelSet
from mien.model_card import Calibration, Card

MAPS = 6  # each map has one value for each quarter of a 48x48 face


def weights_KC(classes: int) -> np.ndarray:
    """Return the weights of the head, float32 [K,6]."""
    return np.random.RandomState(3).normal(0, 4, (classes, MAPS)).astype(np.float32)


def kernels_C() -> np.ndarray:
    """Return the kernels of the convolution, float32 [6,1,24,24]; each sums to 0 and differs from its mirror image."""
    drawn = np.random.RandomState(4).normal(0, 1, (MAPS, 1, 24, 24))
    return ((drawn - drawn.mean((2, 3), keepdims=True)) / 12).astype(np.float32)


def expected_probabilities(faces_NHW: np.ndarray, classes: int) -> np.ndarray:
    """Return the probabilities of the model, float64 [N,K]: logits are linear in the mean of each map."""
    x = faces_NHW.astype(np.float64) / 255
    quarters = np.stack([x[:, i : i + 24, j : j + 24] for i in (0, 24) for j in (0, 24)], 1)
    maps_NCQ = np.einsum("nqhw,chw->ncq", quarters, kernels_C()[:, 0].astype(np.float64))
    logits = maps_NCQ.mean(2) @ weights_KC(classes).astype(np.float64).T
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def graph(
    labels: Sequence[str],
    *,
    notes: Mapping[str, str | None] | None = None,
    input_type: int = TensorProto.UINT8,
    side: int = 48,
    batch: int | str = "N",
    outputs: Sequence[str] = ("probabilities", "maps"),
    classes: int | None = None,
) -> bytes:
    """Return the content of an ONNX file; the arguments replace parts of a valid one."""
    k = classes or len(labels)
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "white"], ["x"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["image"]),
        helper.make_node("Conv", ["image", "kernels"], [outputs[1]], strides=[24, 24]),
        helper.make_node("GlobalAveragePool", [outputs[1]], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [outputs[0]], axis=1),
    ]
    constants = [
        numpy_helper.from_array(np.array(255, np.float32), "white"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(kernels_C(), "kernels"),
        numpy_helper.from_array(np.ascontiguousarray(weights_KC(k).T), "weights"),
    ]
    made = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("faces", input_type, [batch, side, side])],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [batch, k]),
            helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, [batch, MAPS, side // 24, side // 24]),
        ],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = {
        "mien.format": "mien model 1",
        "mien.labels": json.dumps(list(labels)),
        "mien.class_weights": base64.b64encode(weights_KC(k).astype("<f4").tobytes()).decode(),
    }
    metadata |= notes or {}
    helper.set_model_props(model, {key: text for key, text in metadata.items() if text is not None})
    content: bytes = model.SerializeToString()
    return content


def card_for(content: bytes, labels: LabelSet = FER7, **fields: Any) -> Card:
    """Return a card for the ONNX file `content`; `fields` replace its fields."""
    card = Card(
        name="toy",
        labels=labels,
        sha256=hashlib.sha256(content).hexdigest(),
        side=48,
        parameters=MAPS * 24 * 24 + len(labels) * MAPS,
        flops=30_000,
        storage="float32",
        parity=1e-6,
        crop=CropRule(),
        calibration=Calibration(1.5, "val", 35, 0.1, 0.05),
        recipe={"name": "toy"},
        data={"name": "fer2013", "digest": "none", "faces": {"train": 70, "val": 35, "test": 35}},
        origin={"seed": 0, "epoch": 1, "select": "val_accuracy"},
    )
    return replace(card, **fields)


def write_model(folder: Path, labels: LabelSet = FER7, content: bytes | None = None, **fields: Any) -> Path:
    """Write a model into the new folder `folder`, and return the folder."""
    content = graph(labels.names) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "card.json").write_text(card_for(content, labels, **fields).to_json())
    return folder
