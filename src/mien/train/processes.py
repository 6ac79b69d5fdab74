"""Training on several devices of one machine, one process each.

torch's DistributedDataParallel averages the gradients (Li et al. 2020, arXiv 2006.15704), set up by Lightning Fabric,
over gloo on CPUs and NCCL on GPUs. Batch normalization uses each process's own part of a batch.

The processes are started by `torch.multiprocessing.start_processes`, as by the launchers of Fabric and torchrun, which
are not used themselves: see docs/design.md, "Processes of a training run".
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from torch import distributed
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, ProcessRaisedException, start_processes

from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.train.fabric import process_counts
from mien.train.loop import train
from mien.train.recipe import Recipe
from mien.train.runs.folder import Run

HOST = "127.0.0.1"
GRACE = 10.0  # seconds that the other processes have to end when one has failed


def train_on_devices(devices: int, recipe: Recipe, dataset: Dataset, out: str | Path, **options: Any) -> Run:
    """Train a recipe on several devices of this machine; with one device, or in a torchrun process, this is `train`.

    The processes import the calling script, so its own work must be under `if __name__ == "__main__":`.

    Args:
        devices: Number of devices of the kind `options["device"]`; for CPUs, number of processes that share the cores.
        recipe: Recipe to train.
        dataset: Data set to train on.
        out: Folder of the run.
        options: Other arguments of `train`.

    Raises:
        RunError: A process was killed or crashed; the epochs done are kept. Or `devices` is less than 1 or more than
            the faces of a batch.
        MienError: As in `train`.

    >>> from mien.data import load
    >>> from mien.train import find_recipe
    >>> if __name__ == "__main__":  # doctest: +SKIP
    ...     run = train_on_devices(2, find_recipe("release_nano"), load("fer2013.csv"), "runs/two", device="cpu")
    """
    if devices < 1 or devices > recipe.batch:
        raise RunError(f"devices must be a number from 1 to the faces of a batch, {recipe.batch}, got {devices}")
    if devices == 1 or process_counts() != (1, 1):
        return train(recipe, dataset, out, **options)
    errors: SimpleQueue[MienError] = multiprocessing.get_context("spawn").SimpleQueue()
    arguments = (devices, _free_port(), errors, (recipe, dataset, out), options)
    processes: ProcessContext = start_processes(  # type: ignore[no-untyped-call]
        _train_rank, arguments, nprocs=devices, join=False, daemon=True
    )
    try:
        _wait(processes, errors, out)
    finally:
        _end(processes)
    return Run(Path(out))


def _train_rank(
    rank: int,
    devices: int,
    port: int,
    errors: SimpleQueue[MienError],
    run: tuple[Recipe, Dataset, str | Path],
    options: dict[str, Any],
) -> None:
    """Train in one of the processes, with the environment variables that torchrun would set."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.environ.update({
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(devices), "LOCAL_WORLD_SIZE": str(devices),
        "GROUP_RANK": "0", "MASTER_ADDR": HOST, "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "mien",
    })  # fmt: skip
    try:
        train(*run, **options)
        distributed.destroy_process_group()  # without it, its threads may abort the process at exit
    except MienError as error:
        errors.put(error)
        sys.exit(1)
    except KeyboardInterrupt:  # the parent, which shares the terminal, reports it
        os._exit(130)


def _wait(processes: ProcessContext, errors: SimpleQueue[MienError], out: str | Path) -> None:
    """Wait until all processes have ended.

    Raises:
        MienError: The first error that a process raised.
        RunError: A process was killed or exited.
        ProcessRaisedException: A process raised another exception.
    """
    try:
        while not processes.join(grace_period=GRACE):
            pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        if not errors.empty():
            raise errors.get() from None
        # The end of a killed process makes the others raise exceptions, and torch may report one of these.
        codes = [process.exitcode or 0 for process in processes.processes]
        killed = [index for index, code in enumerate(codes) if code < 0 and code != -signal.SIGTERM]  # torch's own
        if isinstance(error, ProcessRaisedException) and not killed:
            raise
        index = killed[0] if killed else error.error_index
        cause = f"exited with code {codes[index]}"
        if codes[index] < 0:
            cause = f"was killed by {_signal_name(-codes[index])}"
        raise RunError(
            f"training failed: process {index} of {len(codes)} {cause}; the epochs done are kept in {out}, "
            "and the same command resumes the run (mien train: with --resume)"
        ) from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _exit_with_parent() -> None:
    """End this process when its parent ends, even by SIGKILL; it would keep the lock of the run's folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _end(processes: ProcessContext) -> None:
    """End the processes that are still running, and delete the files in which torch stores their tracebacks."""
    for process in processes.processes:
        process.terminate()
    for process in processes.processes:
        process.join(GRACE)
        if process.is_alive():
            process.kill()
            process.join()
    for file in processes.error_files:
        Path(file).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
