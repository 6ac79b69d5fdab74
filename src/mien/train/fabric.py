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

MIXED = {"bf16": "bf16-mixed", "float32": "32-true"}  # precision of a recipe -> precision of Fabric


def make_fabric(device: str = "auto", precision: str = "auto") -> Fabric:
    """Return a launched Fabric on one device, and set the number of threads of torch (`threads.threads`).

    In a process that torchrun or `processes.train_on_devices` has started, it is one of several processes, each on its
    own device, that average their gradients (DistributedDataParallel).

    Args:
        device: `auto` (CUDA, else Apple's MPS, else CPU), `cpu`, `cuda` or `mps`.
        precision: `auto` (bf16 if `device` has it in hardware, else float32), `bf16` or `float32`.

    Raises:
        MienError: The machine does not have the device, or the precision is unknown.
    """
    device = resolve_device(device)
    if precision not in PRECISIONS:
        raise MienError(f"unknown precision '{precision}'; available: {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "float32"
    local, hosts = process_counts()
    # At most as many threads as torch has now, unless mien's own setting says otherwise. Processes on one machine share
    # its cores.
    torch.set_num_threads(threads_from_environment() or max(1, min(threads(), torch.get_num_threads()) // local))
    with _without_fabric_messages():
        fabric = Fabric(
            accelerator=device, devices=local, num_nodes=hosts, strategy="ddp" if local * hosts > 1 else "auto",
            precision=MIXED[precision],  # type: ignore[arg-type]
        )  # fmt: skip
        fabric.launch()
    return fabric


@contextmanager
def _without_fabric_messages() -> Iterator[None]:
    """Hide Fabric's messages about its precision; its warnings are shown."""
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def process_counts() -> tuple[int, int]:
    """Return how many processes of this machine train together, and on how many machines, as torchrun sets it."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return 1, 1
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local


def is_main_process() -> bool:
    """Return whether this process is the only one, or the first of those that train together."""
    return process_counts() == (1, 1) or os.environ["RANK"] == "0"


def resolve_device(device: str) -> str:
    """Return `device` itself, or the best device of this machine for `auto`.

    Raises:
        MienError: The machine does not have the device.
    """
    devices = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in devices.items() if available)
    if not devices.get(device):
        names = ", ".join(sorted(name for name, available in devices.items() if available))
        raise MienError(f"device '{device}' is not available on this machine; available: {names} (or auto)")
    return device


def fabric_precision(fabric: Fabric) -> str:
    """Return the precision of a Fabric by its name in recipes, `bf16` or `float32`."""
    return next(name for name, mixed in MIXED.items() if mixed == fabric._precision.precision)


def _has_bf16(device: str) -> bool:
    """Return whether the hardware has bf16 arithmetic; emulated, it is slower than float32."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device == "cpu":
        facts = _cpu_facts()
        return bool(facts.get("avx512_bf16") or facts.get("amx_bf16") or facts.get("amx_tile"))
    return False


def device_name(fabric: Fabric) -> str:
    """Return the device of a Fabric in words: `cuda`, `cpu (2 threads)`, `2 processes on cpu (1 thread each)`."""
    name, threads_, processes = fabric.device.type, torch.get_num_threads(), fabric.world_size
    if name == "cpu":
        name += f" ({threads_} thread{'s' * (threads_ != 1)}{' each' * (processes > 1)})"
    return f"{processes} processes on {name}" if processes > 1 else name


def machine(fabric: Fabric) -> dict[str, Any]:
    """Return what the run's record says about the machine, without names of hosts, people or folders."""
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
    """Return what torch knows about the processor; empty for older versions of torch, which then use float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)
    return dict(capabilities())
