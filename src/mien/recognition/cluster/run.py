"""`analyze_on_cluster`: millions of images on a Ray cluster.

Ray Data deals the partitions out to a pool of actors that each hold a recognizer, and deals those of an actor or a
machine that went away out again. Which images are read exactly once is decided by the plan and the files of results,
and not by Ray: a partition that two read is written twice, the same, to one name.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import MienError, MissingExtra
from mien.ray import LOCAL, connect, import_ray
from mien.recognition.cluster.plan import (
    HEAD,
    Partition,
    Plan,
    check_same,
    cut,
    load_plan,
    make_plan,
    remaining_partitions,
)
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.cluster.storage import UNFINISHED, Store
from mien.recognition.cluster.worker import PartitionResult, PartitionWorker, finished_partitions, read_counts

SIZE = 1000  # images to a partition: a minute of one core, which is what a machine that dies costs
# Partitions that are dealt out, at least and to a core, before more of the plan is read: few, as the driver holds them,
# and enough for all cores to be at work nearly always, as at the end of each lot some wait for the last.
WINDOW, PER_CORE = 1000, 20
PURPOSE = "reading on a cluster"
_FAILED, _PART = "failed", "share"


def analyze_on_cluster(
    source: str | Path,
    out: str | Path,
    *,
    address: str = LOCAL,
    name_or_path: str | Path | None = None,
    size: int = SIZE,
    resume: bool = False,
    **options: Any,
) -> Generator[tuple[Plan, PartitionResult]]:
    """Read all images of `source` on a Ray cluster into Parquet files in `out`; gives each partition as it is done.

    Rows are those that `open_writer("parquet")` writes; the files by name, and the rows within each, are in the order
    of the images. Stopped at any moment, what partitions are done stay so.

    Args:
        source: a folder, a pattern, or tables in parquet with a column of bytes and one of names; of this machine, or
            an address such as s3://bucket/photos. All machines must see it by the same name.
        out: a folder or an address, seen by all machines as well.
        address: of the cluster, as `mien.ray.connect` has it.
        size: images to a partition.
        resume: go on in `out`: partitions that have their file are given at once, and not done again.
        name_or_path, options: as in `mien.load`.

    Raises:
        MissingExtra: Ray or pyarrow is not installed.
        MienError: `out` holds results and `resume` is false, or holds those of something else, or cannot be written;
            there are no images, or no such source; the cluster cannot be joined.
    """
    _ray_data()
    if size < 1:
        raise MienError(f"a partition has one image or more, got {size}")
    packed, store = RecognizerSnapshot.of(name_or_path, **options), Store(str(out))
    plan, finished = _planned(store, str(source), size, packed, resume)
    with ThreadPoolExecutor(16, thread_name_prefix="mien-counts") as pool:
        for at in range(0, len(finished), WINDOW):  # as the pool would begin with all of them at once
            for done in pool.map(lambda number: read_counts(store, number, plan), finished[at : at + WINDOW]):
                yield plan, done
    if len(finished) < plan.partitions:
        left = remaining_partitions(store, plan, finished)
        with connect(address, PURPOSE) as ray:
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            while some := list(islice(left, max(WINDOW, PER_CORE * cores))):
                for done in _read(ray, plan, store.address, some, cores):
                    yield plan, done
    with suppress(OSError):  # of processes that died; whoever is still at work there finds the results in place
        store.delete(UNFINISHED)


def _planned(store: Store, source: str, size: int, packed: RecognizerSnapshot, resume: bool) -> tuple[Plan, list[int]]:
    """The plan, made now or earlier, and the numbers of the partitions that are done."""
    try:
        plan, finished = load_plan(store), finished_partitions(store)
        if plan is None:
            if finished:
                raise MienError(f"{store.address} holds results, but no {HEAD}; name another folder")
            shares = cut(source, store, size=size)
            packed.save(store)
            return make_plan(store, source, shares, size=size, reading=packed.identity), []
    except OSError as error:
        raise MienError(f"{store.address} cannot be written: {error}") from None
    if not resume:
        raise MienError(f"{store.address} holds results already; say --resume to go on, or name another folder")
    check_same(plan, store, source, size=size, reading=packed.identity)
    return plan, finished


def _ray_data() -> Any:
    """Ray Data, imported before Ray is told to be quiet, as its import turns the logs on."""
    import_ray(PURPOSE)
    try:
        import ray.data
    except ImportError:
        raise MissingExtra("cluster", PURPOSE) from None
    return ray.data


def _read(ray: Any, plan: Plan, out: str, shares: list[Partition], cores: int) -> Iterator[PartitionResult]:
    """Deal `shares` out; gives each as it is done, in no order."""
    data = _ray_data()
    context = data.DataContext.get_current()
    context.enable_progress_bars, context.print_on_execution_start = False, False
    most = min(cores, len(shares))
    # At least one and not all, so that an actor without work leaves its core to one that lost its machine. One share in
    # flight for each, as those that wait for an actor whose machine is gone wait until it is known to be.
    pool = data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=1)
    told = data.from_items(
        # As text in ASCII: names of files need not be Unicode, which is all that Arrow's strings hold.
        [{_PART: json.dumps(share)} for share in shares], override_num_blocks=len(shares),
    ).map_batches(
        _Actor, fn_constructor_args=(out, plan), batch_size=1, compute=pool,
        num_cpus=1, batch_format="numpy",
    )  # fmt: skip
    try:
        rows = told.iter_batches(batch_size=1, prefetch_batches=0)
        yield from _said(rows)
    except ray.exceptions.RayError as error:
        raise MienError(f"the cluster could not go on: {_cause(error)}; what is done is kept in {out}") from None


def _said(rows: Iterable[dict[str, Any]]) -> Iterator[PartitionResult]:
    for row in rows:
        if row[_FAILED][0]:
            raise MienError(str(row[_FAILED][0]))
        yield PartitionResult(*(int(row[name][0]) for name in ("number", "images", "unread", "faces")))


def _cause(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class _Actor:
    """What runs on the cluster: a recognizer, and one partition after another."""

    def __init__(self, out: str, plan: Plan) -> None:
        import cv2

        cv2.setNumThreads(1)  # a core each
        store = Store(out)
        self._reader = PartitionWorker(RecognizerSnapshot.saved(store), store, plan)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        share = json.loads(str(batch[_PART][0]))
        try:
            told = {**asdict(self._reader.read(share)), _FAILED: ""}
        except MienError as error:
            told = {"number": share["number"], "images": 0, "unread": 0, "faces": 0, _FAILED: str(error)}
        return {name: [value] for name, value in told.items()}
