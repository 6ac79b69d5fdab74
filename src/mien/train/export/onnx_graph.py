"""The ONNX graph: pixels in, calibrated probabilities and feature maps out.

    faces uint8 [N,48,48] -> times 1/(255 std), minus mean/std -> maps -> logits (+ shift) -> / temperature -> softmax
                             probabilities float32 [N,K], maps float32 [N,C,h,w]

Every tensor of the model's state is in the file under its own name, batch normalisation as a node with its four
tensors, so training can go on from it (`read_state`); onnxruntime folds the normalisation into the convolution when it
loads the file. The file says no more than the model: the exporter's notes on source lines and folders are taken out, so
with the same versions of torch and onnxscript the same weights give the same bytes, wherever they are exported.
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
OPSET = 18  # read by onnxruntime from 1.14 on; it has GridSample, which Deep-Emotion's attention needs
EXPORTER = "torch.onnx._internal.exporter._registration"  # whose log speaks of packages that we do not use


class Reader(nn.Module):
    """`model` between pixels and probabilities, in evaluation mode: what a graph is made from."""

    def __init__(self, model: ExpressionModel, mean: float, std: float) -> None:
        super().__init__()
        self.model = model
        self.scale, self.shift = 1 / (255 * std), mean / std
        self.eval()

    def forward(self, faces_NHW: Tensor) -> tuple[Tensor, Tensor]:
        """Faces uint8 [N,48,48] -> probabilities [N,K], maps [N,C,h,w]."""
        maps_NCHW = self.model.maps(faces_NHW.unsqueeze(1).float() * self.scale - self.shift)
        logits_NK = self.model.logits(maps_NCHW).float()
        return torch.softmax(logits_NK, dim=1), maps_NCHW.float()


class _WithState(nn.Module):
    """`reader` as a function of faces and of the tensors of its model's state.

    What is an input is a variable to the exporter: as constants it would fold them, merge equal ones and drop zeros.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.parts = (reader, [STATE + name for name in reader.model.state_dict()])  # in a tuple it is no submodule

    def forward(self, faces_NHW: Tensor, tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
        reader, names = self.parts
        said: tuple[Tensor, Tensor] = functional_call(reader, dict(zip(names, tensors, strict=True)), (faces_NHW,))
        return said


def build_graph(reader: Reader, labels: Sequence[str]) -> ModelProto:
    """The graph of `reader` at temperature 1, for any number of faces.

    Raises:
        RunError: the model does something that ONNX has no word for.
    """
    example, state = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8), reader.model.state_dict()
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                _WithState(reader),
                (example, list(state.values())),
                dynamo=True,
                verbose=False,
                input_names=[FACES, *(STATE + name for name in state)],
                output_names=[PROBABILITIES, MAPS],
                dynamic_shapes=({0: torch.export.Dim("N")}, [None] * len(state)),
                opset_version=OPSET,
            )
    except Exception as error:  # the exporter's own errors share no base, and print pages
        raise RunError(
            f"{type(reader.model).__name__} cannot be written as ONNX: {str(error).strip().splitlines()[0]}"
        ) from None
    assert program is not None, "with dynamo=True there is one"
    model = program.model_proto
    _forget(model)
    unused = _fill(model, state)
    notes = {"mien.format": FORMAT, "mien.labels": json.dumps(list(labels)), UNUSED: json.dumps(unused)}
    weights_KC = class_weights(reader.model)
    if weights_KC is not None:
        notes["mien.class_weights"] = base64.b64encode(weights_KC.astype("<f4").tobytes()).decode()
    helper.set_model_props(model, notes)
    _divide_the_logits(model)
    return model


def _fill(model: ModelProto, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Turn the inputs that `_WithState` made into initializers; return the tensors that no node reads, for JSON.

    The counters of batch normalisation (`num_batches_tracked`) are such tensors.
    """
    graph = model.graph
    read = {name for node in graph.node for name in node.input}
    unused: dict[str, Any] = {}
    for name, tensor in state.items():
        if STATE + name in read:
            values = tensor.detach().cpu().contiguous().numpy()
            graph.initializer.append(numpy_helper.from_array(values, STATE + name))
        else:
            unused[name] = [str(tensor.dtype).removeprefix("torch."), tensor.tolist()]
    kept = [place for place in graph.input if place.name == FACES]
    del graph.input[:]
    graph.input.extend(kept)
    return unused


def class_weights(model: ExpressionModel) -> NDArray[np.float32] | None:
    """What each map adds to each class's logit, float32 [K,C]; None where maps and logits are not so related."""
    if not model.pooled:
        return None
    weight = model.head.weight
    assert isinstance(weight, Tensor), "the head of a pooled model is a Linear or a 1x1 Conv2d"
    weights_KC: NDArray[np.float32] = weight.detach().float().cpu().contiguous().numpy()
    return weights_KC.reshape(len(weights_KC), -1)


def set_temperature(model: ModelProto, temperature: float) -> ModelProto:
    """A copy of `model` that divides its logits by `temperature`."""
    changed = _copy(model)
    (place,) = [i for i in changed.graph.initializer if i.name == TEMPERATURE]
    place.CopyFrom(numpy_helper.from_array(np.array(temperature, np.float32), TEMPERATURE))
    return changed


def add_logit_shift(model: ModelProto, shift_K: NDArray[np.float32]) -> ModelProto:
    """Return a copy of `model` that adds `shift_K`, float32 [K], to its logits before it divides by the temperature."""
    changed = _copy(model)
    nodes = changed.graph.node
    (place,) = [i for i, node in enumerate(nodes) if list(node.output) == [f"{TEMPERATURE}.logits"]]
    add = helper.make_node("Add", [nodes[place].input[0], SHIFT], [f"{SHIFT}.logits"], f"add.{SHIFT}")
    nodes[place].input[0] = f"{SHIFT}.logits"
    nodes.insert(place, add)
    changed.graph.initializer.append(numpy_helper.from_array(shift_K.astype(np.float32), SHIFT))
    return changed


def to_float16(model: ModelProto) -> ModelProto:
    """A copy that stores the matrices and kernels as float16; the graph widens them once, when a runtime loads it.

    Vectors stay float32, for a node that widens one takes more room than it saves, and time when the file is loaded.

    Raises:
        RunError: a weight is too large for float16.
    """
    changed = _copy(model)
    widened = []
    for tensor in changed.graph.initializer:
        name = tensor.name
        if name.startswith(STATE) and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            half = half_precision(name, torch.from_numpy(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(half.numpy(), name + HALF))
            widened.append(helper.make_node("Cast", [name + HALF], [name], f"widen.{name}", to=TensorProto.FLOAT))
    nodes = [*widened, *changed.graph.node]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    return changed


def quantize_int8(model: ModelProto, faces_NHW: NDArray[np.uint8]) -> ModelProto:
    """A copy that computes in int8: each output channel of a weight has its scale, each activation that which it takes
    on `faces_NHW`, faces of the training split.

    Batch normalisation behind a convolution is folded into it first. Weights use 7 of the 8 bits: without VNNI a
    processor adds two products of 8 bits in 16 bits, which 8-bit weights make overflow. Training weights are not in it.
    Pixels enter in float32 as ever, and the head, the softmax and `maps` stay float32.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(np.array_split(faces_NHW, max(1, len(faces_NHW) // 64)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            part = next(self.left, None)
            return None if part is None else {FACES: part}

    with _quietly(), tempfile.TemporaryDirectory() as folder:
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
            nodes_to_exclude=_ends(folded),
        )
        changed = onnx.load(file)
    _forget(changed)
    del changed.metadata_props[:]
    changed.metadata_props.extend(note for note in model.metadata_props if note.key != UNUSED)
    return changed


def serialize_graph(model: ModelProto) -> bytes:
    """The content of the file."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _divide_the_logits(model: ModelProto) -> None:
    """Put a division by 1 before the softmax, for `set_temperature`; the exporter would have left it out."""
    nodes = model.graph.node
    (place,) = [i for i, node in enumerate(nodes) if list(node.output) == [PROBABILITIES]]
    assert nodes[place].op_type == "Softmax"
    cooled = f"{TEMPERATURE}.logits"
    divide = helper.make_node("Div", [nodes[place].input[0], TEMPERATURE], [cooled], f"divide.{TEMPERATURE}")
    nodes[place].input[0] = cooled
    nodes.insert(place, divide)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), TEMPERATURE))


def _ends(model: ModelProto) -> list[str]:
    """The nodes between the input and the first weights, and those from the last weights to the probabilities."""
    nodes, heavy = model.graph.node, ("Conv", "Gemm", "MatMul")
    places = [i for i, node in enumerate(nodes) if node.op_type in heavy]
    first, last = places[0], places[-1]
    return [node.name for i, node in enumerate(nodes) if i < first or i >= last]


def _forget(model: ModelProto) -> None:
    """Take out what says where and by which lines of code the graph was made, and shapes that any reader infers."""
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
def _quietly() -> Iterator[None]:
    """Keep what exporters say of themselves off the terminal; whether they did well is measured afterwards."""
    told, root, none = logging.getLogger(EXPORTER), logging.getLogger(), logging.NullHandler()
    level = told.level
    told.setLevel(logging.ERROR)
    root.addHandler(none)  # a first word to a root without handlers would give it one for good
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(none)
        told.setLevel(level)
