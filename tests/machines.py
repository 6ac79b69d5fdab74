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
    """Have Ray keep sockets, logs and the address of its newest cluster in a folder of its own, which is yielded.

    Clusters of other tests and users are neither found nor joined. What still runs there at the end is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short, since names of sockets are at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # by default 15, and beside a busy process nothing would be done
        patch.setenv("RAY_raylet_start_wait_time_s", f"{LONGEST:.0f}")  # half a minute is not enough on a busy machine
        patch.delenv("RAY_ADDRESS", raising=False)
        try:
            yield folder
        finally:
            kill_processes_of(folder)
            shutil.rmtree(folder, ignore_errors=True)


def kill_processes_of(folder: Path) -> None:
    """Kill the processes of Ray that name `folder` on their command line: its servers, whose workers end with them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if os.fsencode(folder) + b"/" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


class LocalCluster:
    """A head without cores, and nodes with one each."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        self.nodes: list[Any] = []
        self.cluster: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_node(self) -> None:
        """Kill a node and all that runs on it, as a failing machine would."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

    def repair(self) -> None:
        """Have all nodes running again, whatever the test before did to them."""
        import ray

        if ray.is_initialized():  # a test failed and left its work running
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
            with suppress(Exception):  # of nodes that are half started
                self.cluster.shutdown()
            kill_processes_of(self.folder)
            self.cluster, self.nodes = None, []

    def _start_missing(self) -> None:
        from ray.cluster_utils import Cluster

        if self.cluster is None:
            self.cluster = Cluster()
            # A node is dead for Ray after a quarter of a minute of silence; less would be wrong on a busy machine.
            self.cluster.add_node(num_cpus=0, include_dashboard=False, wait=False, **ports())
        while len(self.nodes) < self.count:
            self.nodes.append(self.cluster.add_node(num_cpus=1, wait=False, **ports()))
        self.cluster.wait_for_nodes(LONGEST)  # also until Ray knows that a lost one is dead


def ports() -> dict[str, int]:
    """Return free ports for the agents of a node."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in PORTS]
        for one in sockets:
            one.bind(("", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}


def set_agent_port(patch: pytest.MonkeyPatch) -> None:
    """Have a node start although its agents take long.

    A node whose agents choose their own ports waits for files with these, and dies after 15 seconds without them, a
    number that has no setting. A busy machine may need longer to start the agents.
    """
    from ray._private.node import Node

    start = Node.start_raylet

    def start_with_known_port(self: Any, *args: Any, **options: Any) -> Any:
        name = "dashboard_agent_listen_port"  # the only one that Ray does not hand on to the node
        file = Path(self.get_session_dir_path(), f"{name}_{self.node_id}")
        file.write_text(str(getattr(self._ray_params, name)))
        return start(self, *args, **options)

    patch.setattr(Node, "start_raylet", start_with_known_port)


@contextmanager
def local_cluster(count: int, *first_on_path: Path) -> Iterator[LocalCluster]:
    """Yield a cluster of `count` nodes, whose processes find modules as this one does, and first in `first_on_path`.

    It has nodes once `repair` was called, as every test should do first.
    """
    with ray_folder() as folder, pytest.MonkeyPatch.context() as patch:
        machines = LocalCluster(count, folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([*map(str, first_on_path), *filter(None, sys.path)]))
        set_agent_port(patch)
        try:
            yield machines
        finally:
            machines.stop()
