"""A Ray cluster on this machine, whose nodes are processes that can be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Machines:
    """A head without cores, and nodes with one each."""

    cluster: Any
    nodes: list[Any]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_one(self) -> None:
        """Kill a node with all that runs on it, without a word."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

    def gain_one(self) -> None:
        """Have a new one come."""
        self.nodes.append(_added(self.cluster, num_cpus=1))


@contextmanager
def machines_of(count: int, *first_on_path: Path) -> Iterator[Machines]:
    """A cluster of so many nodes, whose processes find modules as we do, and in `first_on_path` before."""
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", os.pathsep.join([*map(str, first_on_path), *filter(None, sys.path)]))
    cluster = Cluster()
    try:
        # A node is dead for Ray after a quarter of a minute of silence; less would be wrong on a busy machine.
        _added(cluster, num_cpus=0, include_dashboard=False)
        nodes = [_added(cluster, num_cpus=1) for _ in range(count)]
        cluster.wait_for_nodes()
        yield Machines(cluster, nodes)
    finally:
        cluster.shutdown()
        patch.undo()


def _added(cluster: Any, **about: Any) -> Any:
    """A node more; Ray gives one half a minute to start, which a very busy machine may need more than once."""
    try:
        return cluster.add_node(**about)
    except Exception:
        return cluster.add_node(**about)
