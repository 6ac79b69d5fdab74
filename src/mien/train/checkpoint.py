"""A checkpoint is one safetensors file: tensors, and the state in JSON in its header, replaced in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from mien.data import atomic
from mien.errors import RunError

FORMAT = "mien checkpoint 1"
NET, OPTIMISER = "net.", "optimiser."


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights, the optimiser's memory, and `state`: epoch, seed, recipe, data, labels."""

    net: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    state: Mapping[str, Any]

    def restore(self, net: nn.Module, optimiser: Optimizer | None = None) -> None:
        """Put the weights into `net` and the memory into `optimiser`, both of the shape that was saved."""
        try:
            net.load_state_dict(dict(self.net))
        except RuntimeError as why:
            raise RunError(f"the checkpoint's weights do not fit the net: {why}") from None
        if optimiser is None:
            return
        whole = optimiser.state_dict()
        whole["state"] = {}
        for key, tensor in self.optimiser.items():
            number, _, what = key.partition(".")
            whole["state"].setdefault(int(number), {})[what] = tensor
        optimiser.load_state_dict(whole)


def save_checkpoint(path: Path, net: nn.Module, optimiser: Optimizer, state: Mapping[str, Any]) -> None:
    """Write atomically: whoever reads `path` finds the old checkpoint or the new one, whole."""
    tensors = {NET + k: v for k, v in net.state_dict().items()}
    for number, memory in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{number}.{k}": v for k, v in memory.items() if isinstance(v, Tensor)}
    # Copied to plain CPU tensors: safetensors takes neither views nor channels_last.
    plain = {k: v.detach().to("cpu").contiguous() for k, v in tensors.items()}
    write_atomically(path, save(plain, {"format": FORMAT, "state": json.dumps(state)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        RunError: there is no such file, or it is damaged, or another program's.
    """
    if not path.is_file():
        raise RunError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise RunError(f"{path} is a safetensors file but no checkpoint of mien's ('{FORMAT}')")
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  no iterator there
    except (OSError, SafetensorError) as why:
        raise RunError(f"{path} is damaged or no checkpoint ({why}); delete it and train again") from None
    state = json.loads(about.get("state", "{}"))
    if not {"recipe", "data", "history"} <= set(state):
        raise RunError(f"{path} lacks its recipe, data or history; delete it and train again")
    return Checkpoint(
        net={k.removeprefix(NET): v for k, v in tensors.items() if k.startswith(NET)},
        optimiser={k.removeprefix(OPTIMISER): v for k, v in tensors.items() if k.startswith(OPTIMISER)},
        state=state,
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step; after a crash there is the old file or the new one, never a part.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was there stays.
    """
    try:
        atomic.write(path, [content])
    except OSError as why:
        raise RunError(f"cannot write {path}: {why.strerror or why}; what was there before is kept") from None
