"""A Ray cluster on this machine, whose nodes are processes that can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from waiting import LONGEST

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


@contextmanager
def ray_folder() -> Iterator[Path]:
    """Yield a new folder for Ray's sockets, logs and the address of its newest cluster.

    Clusters of other tests and users are neither found nor joined. Processes that still run at the end are killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short, since paths of sockets have at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # the default, 15, would stop all progress beside a busy process
        patch.setenv("RAY_raylet_start_wait_time_s", f"{LONGEST:.0f}")  # 30 s, the default, can be too short
        patch.delenv("RAY_ADDRESS", raising=False)
        try:
            yield folder
        finally:
            kill_processes_of(folder)
            shutil.rmtree(folder, ignore_errors=True)


def kill_processes_of(folder: Path) -> None:
    """Kill Ray's servers, which have `folder` on their command line; their workers end with them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended
            if os.fsencode(folder) + b"/" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


class LocalCluster:
    """A Ray cluster on this machine: a head without cores, and nodes with one core each."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        self.nodes: list[Any] = []
        self.cluster: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_node(self) -> None:
        """Kill a node with all its processes, as when a machine fails."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

    def repair(self) -> None:
        """Restart the nodes that an earlier test has killed."""
        import ray

        if ray.is_initialized():  # a test failed, and its work still runs
            ray.shutdown()
            self.stop()
        elif self.cluster is not None and not self.cluster.remaining_processes_alive():
            self.stop()
        try:
            self._start_missing()
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes."""
        if self.cluster is not None:
            with suppress(Exception):  # a node may have started only in part
                self.cluster.shutdown()
            kill_processes_of(self.folder)
            self.cluster, self.nodes = None, []

    def _start_missing(self) -> None:
        from ray.cluster_utils import Cluster

        if self.cluster is None:
            self.cluster = Cluster()
            # Ray declares a node dead after 15 s without a heartbeat; less would be wrong on a busy machine.
            self.cluster.add_node(num_cpus=0, include_dashboard=False, wait=False, **ports())
        while len(self.nodes) < self.count:
            self.nodes.append(self.cluster.add_node(num_cpus=1, wait=False, **ports()))
        self.cluster.wait_for_nodes(LONGEST)  # also until Ray knows that a killed node is dead


def ports() -> dict[str, int]:
    """Return free ports for the agents of a node."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in PORTS]
        for each in sockets:
            each.bind(("", 0))
        return {name: each.getsockname()[1] for name, each in zip(PORTS, sockets, strict=True)}


def set_agent_port(patch: pytest.MonkeyPatch) -> None:
    """Start nodes with a fixed agent port, so that they do not wait for their agents.

    A node whose agents choose their ports waits for files with these, and exits after 15 seconds without them, which
    cannot be configured. On a busy machine the agents may need longer.
    """
    from ray._private.node import Node

    start = Node.start_raylet

    def start_with_known_port(self: Any, *args: Any, **options: Any) -> Any:
        name = "dashboard_agent_listen_port"  # the only port that Ray does not pass to the node
        file = Path(self.get_session_dir_path(), f"{name}_{self.node_id}")
        file.write_text(str(getattr(self._ray_params, name)))
        return start(self, *args, **options)

    patch.setattr(Node, "start_raylet", start_with_known_port)


@contextmanager
def local_cluster(count: int, *first_on_path: Path) -> Iterator[LocalCluster]:
    """Yield a cluster of `count` nodes; its processes import modules from `first_on_path`, then as this process does.

    It has nodes after `repair`, which every test should call first.
    """
    with ray_folder() as folder, pytest.MonkeyPatch.context() as patch:
        machines = LocalCluster(count, folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([*map(str, first_on_path), *filter(None, sys.path)]))
        set_agent_port(patch)
        try:
            yield machines
        finally:
            machines.stop()
