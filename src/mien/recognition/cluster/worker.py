"""A partition of images, analyzed and written as one Parquet file.

A process that dies leaves an entry in the attempt log. The next one reads the images of that partition one by one in a
separate process. So an image that crashes its reader costs only its own row, and a lost machine costs none.
"""

from __future__ import annotations

import faulthandler
import glob
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from mien.errors import ImageError, MienError
from mien.imaging.load import read_encoded
from mien.recognition.cluster.attempts import AttemptLog
from mien.recognition.cluster.isolation import IsolatedReader
from mien.recognition.cluster.parquet_input import images_of
from mien.recognition.cluster.plan import Partition, Plan, load_plan
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.cluster.storage import Store, is_remote, path_resolver
from mien.recognition.inputs import Source
from mien.recognition.output.formats import ROW_GROUP, columns, rows
from mien.recognition.output.parquet_rows import escape_rows, schema_of
from mien.recognition.parallel import READERS, analyze_sources
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Analysis

METADATA_KEY = b"mien"  # metadata of a result file: number of images, and digest of the plan
STALL_TIMEOUT = 900.0  # seconds without a result, after which the process ends and images are read one by one


@dataclass(frozen=True)
class PartitionResult:
    """Counts of a partition whose file is written.

    Attributes:
        number: Number of the partition.
        images: Number of images.
        unread: Number of images that could not be read.
        faces: Number of faces.
    """

    number: int
    images: int
    unread: int
    faces: int


class PartitionWorker:
    """Analyzes partitions, one after another.

    Args:
        snapshot: Recognizer.
        store: Folder of the results.
        plan: Plan that the partitions are from.
        threads: Threads of the model and of the detector.

    Raises:
        MienError: The plan was made with another recognizer.
    """

    def __init__(self, snapshot: RecognizerSnapshot, store: Store, plan: Plan, *, threads: int = 1) -> None:
        if snapshot.identity != plan.recognizer:
            raise _other_plan(store)
        self._snapshot, self.store, self._plan, self._threads = snapshot, store, plan, threads
        self._recognizer: Recognizer = snapshot.open(threads=threads)
        self._remote = is_remote(plan.source)
        self._resolve = path_resolver(plan.source, plan.working_directory)

    def process(self, partition: Partition) -> PartitionResult:
        """Analyze a partition and write its file, unless another process has written it.

        Raises:
            MienError: The results cannot be written, the folder now belongs to another plan, or this machine cannot
                reach the source.
        """
        from pyarrow import ArrowException

        number = partition["number"]
        log = AttemptLog(self.store, number)
        try:
            self._check_plan()
            self._check_source()
            if self.store.has(part_name(number)):
                result = read_counts(self.store, number, self._plan)
                log.finish()  # left by a process that died after it wrote the file
                return result
            analyses = self._one_by_one(partition, log) if log.start() else self._batched(partition, log)
            analyses = self._check_plan_after(analyses)
            result = write_partition(self.store, number, analyses, self._snapshot.labels, self._plan)
            log.finish()
        except (OSError, ArrowException) as error:
            log.withdraw()
            if self.store.has(part_name(number)):  # another process wrote it and deleted our log entry
                return read_counts(self.store, number, self._plan)
            raise MienError(f"partition {number} of {self.store.address} cannot be written: {error}") from None
        except Exception:
            log.withdraw()
            raise
        return result

    def _check_plan_after(self, analyses: Iterable[Analysis]) -> Iterator[Analysis]:
        """Yield the analyses, then check the plan again, since analyzing takes a while."""
        yield from analyses
        self._check_plan()

    def _check_plan(self) -> None:
        """Raise a `MienError` if another command has replaced the plan."""
        if load_plan(self.store) != self._plan:
            raise _other_plan(self.store)

    def _check_source(self) -> None:
        """Raise a `MienError` if this machine cannot reach the source, since all rows would be errors."""
        source = self._plan.source
        if self._remote or os.path.lexists(self._resolve(source)[1]):
            return
        fixed = takewhile(lambda part: not glob.has_magic(part), Path(source).parts)
        if not glob.has_magic(source) or not os.path.lexists(self._resolve(os.path.join("", *fixed))[1]):
            raise MienError(
                f"the machine {socket.gethostname()} cannot find {source}; all machines need it under the same name"
            )

    def _batched(self, partition: Partition, log: AttemptLog) -> Iterable[Analysis]:
        """Analyze the images with batches of faces; if that fails unexpectedly, one by one."""
        analyses: list[Analysis] = []
        faulthandler.dump_traceback_later(STALL_TIMEOUT, exit=True)
        try:
            for _, analysis in analyze_sources(
                self._recognizer, self._sources(partition), readers=READERS * self._remote or None
            ):
                analyses.append(analysis)
                faulthandler.dump_traceback_later(STALL_TIMEOUT, exit=True)
        except MienError:
            raise
        except Exception:  # of OpenCV, onnxruntime or Python, for example without memory
            return self._one_by_one(partition, log)
        finally:
            faulthandler.cancel_dump_traceback_later()
        return analyses

    def _one_by_one(self, partition: Partition, log: AttemptLog) -> Iterator[Analysis]:
        reader = IsolatedReader(self._snapshot, threads=self._threads)
        limit, crashing_indices = self._recognizer.max_bytes, log.crashing_indices()
        unread = self._recognizer.pipeline.unreadable("", "").analysis
        try:
            for index, source in enumerate(self._sources(partition)):
                try:
                    if index in crashing_indices:
                        raise ImageError(f"{source.name}: each process that read it crashed")
                    if source.error:
                        raise ImageError(source.error)
                    data = source.fetch(limit) if source.fetch else read_encoded(source.data or b"", source.name, limit)
                    reader.start()  # before the log entry: a process stopped while it starts must not blame the image
                    log.record(index)
                    yield reader.analyze(source.name, data)
                except ImageError as error:
                    yield replace(unread, source=source.name, error=str(error))
        finally:
            reader.close()

    def _sources(self, partition: Partition) -> Iterator[Source]:
        if "file" in partition:
            yield from images_of(partition, self._resolve)
            return
        for entry in partition["names"]:
            name, error = (entry, "") if isinstance(entry, str) else entry
            yield Source(name, Path(os.path.basename(name) or name), error=error, fetch=self._fetcher(name))

    def _fetcher(self, name: str) -> Callable[[int], bytes]:
        if self._remote:
            return lambda max_bytes: self._fetch(name, max_bytes)
        return lambda max_bytes: read_encoded(self._resolve(name)[1], name, max_bytes)

    def _fetch(self, name: str, max_bytes: int) -> bytes:
        """Return the bytes of an image at an address."""
        system, path = self._resolve(name)
        try:
            with system.open_input_stream(path) as file:
                data = bytes(file.read(max_bytes + 1))
        except FileNotFoundError:
            raise ImageError(f"{name}: no such file") from None
        except OSError as error:
            raise ImageError(f"{name}: cannot be read: {error}") from None
        return read_encoded(data, name, max_bytes)


def _other_plan(store: Store) -> MienError:
    return MienError(f"another command writes to {store.address} with other options; use another --out")


def part_name(number: int) -> str:
    """Return the name of a partition's result file."""
    return f"part-{number:08d}.parquet"


def write_partition(
    store: Store, number: int, analyses: Iterable[Analysis], labels: tuple[str, ...], plan: Plan
) -> PartitionResult:
    """Write the file of a partition atomically; its rows are those of `formats.ParquetWriter`."""
    import pyarrow
    from pyarrow import parquet

    schema, images, unread, faces = schema_of(columns(labels)), 0, 0, 0
    pending: list[dict[str, Any]] = []
    for analysis in analyses:
        pending += escape_rows(rows(analysis, labels))
        images, unread, faces = images + 1, unread + bool(analysis.error), faces + len(analysis.faces)
    counts = {"images": images, "unread": unread, "faces": faces, "plan": plan.digest}
    metadata = {METADATA_KEY: json.dumps(counts).encode()}
    table = pyarrow.Table.from_pylist(pending, schema).replace_schema_metadata(metadata)
    with store.writing(part_name(number)) as file:
        parquet.write_table(table, file, row_group_size=ROW_GROUP)
    return PartitionResult(number, images, unread, faces)


def finished_partitions(store: Store) -> list[int]:
    """Return the numbers of the partitions that have a file."""
    names = (name[5:-8] for name in store.names() if name.startswith("part-") and name.endswith(".parquet"))
    return sorted(int(number) for number in names if number.isdecimal())


def read_counts(store: Store, number: int, plan: Plan) -> PartitionResult:
    """Return the counts in a partition's file; `MienError` if it is damaged or of another plan."""
    from pyarrow import ArrowException, parquet

    try:
        with store.fs.open_input_file(store.path(part_name(number))) as file:
            counts = json.loads((parquet.ParquetFile(file).schema_arrow.metadata or {})[METADATA_KEY])
        digest = counts.pop("plan")
        result = PartitionResult(number, **counts)
    except (OSError, ArrowException, KeyError, TypeError, ValueError):
        raise MienError(
            f"{store.address}/{part_name(number)} is damaged or was not written by mien; delete it to have the "
            "partition analyzed again"
        ) from None
    if digest != plan.digest:
        raise _other_plan(store)
    return result
