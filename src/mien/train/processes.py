"""Training on several devices, one process each.

Gradients are averaged by torch's DistributedDataParallel (Li et al. 2020, arXiv 2006.15704), which Lightning Fabric
sets up, over gloo on CPUs and NCCL on GPUs. Batch normalisation goes by each process's own part.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from torch import distributed

from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.train.fabric import process_counts
from mien.train.loop import train
from mien.train.recipe import Recipe
from mien.train.runs.folder import Run

HERE = "127.0.0.1"
GRACE = 10.0  # seconds that the other processes get to end by themselves


def train_on_devices(devices: int, recipe: Recipe, dataset: Dataset, out: str | Path, **options: Any) -> Run:
    """As `train`, on `devices` devices of this machine; on one, or within torchrun, it is `train` itself.

    A script that calls it must be one that can be imported: its own work stands under `if __name__ == "__main__":`.

    Args:
        devices: of the kind that `device` says; of CPUs, processes among which the cores are divided.
        options: those of `train`.

    Raises:
        RunError: a process ended before its time; the epochs done are kept. Or fewer than one device, or more than the
            faces of a batch.
        MienError: as `train`.
    """
    if devices < 1 or devices > recipe.batch:
        raise RunError(f"devices is a number from 1 to the faces of a batch, {recipe.batch}, got {devices}")
    if devices == 1 or process_counts() != (1, 1):
        return train(recipe, dataset, out, **options)
    spawn, port = multiprocessing.get_context("spawn"), _free_port()
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for rank in range(devices):
            ours, theirs = spawn.Pipe(duplex=False)
            work = (theirs, _place(rank, devices, port), (recipe, dataset, out), options)
            processes[ours] = spawn.Process(target=_work, args=work, name=f"mien-{rank}", daemon=True)
            processes[ours].start()
            theirs.close()
        _watch(processes, Path(out))
    finally:
        _end(list(processes.values()))
    return Run(Path(out))


def _watch(processes: Mapping[Connection, SpawnProcess], folder: Path) -> None:
    """Until all have ended well; raises what the first that did not has to say."""
    left = list(processes)
    while left:
        for pipe in wait(left):
            assert isinstance(pipe, Connection)
            try:
                said = pipe.recv()
            except EOFError:  # it ended without a word
                processes[pipe].join()
                code = processes[pipe].exitcode
                how = f"was ended by signal {-code}" if code and code < 0 else f"ended with status {code}"
                raise RunError(
                    f"process {processes[pipe].name.split('-')[1]} of {len(processes)} {how}, and the run with it; the "
                    f"epochs done are kept in {folder}, and the same command goes on (mien train: with --resume)"
                ) from None
            if said is not None:
                raise said
            left.remove(pipe)


def _work(
    pipe: Connection, place: Mapping[str, str], what: tuple[Recipe, Dataset, str | Path], options: dict[str, Any]
) -> None:
    """One process's run; its last word is None or the error that ended it."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    os.environ.update(place)
    try:
        train(*what, **options)
        distributed.destroy_process_group()  # else its threads may end in an abort, with words that say nothing
        pipe.send(None)
    except MienError as error:
        pipe.send(error)
    except KeyboardInterrupt:  # told by the first process, which all of them share a terminal with
        os._exit(130)


def _end_with_the_parent() -> None:
    """Nobody is left to end a process whose parent was killed, and it would keep the run's folder to itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _place(rank: int, devices: int, port: int) -> dict[str, str]:
    """What torchrun would tell a process of its place among the others."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(devices), "LOCAL_WORLD_SIZE": str(devices),
        "GROUP_RANK": "0", "MASTER_ADDR": HERE, "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "mien",
    }  # fmt: skip


def _end(processes: list[SpawnProcess]) -> None:
    for process in processes:
        if process.pid is not None:
            process.terminate()
    for process in processes:
        if process.pid is not None:
            process.join(GRACE)
            if process.is_alive():
                process.kill()
                process.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
