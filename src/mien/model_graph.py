"""The ONNX graph of a model: open it in onnxruntime, and check it against the model card.

The graph maps faces, uint8 [N,48,48], to probabilities, float32 [N,K], and feature maps, float32 [N,C,h,w]. Its
metadata has the format, the labels and, for class activation maps, the weights of the last layer.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.model_card import Card
from mien.threads import resolve_threads

FORMAT = "mien model 1"  # value of `mien.format` in the metadata of the graph
FORMER_FORMAT = "mien net 1"  # the same format under the name that earlier exports wrote
FACES, PROBABILITIES, MAPS = "faces", "probabilities", "maps"  # input and outputs of the graph
_LOG_FATAL = 4  # log level of onnxruntime; errors are raised as exceptions

Floats = NDArray[np.float32]


def open_session(graph: bytes, source: str, threads: int | None = None, *, dynamic_shapes: bool = False) -> Any:
    """Open an ONNX graph in onnxruntime, on the CPU.

    Args:
        graph: Content of the ONNX file.
        source: Name of the file in errors.
        threads: Number of threads of one forward pass; by default `mien.threads.threads()`.
        dynamic_shapes: Whether the input has many sizes. onnxruntime would then keep one memory plan per size.

    Returns:
        The `onnxruntime.InferenceSession`.

    Raises:
        ModelError: onnxruntime cannot open the graph.
        MienError: `threads` is not valid.

    >>> from mien.model_files import read_model
    >>> card, graph = read_model("nano")
    >>> [output.name for output in open_session(graph, "model.onnx").get_outputs()]
    ['probabilities', 'maps']
    """
    # From 1.29 on, onnxruntime gives the machine an ID, stores it in the home folder and reports the models it runs.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # not at the top: it takes longer than the rest of `import mien`

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = resolve_threads(threads)
    options.log_severity_level = _LOG_FATAL
    options.enable_mem_pattern = not dynamic_shapes
    # Without this, idle threads spin between two forward passes and take the cores from other work.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"onnxruntime cannot open {source} as an ONNX file: {reason}") from None


def check_graph(session: Any, card: Card, source: str) -> Floats | None:
    """Check that a graph matches its card, and return its class weights.

    Args:
        session: Open `onnxruntime.InferenceSession` of the graph.
        card: Card of the model.
        source: Name of the ONNX file in errors.

    Returns:
        Weight of each feature map for each class, float32 [K,C]; None where the graph has none.

    Raises:
        ModelError: The format, the inputs, the outputs or the labels differ.

    >>> from mien.model_files import read_model
    >>> card, graph = read_model("nano")
    >>> check_graph(open_session(graph, "model.onnx"), card, "model.onnx").shape
    (7, 128)
    """
    metadata, k = session.get_modelmeta().custom_metadata_map, len(card.labels)
    if metadata.get("mien.format") not in (FORMAT, FORMER_FORMAT):
        raise ModelError(
            f"{source} is not a mien model: its format is {metadata.get('mien.format')!r}, expected '{FORMAT}'; "
            "export it with: mien export"
        )
    inputs = {p.name: (p.type, list(p.shape)) for p in session.get_inputs()}
    outputs = {p.name: (p.type, list(p.shape)) for p in session.get_outputs()}
    for name, tensors, dtype, shape in (
        (FACES, inputs, "tensor(uint8)", [None, card.side, card.side]),
        (PROBABILITIES, outputs, "tensor(float)", [None, k]),
        (MAPS, outputs, "tensor(float)", [None, "C", "h", "w"]),
    ):
        got_dtype, got = tensors.get(name, ("none", []))
        if got_dtype != dtype or len(got) != len(shape) or not all(map(_dimension_matches, shape, got)):
            problem = f"its {name} are {got_dtype} {got}, expected {dtype} {['N', *shape[1:]]}"
            raise _mismatch(source, card, problem)
    if metadata.get("mien.labels") != json.dumps(list(card.labels.names)):
        problem = f"its labels are {metadata.get('mien.labels')}, the card has {list(card.labels.names)}"
        raise _mismatch(source, card, problem)
    return _read_class_weights(metadata.get("mien.class_weights"), k, outputs[MAPS][1][1], card, source)


def _dimension_matches(expected: int | str | None, got: int | str) -> bool:
    """Compare one dimension of a shape: None stands for a variable number of faces, a letter for any size."""
    if expected is None:
        return not isinstance(got, int)
    return isinstance(expected, str) or expected == got


def _read_class_weights(text: str | None, classes: int, maps: int | str, card: Card, source: str) -> Floats | None:
    if text is None:
        return None
    try:
        weights_KC = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(classes, -1)
    except (binascii.Error, ValueError):
        raise _mismatch(source, card, f"its class weights are not {classes} rows of numbers") from None
    if isinstance(maps, int) and weights_KC.shape[1] != maps:
        raise _mismatch(source, card, f"it has class weights for {weights_KC.shape[1]} maps, and {maps} maps")
    return weights_KC.astype(np.float32)


def _mismatch(source: str, card: Card, problem: str) -> ModelError:
    return ModelError(f"{source} does not match its card '{card.name}': {problem}; export the model again")
