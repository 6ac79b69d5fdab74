"""`analyze_on_cluster`: millions of images on a Ray cluster.

Ray Data sends the partitions to a pool of actors, each with a recognizer of its own, and sends those of a lost actor or
machine again. The plan and the result files ensure that each image is analyzed exactly once, not Ray: a partition that
is analyzed twice is written twice, with the same content, to the same file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import MienError, MissingExtra
from mien.paths import expand_user
from mien.ray import LOCAL, connect, import_ray
from mien.recognition.cluster.plan import (
    HEAD,
    Partition,
    Plan,
    check_same_plan,
    load_plan,
    make_plan,
    partition_source,
    remaining_partitions,
)
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.cluster.storage import UNFINISHED, Store
from mien.recognition.cluster.worker import PartitionResult, PartitionWorker, finished_partitions, read_counts

SIZE = 1000  # images per partition: about a minute of one core, which is lost with a machine
# Partitions that are handed to Ray at once, at least and per core. Few enough for the memory of the driver, and so many
# that cores rarely wait for the last partitions of a window.
WINDOW, PER_CORE = 1000, 20
PURPOSE = "reading on a cluster"
_FAILED, _PARTITION = "failed", "partition"


def analyze_on_cluster(
    source: str | Path,
    out: str | Path,
    *,
    address: str = LOCAL,
    name_or_path: str | Path | None = None,
    size: int = SIZE,
    resume: bool = False,
    on_skip: Callable[[str], None] | None = None,
    **options: Any,
) -> Generator[tuple[Plan, PartitionResult]]:
    """Analyze all images of `source` on a Ray cluster and write Parquet files to `out`.

    Rows are those of `open_writer("parquet")`. Files, sorted by name, and the rows of each file are in the order of the
    images. Finished partitions are kept, whenever the process is stopped.

    Args:
        source: Path of a folder, a glob pattern, or Parquet files with a column of bytes and one of names; on this
            machine, or an address such as s3://bucket/photos. All machines must reach it under the same name.
        out: Path or address of the output folder, which all machines must reach.
        address: Address of the cluster, as in `mien.ray.connect`.
        name_or_path: Model, as in `mien.load`.
        size: Images per partition.
        resume: Whether to continue in `out`: finished partitions are yielded at once and not analyzed again.
        on_skip: Function that is called with the name of each file that is skipped because of its name, as in
            `find_sources`, when the images are listed; not when a run is resumed.
        options: Other options of `mien.load`.

    Yields:
        The plan and the result of a partition, as soon as it is done.

    Raises:
        MissingExtra: Ray or pyarrow is not installed.
        MienError: `out` has results and `resume` is false, or has results of another source or other options, or cannot
            be written; the source does not exist or has no images; the cluster cannot be joined.

    Example:
        >>> from mien.recognition import analyze_on_cluster
        >>> for plan, result in analyze_on_cluster("photos", "faces", address="auto"):  # doctest: +SKIP
        ...     print(f"partition {result.number} of {plan.partitions}: {result.faces} faces")
    """
    _import_ray_data()
    if size < 1:
        raise MienError(f"size must be at least one image per partition, got {size}")
    snapshot, store = RecognizerSnapshot.of(name_or_path, **options), Store(expand_user(str(out)))
    plan, finished = _start_or_resume(store, expand_user(str(source)), size, snapshot, resume, on_skip)
    with ThreadPoolExecutor(16, thread_name_prefix="mien-counts") as pool:
        for start in range(0, len(finished), WINDOW):  # the pool would start on all of them at once
            for result in pool.map(lambda number: read_counts(store, number, plan), finished[start : start + WINDOW]):
                yield plan, result
    if len(finished) < plan.partitions:
        remaining = remaining_partitions(store, plan, finished)
        with connect(address, PURPOSE) as ray:
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            while window := list(islice(remaining, max(WINDOW, PER_CORE * cores))):
                for result in _analyze(ray, plan, store.address, window, cores):
                    yield plan, result
    with suppress(OSError):  # files of processes that died; another command that still runs has its results in place
        store.delete(UNFINISHED)


def _start_or_resume(
    store: Store,
    source: str,
    size: int,
    snapshot: RecognizerSnapshot,
    resume: bool,
    on_skip: Callable[[str], None] | None,
) -> tuple[Plan, list[int]]:
    """Return the plan, new or saved earlier, and the numbers of the finished partitions."""
    try:
        plan, finished = load_plan(store), finished_partitions(store)
        if plan is None:
            if finished:
                raise MienError(f"{store.address} has results but no {HEAD}; use another --out")
            partitions = partition_source(source, store, size=size, on_skip=on_skip)
            snapshot.save(store)
            return make_plan(store, source, partitions, size=size, recognizer=snapshot.identity), []
    except OSError as error:
        raise MienError(f"{store.address} cannot be written: {error}") from None
    if not resume:
        raise MienError(f"{store.address} has results already; use --resume to continue, or another --out")
    check_same_plan(plan, store, source, size=size, recognizer=snapshot.identity)
    return plan, finished


def _import_ray_data() -> Any:
    """Return Ray Data, imported before Ray's logs are turned off, since its import turns them on."""
    import_ray(PURPOSE)
    try:
        import ray.data
    except ImportError:
        raise MissingExtra("cluster", PURPOSE) from None
    return ray.data


def _analyze(ray: Any, plan: Plan, out: str, partitions: list[Partition], cores: int) -> Iterator[PartitionResult]:
    """Analyze partitions on the cluster; yield the results in the order in which they are done."""
    data = _import_ray_data()
    context = data.DataContext.get_current()
    context.enable_progress_bars, context.print_on_execution_start = False, False
    # Ray Data shrinks a pool that has more actors than its coordinator has granted cores. On a busy machine the
    # coordinator answers late, and all actors but one are stopped. The pool grows again at this utilization: tasks in
    # flight per actor, which is at most 1 here. At the default, 1.75, it would never grow.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    most = min(cores, len(partitions))
    # min_size is 1, so that an idle actor leaves its core to one that lost its machine. One partition in flight per
    # actor, since partitions queued at an actor on a lost machine wait until the loss is noticed.
    pool = data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=1)
    results = data.from_items(
        # Partitions as JSON in ASCII: file names need not be Unicode, which Arrow's strings must be.
        [{_PARTITION: json.dumps(partition)} for partition in partitions], override_num_blocks=len(partitions),
    ).map_batches(
        _Actor, fn_constructor_args=(out, plan), batch_size=1, compute=pool,
        num_cpus=1, batch_format="numpy",
    )  # fmt: skip
    try:
        for row in results.iter_batches(batch_size=1, prefetch_batches=0):
            if row[_FAILED][0]:
                raise MienError(str(row[_FAILED][0]))
            yield PartitionResult(*(int(row[name][0]) for name in ("number", "images", "unread", "faces")))
    except ray.exceptions.RayError as error:
        raise MienError(f"the Ray cluster failed: {_last_line(error)}; finished partitions are in {out}") from None


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class _Actor:
    """Actor on the cluster: a recognizer that analyzes one partition after another."""

    def __init__(self, out: str, plan: Plan) -> None:
        import cv2

        cv2.setNumThreads(1)  # an actor has one core
        store = Store(out)
        self._worker = PartitionWorker(RecognizerSnapshot.load(store), store, plan)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        partition = json.loads(str(batch[_PARTITION][0]))
        try:
            row = {**asdict(self._worker.process(partition)), _FAILED: ""}
        except MienError as error:
            row = {"number": partition["number"], "images": 0, "unread": 0, "faces": 0, _FAILED: str(error)}
        return {name: [value] for name, value in row.items()}
