"""A net as an ONNX graph: pixels in, calibrated probabilities and the last feature maps out, nothing left to do.

    faces uint8 [N,48,48] -> times 1/(255 std), minus mean/std -> maps -> logits (+ shift) -> / temperature -> softmax
                             probabilities float32 [N,K], maps float32 [N,C,h,w]

The file says no more than the net: the exporter's notes on source lines and folders are taken out, so with
the same versions of torch and onnxscript the same weights give the same bytes, wherever they are exported.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mien.data.split import SIDE
from mien.errors import RunError
from mien.model import FACES, FORMAT, MAPS, PROBABILITIES
from mien.train.models.face_net import FaceNet

TEMPERATURE, SHIFT = "temperature", "shift"
OPSET = 18  # read by onnxruntime from 1.14 on; it has GridSample, which Deep-Emotion's attention needs
SMALL = 64  # tensors of fewer values are not worth narrowing
EXPORTER = "torch.onnx._internal.exporter._registration"  # whose log speaks of packages that we do not use


class Reader(nn.Module):
    """`net` between pixels and probabilities, in evaluation mode: what a graph is made from."""

    def __init__(self, net: FaceNet, mean: float, std: float) -> None:
        super().__init__()
        self.net = net
        self.scale, self.shift = 1 / (255 * std), mean / std
        self.eval()

    def forward(self, faces_NHW: Tensor) -> tuple[Tensor, Tensor]:
        """Faces uint8 [N,48,48] -> probabilities [N,K], maps [N,C,h,w]."""
        maps_NCHW = self.net.maps(faces_NHW.unsqueeze(1).float() * self.scale - self.shift)
        logits_NK = self.net.logits(maps_NCHW).float()
        return torch.softmax(logits_NK, dim=1), maps_NCHW.float()


def graph_of(reader: Reader, labels: Sequence[str]) -> ModelProto:
    """The graph of `reader` at temperature 1, for any number of faces.

    Raises:
        RunError: the net does something that ONNX has no word for.
    """
    example = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8)
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                reader,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[FACES],
                output_names=[PROBABILITIES, MAPS],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
            )
    except Exception as why:  # the exporter's own errors share no base, and print pages
        raise RunError(
            f"{type(reader.net).__name__} cannot be written as ONNX: {str(why).strip().splitlines()[0]}"
        ) from None
    assert program is not None, "with dynamo=True there is one"
    model = program.model_proto
    _forget(model)
    notes = {"mien.format": FORMAT, "mien.labels": json.dumps(list(labels))}
    weights_KC = class_weights(reader.net)
    if weights_KC is not None:
        notes["mien.class_weights"] = base64.b64encode(weights_KC.astype("<f4").tobytes()).decode()
    helper.set_model_props(model, notes)
    _divide_the_logits(model)
    return model


def class_weights(net: FaceNet) -> NDArray[np.float32] | None:
    """What each map adds to each class's logit, float32 [K,C]; None where maps and logits are not so related."""
    if not net.pooled:
        return None
    weight = net.head.weight
    assert isinstance(weight, Tensor), "the head of a pooled net is a Linear or a 1x1 Conv2d"
    weights_KC: NDArray[np.float32] = weight.detach().float().cpu().contiguous().numpy()
    return weights_KC.reshape(len(weights_KC), -1)


def with_temperature(model: ModelProto, temperature: float) -> ModelProto:
    """A copy of `model` that divides its logits by `temperature`."""
    changed = _copy(model)
    (place,) = [i for i in changed.graph.initializer if i.name == TEMPERATURE]
    place.CopyFrom(numpy_helper.from_array(np.array(temperature, np.float32), TEMPERATURE))
    return changed


def with_shift(model: ModelProto, shift_K: NDArray[np.float32]) -> ModelProto:
    """Return a copy of `model` that adds `shift_K`, float32 [K], to its logits before it divides by the temperature."""
    changed = _copy(model)
    nodes = changed.graph.node
    (place,) = [i for i, node in enumerate(nodes) if list(node.output) == [f"{TEMPERATURE}.logits"]]
    add = helper.make_node("Add", [nodes[place].input[0], SHIFT], [f"{SHIFT}.logits"], f"add.{SHIFT}")
    nodes[place].input[0] = f"{SHIFT}.logits"
    nodes.insert(place, add)
    changed.graph.initializer.append(numpy_helper.from_array(shift_K.astype(np.float32), SHIFT))
    return changed


def narrowed(model: ModelProto) -> ModelProto:
    """A copy whose weights lie as float16 and are widened by the graph itself, once, when a runtime loads it.

    Raises:
        RunError: a weight is too large for float16.
    """
    changed = _copy(model)
    widened = []
    for tensor in changed.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALL:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise RunError(
                f"the weights {name} reach {np.abs(values).max():.3g}, and float16 ends at 65504: "
                "export them with --storage float32"
            )
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        widened.append(helper.make_node("Cast", [f"{name}.half"], [name], f"widen.{name}", to=TensorProto.FLOAT))
    nodes = [*widened, *changed.graph.node]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    return changed


def quantised(model: ModelProto, faces_NHW: NDArray[np.uint8]) -> ModelProto:
    """A copy that computes in int8: each output channel of a weight has its scale, each activation that which it takes
    on `faces_NHW`, faces of the training split.

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
        file = Path(folder) / "int8.onnx"
        quantize_static(
            _copy(model),
            file,
            Batches(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_ends(model),
        )
        changed = onnx.load(file)
    _forget(changed)
    del changed.metadata_props[:]
    changed.metadata_props.extend(model.metadata_props)
    return changed


def as_bytes(model: ModelProto) -> bytes:
    """The content of the file."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _divide_the_logits(model: ModelProto) -> None:
    """Put a division by 1 before the softmax, for `with_temperature`; the exporter would have left it out."""
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
