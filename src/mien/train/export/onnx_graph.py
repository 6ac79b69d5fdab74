"""The ONNX graph: pixels in, calibrated probabilities and feature maps out.

    faces uint8 [N,48,48] -> times 1/(255 std), minus mean/std -> maps -> logits (+ shift) -> / temperature -> softmax
                             probabilities float32 [N,K], maps float32 [N,C,h,w]

Every tensor of the state dict is in the file under its own name, batch normalization as a node with its four tensors,
so that training can start from the file (`read_state`); onnxruntime folds the normalization into the convolution when
it loads the file. The exporter's metadata about source lines and folders are removed, so that with the same versions of
torch and onnxscript the same weights give the same bytes on every machine.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule
from torch import Tensor, nn
from torch.func import functional_call

from mien.data.dataset import SIDE
from mien.errors import RunError
from mien.model import FACES, FORMAT, MAPS, PROBABILITIES
from mien.train.models.base import ExpressionModel
from mien.train.runs.graph_state import HALF, STATE, UNUSED, half_precision

TEMPERATURE, SHIFT = "temperature", "shift"
OPSET = 18  # supported since onnxruntime 1.14; has GridSample, which the attention of Deep-Emotion needs
EXPORTER = "torch.onnx._internal.exporter._registration"  # logs messages about packages that are not used


class PixelModel(nn.Module):
    """A model with its preprocessing and softmax, in evaluation mode, as it is exported.

    Args:
        model: Model without preprocessing.
        mean: Mean of the pixels in training.
        std: Standard deviation of the pixels in training.
    """

    def __init__(self, model: ExpressionModel, mean: float, std: float) -> None:
        super().__init__()
        self.model = model
        self.scale, self.shift = 1 / (255 * std), mean / std
        self.eval()

    def forward(self, faces_NHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities, float32 [N,K], and feature maps, float32 [N,C,h,w], of faces, uint8 [N,48,48]."""
        maps_NCHW = self.model.maps(faces_NHW.unsqueeze(1).float() * self.scale - self.shift)
        logits_NK = self.model.logits(maps_NCHW).float()
        return torch.softmax(logits_NK, dim=1), maps_NCHW.float()


class _WithState(nn.Module):
    """A pixel model as a function of faces and of the tensors of the state dict.

    The exporter does not change inputs; constants it would fold, merge if equal and remove if zero.
    """

    def __init__(self, pixel_model: PixelModel) -> None:
        super().__init__()
        names = [STATE + name for name in pixel_model.model.state_dict()]
        self.parts = (pixel_model, names)  # in a tuple, so that it is not registered as a submodule

    def forward(self, faces_NHW: Tensor, tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
        pixel_model, names = self.parts
        state = dict(zip(names, tensors, strict=True))
        output: tuple[Tensor, Tensor] = functional_call(pixel_model, state, (faces_NHW,))
        return output


def build_graph(pixel_model: PixelModel, labels: Sequence[str]) -> ModelProto:
    """Return the ONNX graph of a model at temperature 1, for any number of faces.

    Args:
        pixel_model: Model with preprocessing.
        labels: Class names, in the order of the outputs.

    Raises:
        RunError: The model has an operation that cannot be exported.
    """
    example, state = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8), pixel_model.model.state_dict()
    try:
        with _without_messages(), torch.no_grad():
            program = torch.onnx.export(
                _WithState(pixel_model),
                (example, list(state.values())),
                dynamo=True,
                verbose=False,
                input_names=[FACES, *(STATE + name for name in state)],
                output_names=[PROBABILITIES, MAPS],
                dynamic_shapes=({0: torch.export.Dim("N")}, [None] * len(state)),
                opset_version=OPSET,
            )
    except Exception as error:  # errors of the exporter have no common base class, and long texts
        raise RunError(
            f"cannot export {type(pixel_model.model).__name__} to ONNX: {str(error).strip().splitlines()[0]}"
        ) from None
    assert program is not None, "dynamo=True returns a program"
    model = program.model_proto
    _remove_metadata(model)
    unused = _add_state(model, state)
    properties = {"mien.format": FORMAT, "mien.labels": json.dumps(list(labels)), UNUSED: json.dumps(unused)}
    weights_KC = class_weights(pixel_model.model)
    if weights_KC is not None:
        properties["mien.class_weights"] = base64.b64encode(weights_KC.astype("<f4").tobytes()).decode()
    helper.set_model_props(model, properties)
    _add_temperature(model)
    return model


def _add_state(model: ModelProto, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Replace the inputs of `_WithState` by initializers; return the tensors that no node uses, as JSON types.

    Such tensors are the counters of batch normalization (`num_batches_tracked`).
    """
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    unused: dict[str, Any] = {}
    for name, tensor in state.items():
        if STATE + name in used:
            values = tensor.detach().cpu().contiguous().numpy()
            graph.initializer.append(numpy_helper.from_array(values, STATE + name))
        else:
            unused[name] = [str(tensor.dtype).removeprefix("torch."), tensor.tolist()]
    kept = [value for value in graph.input if value.name == FACES]
    del graph.input[:]
    graph.input.extend(kept)
    return unused


def class_weights(model: ExpressionModel) -> NDArray[np.float32] | None:
    """Return the weight of each feature map in each logit, float32 [K,C]; None if the head is not linear in them."""
    if not model.pooled:
        return None
    weight = model.head.weight
    assert isinstance(weight, Tensor), "the head of a pooled model is a Linear or a 1x1 Conv2d"
    weights_KC: NDArray[np.float32] = weight.detach().float().cpu().contiguous().numpy()
    return weights_KC.reshape(len(weights_KC), -1)


def set_temperature(model: ModelProto, temperature: float) -> ModelProto:
    """Return a copy of `model` that divides its logits by `temperature`."""
    changed = _copy(model)
    (initializer,) = [i for i in changed.graph.initializer if i.name == TEMPERATURE]
    initializer.CopyFrom(numpy_helper.from_array(np.array(temperature, np.float32), TEMPERATURE))
    return changed


def add_logit_shift(model: ModelProto, shift_K: NDArray[np.float32]) -> ModelProto:
    """Return a copy of `model` that adds `shift_K`, float32 [K], to its logits before it divides by the temperature."""
    changed = _copy(model)
    nodes = changed.graph.node
    (index,) = [i for i, node in enumerate(nodes) if list(node.output) == [f"{TEMPERATURE}.logits"]]
    add = helper.make_node("Add", [nodes[index].input[0], SHIFT], [f"{SHIFT}.logits"], f"add.{SHIFT}")
    nodes[index].input[0] = f"{SHIFT}.logits"
    nodes.insert(index, add)
    changed.graph.initializer.append(numpy_helper.from_array(shift_K.astype(np.float32), SHIFT))
    return changed


def to_float16(model: ModelProto) -> ModelProto:
    """Return a copy that stores matrices and kernels as float16, which are converted to float32 when it is loaded.

    Vectors stay float32: the node that converts one is larger than what it saves, and takes time to load.

    Raises:
        RunError: A weight is too large for float16.
    """
    changed = _copy(model)
    casts = []
    for tensor in changed.graph.initializer:
        name = tensor.name
        if name.startswith(STATE) and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            half = half_precision(name, torch.from_numpy(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(half.numpy(), name + HALF))
            casts.append(helper.make_node("Cast", [name + HALF], [name], f"widen.{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *changed.graph.node]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    return changed


def quantize_int8(model: ModelProto, faces_NHW: NDArray[np.uint8]) -> ModelProto:
    """Return a copy that computes in int8, by static quantization with one scale per output channel of each weight.

    Batch normalization after a convolution is folded into it first. Weights use 7 of the 8 bits, because processors
    without VNNI add two 8-bit products in 16 bits, which would overflow. The copy does not contain the training
    weights. Preprocessing, the head, the softmax and the feature maps stay float32.

    Args:
        model: Graph in float32.
        faces_NHW: Training faces, uint8 [N,48,48], on which the ranges of the activations are measured.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(np.array_split(faces_NHW, max(1, len(faces_NHW) // 64)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {FACES: batch}

    with _without_messages(), tempfile.TemporaryDirectory() as folder:
        folded = rewrite(_copy(model), [fuse_batchnorm_into_conv_rule])
        file = Path(folder) / "int8.onnx"
        quantize_static(
            folded,
            file,
            Batches(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_float_nodes(folded),
        )
        changed = onnx.load(file)
    _remove_metadata(changed)
    del changed.metadata_props[:]
    changed.metadata_props.extend(entry for entry in model.metadata_props if entry.key != UNUSED)
    return changed


def serialize_graph(model: ModelProto) -> bytes:
    """Return the content of the ONNX file, the same bytes for the same graph."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _add_temperature(model: ModelProto) -> None:
    """Insert a division by 1 before the softmax, for `set_temperature`; the exporter would remove it."""
    nodes = model.graph.node
    (index,) = [i for i, node in enumerate(nodes) if list(node.output) == [PROBABILITIES]]
    assert nodes[index].op_type == "Softmax"
    output = f"{TEMPERATURE}.logits"
    divide = helper.make_node("Div", [nodes[index].input[0], TEMPERATURE], [output], f"divide.{TEMPERATURE}")
    nodes[index].input[0] = output
    nodes.insert(index, divide)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), TEMPERATURE))


def _float_nodes(model: ModelProto) -> list[str]:
    """Return the names of the nodes before the first and from the last node with weights, which stay float32."""
    nodes, with_weights = model.graph.node, ("Conv", "Gemm", "MatMul")
    indices = [i for i, node in enumerate(nodes) if node.op_type in with_weights]
    first, last = indices[0], indices[-1]
    return [node.name for i, node in enumerate(nodes) if i < first or i >= last]


def _remove_metadata(model: ModelProto) -> None:
    """Remove source lines and paths of the export, and shapes that every runtime infers."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "mien", ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _copy(model: ModelProto) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    return copied


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Hide messages and warnings of the exporters; the result is checked afterwards."""
    log, root, handler = logging.getLogger(EXPORTER), logging.getLogger(), logging.NullHandler()
    level = log.level
    log.setLevel(logging.ERROR)
    root.addHandler(handler)  # the first message to a root logger without handlers would add one permanently
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
        log.setLevel(level)
