"""The training weights in an exported ONNX graph: initializers named like the tensors of the state dict.

`onnx_graph.build_graph` writes them and `read_state` reads them, so that training can start from an exported model.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from onnx import ModelProto, TensorProto, numpy_helper
from torch import Tensor

from mien.errors import RunError
from mien.model_graph import FORMER_FORMAT

STATE = "model."  # prefix of initializers from the state dict
FORMER_STATE = "net."  # the same in graphs of the format `model_graph.FORMER_FORMAT`
HALF = ".half"  # suffix of initializers that are stored as float16
UNUSED = "mien.unused_state"  # metadata property with the tensors that no node reads, as JSON


def read_state(model: ModelProto) -> tuple[tuple[str, ...], dict[str, Tensor] | None]:
    """Return the class names and the state dict in an exported graph; tensors stored as float16 stay float16.

    The state is None if the graph does not contain it: for int8, and for graphs of earlier versions, in which batch
    normalization is folded into the convolutions.
    """
    notes = {note.key: note.value for note in model.metadata_props}
    labels = tuple(json.loads(notes.get("mien.labels", "[]")))
    if UNUSED not in notes:
        return labels, None
    unused: dict[str, tuple[str, Any]] = json.loads(notes[UNUSED])
    state = {name: torch.tensor(values, dtype=getattr(torch, kind)) for name, (kind, values) in unused.items()}
    prefix = FORMER_STATE if notes.get("mien.format") == FORMER_FORMAT else STATE
    stored = {i.name: i for i in model.graph.initializer if i.name.startswith(prefix)}
    for name, tensor in stored.items():
        key = name.removeprefix(prefix)
        half = tensor.data_type == TensorProto.FLOAT16
        state[key.removesuffix(HALF) if half else key] = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    if any(tensor.dtype == torch.float16 for tensor in state.values()):
        state = {name: half_precision(name, tensor) for name, tensor in state.items()}
    return labels, state


def half_precision(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as float16 if it is a matrix or a kernel, or if the conversion is exact; else unchanged.

    Biases and the vectors of batch normalization are not converted: a small running variance would become 0.

    Args:
        name: Name of the tensor, for the error.
        tensor: Tensor of any type and shape.

    Raises:
        RunError: A weight is too large for float16.
    """
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if tensor.dim() < 2:
        return half if torch.equal(half.to(tensor.dtype), tensor) else tensor
    if not torch.isfinite(half).all():
        raise RunError(
            f"the weights {name} reach {tensor.abs().max():.3g}, and the maximum of float16 is 65504; "
            "store them as float32 (mien export: --storage float32)"
        )
    return half
