"""Checkpoints: one safetensors file, replaced atomically.

The checkpoint contains everything about a run, metrics and predictions included; the other files of the run folder can
be written again from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from mien import files
from mien.errors import RunError
from mien.train.best_epoch import select_epoch
from mien.train.optim.ema import ModelEMA
from mien.train.runs.format import check_format, convert_record

FORMAT = "mien checkpoint 3"
OLD_FORMAT = "mien checkpoint 2"  # has other tensor names
FORMATS = (FORMAT, OLD_FORMAT)
RENAMED_PARTS = {"net": "model", "optimiser": "optimizer", "told": "probs"}
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after an epoch.

    Attributes:
        model: Weights that are trained.
        optimizer: State of the optimizer.
        average: Moving average of the weights; empty if the recipe has none.
        selected: Weights of the selected epoch; empty if that is the last finished one.
        probs: Split -> probabilities of the selected epoch, float32 [N,K].
        state: Record of the run (`format`), with `history`, the metrics and the precision of the finished epochs.
    """

    model: Tensors
    optimizer: Tensors
    average: Tensors
    selected: Tensors
    probs: Tensors
    state: Mapping[str, Any]

    @property
    def evaluated_weights(self) -> Tensors:
        """Return the weights that are evaluated and exported."""
        return self.selected or self.average or self.model


PARTS = ("model", "optimizer", "average", "selected", "probs")


def next_checkpoint(
    previous: Checkpoint | None,
    model: nn.Module,
    optimizer: Optimizer,
    average: ModelEMA | None,
    probs: Mapping[str, NDArray[np.float32]],
    state: Mapping[str, Any],
) -> Checkpoint:
    """Return the checkpoint after an epoch.

    Args:
        previous: Checkpoint of the epoch before; None after the first epoch.
        model: Model that is trained.
        optimizer: Its optimizer.
        average: Moving average of the weights, if any.
        probs: Split -> probabilities of this epoch, float32 [N,K].
        state: Record of the run, with the history up to this epoch.
    """
    history, select = state["history"], state["recipe"]["select"]
    better = previous is None or select_epoch(history, select) == len(history)
    optimizer_state = {
        f"{number}.{name}": tensor
        for number, entry in optimizer.state_dict()["state"].items()
        for name, tensor in entry.items()
        if isinstance(tensor, Tensor)
    }
    return Checkpoint(
        model=_copy(model.state_dict()),
        optimizer=_copy(optimizer_state),
        average=_copy(average.model.state_dict()) if average else {},
        selected={} if previous is None or better else previous.evaluated_weights,
        probs=previous.probs if previous and not better else {s: torch.from_numpy(p_NK) for s, p_NK in probs.items()},
        state={**state, "history": list(history)},
    )


def _copy(tensors: Tensors) -> Tensors:
    """Copy tensors to the CPU, as training changes them; contiguous, as safetensors does not support channels_last."""
    return {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in tensors.items()}


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer, average: ModelEMA | None) -> None:
    """Load the weights and the optimizer state of a checkpoint.

    Raises:
        RunError: The checkpoint is of another architecture or optimizer.
    """
    optimizer_state = optimizer.state_dict()
    optimizer_state["state"] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    try:
        for key, tensor in checkpoint.optimizer.items():
            number, _, name = key.partition(".")
            parameter = parameters[int(number)]
            if tensor.shape == parameter.shape:  # Adam also counts its steps, in a scalar
                # In the memory format of the parameter (channels_last), or every later step would be slower.
                tensor = torch.empty_like(parameter, dtype=tensor.dtype, device="cpu").copy_(tensor)
            optimizer_state["state"].setdefault(int(number), {})[name] = tensor
        model.load_state_dict(dict(checkpoint.model))
        if average:
            average.model.load_state_dict(dict(checkpoint.average))
        optimizer.load_state_dict(optimizer_state)
    except (RuntimeError, ValueError, IndexError) as error:
        raise RunError(f"cannot load the checkpoint into the model: {error}") from None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, and move the file that was there to `previous_file(path)`.

    After a crash at any moment, either the new checkpoint is complete at `path`, or the old one is at one of the two.

    Raises:
        RunError: The file cannot be written.
    """
    tensors = {f"{part}.{k}": v for part in PARTS for k, v in getattr(checkpoint, part).items()}
    state = json.dumps(checkpoint.state)
    temporary = path.with_name("checkpoint-next.safetensors")
    checksum = digest(tensors, FORMAT + state)
    write_atomically(temporary, save(tensors, {"format": FORMAT, "state": state, "sha256": checksum}))
    try:
        if path.exists():
            os.replace(path, previous_file(path))
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise _write_error(path, error) from None


def _sync(folder: Path) -> None:
    """Flush the new file names of a folder to the disk, so that a power cut does not undo a finished epoch."""
    if os.name == "posix":  # other systems cannot open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def previous_file(path: Path) -> Path:
    """Return the path of the checkpoint of the epoch before."""
    return path.with_name("checkpoint-before.safetensors")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a file that `save_checkpoint` wrote.

    Raises:
        RunError: There is no such file, it is damaged, or another program wrote it.
    """
    tensors, state, file_format = read_safetensors(path, *FORMATS)
    return checkpoint_from_tensors(tensors, state, file_format)


def checkpoint_from_tensors(tensors: Tensors, state: Mapping[str, Any], file_format: str = FORMAT) -> Checkpoint:
    """Return the checkpoint in the tensors of a file, whose format is `file_format`."""
    if file_format == OLD_FORMAT:
        parts = ((name.partition("."), tensor) for name, tensor in tensors.items())
        tensors = {f"{RENAMED_PARTS.get(part, part)}.{rest}": tensor for (part, _, rest), tensor in parts}

    def part(name: str) -> Tensors:
        return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}

    return Checkpoint(**{name: part(name) for name in PARTS}, state=state)


def read_safetensors(path: Path, *formats: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return tensors, state and format of a file, after verifying its checksum.

    Args:
        path: Path of the file.
        formats: Formats that are accepted, of each kind the newest first.

    Returns:
        The tensors, the state converted by `convert_record`, and the format of the file.

    Raises:
        NewerRunError: A newer version wrote the file.
        RunError: There is no such file, it is damaged, or it has none of these formats.
    """
    if not path.is_file():
        raise RunError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  no iterator there
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged or not a safetensors file ({error})") from None
    file_format = about.get("format", "none")
    if file_format not in formats:
        for known in formats:
            check_format(path, file_format, known)
        raise RunError(
            f"{path} has the format {file_format!r}, expected {' or '.join(formats)}; "
            "another program or another version of mien wrote it"
        )
    # A flipped bit can turn one format into another. Files of the old formats do not include it in their checksum.
    signed = file_format if file_format == FORMAT else ""
    if digest(tensors, signed + about.get("state", "")) != about.get("sha256"):
        raise RunError(f"{path} is damaged: its checksum is wrong")
    return tensors, convert_record(json.loads(about["state"]), path), file_format


def digest(tensors: Tensors, state: str) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of the tensors and of the state."""
    total = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: after a crash, `path` is the old file or the complete new one.

    Raises:
        RunError: The disk is full or the folder is not writable; the old file is kept.
    """
    try:
        files.write(path, [content])
    except OSError as error:
        raise _write_error(path, error) from None


def _write_error(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write {path}: {error.strerror or error}; the old file is kept. Fix this (free some disk space, for "
        "example) and run the same command again to resume (mien train: with --resume)"
    )
