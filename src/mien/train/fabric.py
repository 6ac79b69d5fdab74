"""Lightning Fabric: device, precision and processes."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric

from mien.errors import MienError
from mien.threads import threads, threads_from_environment
from mien.train.recipe import PRECISIONS

MIXED = {"bf16": "bf16-mixed", "float32": "32-true"}  # our words for precision -> Fabric's


def make_fabric(device: str = "auto", precision: str = "auto") -> Fabric:
    """A launched Fabric on one device, which leaves the other threads of the machine to others (`threads.threads`).

    In a process that torchrun has started, or `processes.train_on_devices`, it is one of as many as those say, each on
    a device of its own; they average their gradients (DistributedDataParallel).

    Args:
        device: `auto` (CUDA, else Apple's MPS, else CPU), or `cpu`, `cuda`, `mps`.
        precision: `auto` (bf16 where `device` has it in hardware, else float32), `bf16` or `float32`.

    Raises:
        MienError: a device that this machine lacks, or a word that is none of these.
    """
    device = available(device)
    if precision not in PRECISIONS:
        raise MienError(f"precision is one of {', '.join(PRECISIONS)}, not '{precision}'")
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "float32"
    here, hosts = shared()
    # Never more than whoever calls has asked of torch; the setting of mien itself comes before all. Processes on one
    # machine share its cores.
    torch.set_num_threads(threads_from_environment() or max(1, min(threads(), torch.get_num_threads()) // here))
    with _quiet():
        fabric = Fabric(
            accelerator=device, devices=here, num_nodes=hosts, strategy="ddp" if here * hosts > 1 else "auto",
            precision=MIXED[precision],  # type: ignore[arg-type]
        )  # fmt: skip
        fabric.launch()
    return fabric


@contextmanager
def _quiet() -> Iterator[None]:
    """Fabric's words on its own precision are not written among ours; its warnings are."""
    log = logging.getLogger("lightning_fabric")
    usual = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(usual)


def shared() -> tuple[int, int]:
    """How many processes train together on this machine, and on how many machines, as torchrun tells it."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return 1, 1
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def is_main_process() -> bool:
    """Whether this process is the only one, or the first, of those that train together."""
    return shared() == (1, 1) or os.environ["RANK"] == "0"


def available(device: str) -> str:
    """`device` itself, or what `auto` is here; `MienError` where this machine lacks it."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(d for d, yes in there.items() if yes)
    if not there.get(device):
        have = ", ".join(sorted(d for d, yes in there.items() if yes))
        raise MienError(f"no device '{device}' here; there is: {have} (or auto)")
    return device


def fabric_precision(fabric: Fabric) -> str:
    """What the engine was launched with, as a recipe's `precision` would say it."""
    return next(word for word, mixed in MIXED.items() if mixed == fabric._precision.precision)


def _has_bf16(device: str) -> bool:
    """Whether bf16 arithmetic is in the hardware; emulated, it is slower than float32."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device == "cpu":
        can = _cpu_facts()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("amx_tile"))
    return False


def machine(fabric: Fabric) -> dict[str, Any]:
    """What the run ran on, for its record: no names of hosts, people or folders."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **({"processes": fabric.world_size} if fabric.world_size > 1 else {}),
        "device": fabric.device.type,
        "precision": fabric._precision.precision,
    }
    if fabric.device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(fabric.device)
    else:
        facts["cpu"] = _cpu_facts().get("cpu_name", platform.processor())
    return facts


def _cpu_facts() -> dict[str, Any]:
    """What torch knows of the processor; older ones cannot say, and then float32 is the safe answer."""
    ask = getattr(torch.cpu, "get_capabilities", dict)
    return dict(ask())
