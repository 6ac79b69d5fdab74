"""Checkpoints: one safetensors file, replaced in one step.

It is the one truth of a run: figures and predictions are in it too, so that what lies beside it can be written anew.
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
from mien.train.runs.format import check_format, converted

FORMAT = "mien checkpoint 3"
BEFORE = "mien checkpoint 2"  # its tensors have other names
FORMATS = (FORMAT, BEFORE)
RENAMED = {"net": "model", "optimiser": "optimizer", "told": "probs"}
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run after an epoch.

    Attributes:
        model: the weights that are being trained.
        optimizer: its memory.
        average: the running average of the weights; empty where the recipe keeps none.
        selected: the weights of the chosen epoch; empty where that is the last one done.
        probs: split -> probabilities float32 [N,K] of the chosen epoch.
        state: the record of the run (`run_format`), with `history`, the figures and the precision of the epochs done.
    """

    model: Tensors
    optimizer: Tensors
    average: Tensors
    selected: Tensors
    probs: Tensors
    state: Mapping[str, Any]

    @property
    def judged(self) -> Tensors:
        """The weights that the run is judged by."""
        return self.selected or self.average or self.model


PARTS = ("model", "optimizer", "average", "selected", "probs")


def after_epoch(
    kept: Checkpoint | None,
    model: nn.Module,
    optimizer: Optimizer,
    average: ModelEMA | None,
    probs: Mapping[str, NDArray[np.float32]],
    state: Mapping[str, Any],
) -> Checkpoint:
    """What is to be kept after an epoch that gave `probs`, given what was `kept` after the one before."""
    history, select = state["history"], state["recipe"]["select"]
    better = kept is None or select_epoch(history, select) == len(history)
    memory = {
        f"{number}.{what}": tensor
        for number, entry in optimizer.state_dict()["state"].items()
        for what, tensor in entry.items()
        if isinstance(tensor, Tensor)
    }
    return Checkpoint(
        model=_copied(model.state_dict()),
        optimizer=_copied(memory),
        average=_copied(average.model.state_dict()) if average else {},
        selected={} if kept is None or better else kept.judged,
        probs=kept.probs if kept and not better else {s: torch.from_numpy(p_NK) for s, p_NK in probs.items()},
        state={**state, "history": list(history)},
    )


def _copied(tensors: Tensors) -> Tensors:
    """As they are now, for training goes on; plain and on the CPU, for safetensors takes no channels_last."""
    return {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in tensors.items()}


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer, average: ModelEMA | None) -> None:
    """Put weights and memory back where they came from.

    Raises:
        RunError: they do not fit.
    """
    whole = optimizer.state_dict()
    whole["state"] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    try:
        for key, tensor in checkpoint.optimizer.items():
            number, _, what = key.partition(".")
            parameter = parameters[int(number)]
            if tensor.shape == parameter.shape:  # Adam also counts its steps, in a tensor of no dimension
                # In the memory order of its parameter, channels last, or every later step would be slower.
                tensor = torch.empty_like(parameter, dtype=tensor.dtype, device="cpu").copy_(tensor)
            whole["state"].setdefault(int(number), {})[what] = tensor
        model.load_state_dict(dict(checkpoint.model))
        if average:
            average.model.load_state_dict(dict(checkpoint.average))
        optimizer.load_state_dict(whole)
    except (RuntimeError, ValueError, IndexError) as error:
        raise RunError(f"the checkpoint's weights do not fit the model: {error}") from None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Put `checkpoint` at `path` and what was there at `before(path)`.

    Whoever comes after a crash at any moment finds the new one whole at `path`, or the old one at one of the two.
    """
    tensors = {f"{part}.{k}": v for part in PARTS for k, v in getattr(checkpoint, part).items()}
    state = json.dumps(checkpoint.state)
    following = path.with_name("checkpoint-next.safetensors")
    write_atomically(following, save(tensors, {"format": FORMAT, "state": state, "sha256": digest(tensors, state)}))
    try:
        if path.exists():
            os.replace(path, before(path))
        os.replace(following, path)
        _sync(path.parent)
    except OSError as error:
        raise _not_written(path, error) from None


def _sync(folder: Path) -> None:
    """Have a folder's new names on the disk, so that a power cut takes back no finished epoch."""
    if os.name == "posix":  # elsewhere folders cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def before(path: Path) -> Path:
    """Where the checkpoint of the epoch before lies."""
    return path.with_name("checkpoint-before.safetensors")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        RunError: there is no such file, or it is damaged, or another program's.
    """
    tensors, state, form = read_safetensors(path, *FORMATS)
    return checkpoint_from_tensors(tensors, state, form)


def checkpoint_from_tensors(tensors: Tensors, state: Mapping[str, Any], form: str = FORMAT) -> Checkpoint:
    """Return the parts of a checkpoint from the tensors of its file, which has the format `form`."""
    if form == BEFORE:
        parts = ((name.partition("."), tensor) for name, tensor in tensors.items())
        tensors = {f"{RENAMED.get(part, part)}.{rest}": tensor for (part, _, rest), tensor in parts}

    def part(name: str) -> Tensors:
        return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}

    return Checkpoint(**{name: part(name) for name in PARTS}, state=state)


def read_safetensors(path: Path, *formats: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return tensors, state and format of a file; its checksum is verified and its state `converted`.

    Raises:
        NewerRunError: A newer version wrote the file.
        RunError: There is no such file, it is damaged, or it has none of these formats.
    """
    if not path.is_file():
        raise RunError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  no iterator there
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged, or no safetensors file ({error})") from None
    form = about.get("format", "nothing")
    if form not in formats:
        check_format(path, form, formats[0])
    if form not in formats and form.startswith("mien "):
        raise RunError(f"{path} is a {form} of another version of mien, and this one reads {' or '.join(formats)}")
    if form not in formats:
        raise RunError(f"{path} is a safetensors file but no {' or '.join(formats)}: its header says {form!r}")
    if digest(tensors, about.get("state", "")) != about.get("sha256"):
        raise RunError(f"{path} is damaged: its content does not add up to its checksum")
    return tensors, converted(json.loads(about["state"]), path), form


def digest(tensors: Tensors, state: str) -> str:
    """SHA-256 over names, shapes, bytes and state: bits that flipped on the disk show."""
    total = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step; after a crash there is the old file or the new one, never a part.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was there stays.
    """
    try:
        files.write(path, [content])
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write {path}: {error.strerror or error}; what was there before is kept. "
        "Mend that (free some space, say); the same command then goes on (mien train: with --resume)"
    )
