"""One partition read into one Parquet file.

A process that dies over it leaves a note, and whoever takes the partition up next reads its images one by one in a
process apart. So an image that ends processes costs its own row, and a machine that goes away nothing.
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
from mien.recognition.cluster.parquet_input import images_in
from mien.recognition.cluster.plan import Partition, Plan, load_plan
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.cluster.storage import Store, is_remote, located
from mien.recognition.inputs import Source
from mien.recognition.output.formats import ROW_GROUP, columns, rows
from mien.recognition.output.parquet_rows import escape_rows, schema_of
from mien.recognition.parallel import READERS, analyze_sources
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Analysis

NOTE = b"mien"  # in a file of results, how many images it has, and by whose plan
STUCK = 900.0  # seconds without a result, after which a process ends itself and the images are read one by one


@dataclass(frozen=True)
class PartitionResult:
    """A partition that has its file: how many images it holds, how many of these could not be read, and faces."""

    number: int
    images: int
    unread: int
    faces: int


class PartitionWorker:
    """Reads partitions, one after another.

    Attributes:
        store: where the results go.
    """

    def __init__(self, packed: RecognizerSnapshot, store: Store, plan: Plan, *, threads: int = 1) -> None:
        """
        Args:
            threads: of one forward.

        Raises:
            MienError: `packed` is not what the plan's images are read by.
        """
        if packed.identity != plan.reading:
            raise _other_plan(store)
        self._packed, self.store, self._plan, self._threads = packed, store, plan, threads
        self._recognizer: Recognizer = packed.open(threads=threads)
        self._remote, self._where = is_remote(plan.source), located(plan.source, plan.place)

    def read(self, share: Partition) -> PartitionResult:
        """Read a partition and put its file in place, or leave it as it is where someone else has.

        Raises:
            MienError: the results cannot be written, or the folder has become another plan's; the source is not to be
                seen from this machine.
        """
        from pyarrow import ArrowException

        number = share["number"]
        journal = AttemptLog(self.store, number)
        try:
            self._check_plan()
            self._check_detector()
            if self.store.has(name_of(number)):
                done = read_counts(self.store, number, self._plan)
                journal.end()  # of one that died between the two
                return done
            earlier = journal.begin()
            told = self._one_by_one(share, journal) if earlier else self._together(share, journal)
            done = write_partition(self.store, number, self._still_planned(told), self._packed.labels, self._plan)
            journal.end()
        except (OSError, ArrowException) as error:
            journal.withdraw()
            if self.store.has(name_of(number)):  # by someone else, whose tidying up was in our way
                return read_counts(self.store, number, self._plan)
            raise MienError(f"partition {number} of {self.store.address} cannot be done: {error}") from None
        except Exception:
            journal.withdraw()
            raise
        return done

    def _still_planned(self, told: Iterable[Analysis]) -> Iterator[Analysis]:
        """As they are; looks once more before the file is written, as reading takes a while."""
        yield from told
        self._check_plan()

    def _check_plan(self) -> None:
        """`MienError` where someone else has cut the source otherwise, and begun at the same time as we."""
        if load_plan(self.store) != self._plan:
            raise _other_plan(self.store)

    def _check_detector(self) -> None:
        """`MienError` where this machine does not see the source, or all its rows would be errors."""
        source = self._plan.source
        if self._remote or os.path.lexists(self._where(source)[1]):
            return
        fixed = takewhile(lambda part: not glob.has_magic(part), Path(source).parts)
        if not glob.has_magic(source) or not os.path.lexists(self._where(os.path.join("", *fixed))[1]):
            raise MienError(f"the machine {socket.gethostname()} does not see {source}; all must, by the same name")

    def _together(self, share: Partition, journal: AttemptLog) -> Iterable[Analysis]:
        """All of it, faces batched; of what no image ought to bring about, one by one."""
        told: list[Analysis] = []
        faulthandler.dump_traceback_later(STUCK, exit=True)
        try:
            for _, analysis in analyze_sources(
                self._recognizer, self._sources(share), readers=READERS * self._remote or None
            ):
                told.append(analysis)
                faulthandler.dump_traceback_later(STUCK, exit=True)
        except MienError:
            raise
        except Exception:  # of OpenCV's, onnxruntime's or Python's, for want of memory for instance
            return self._one_by_one(share, journal)
        finally:
            faulthandler.cancel_dump_traceback_later()
        return told

    def _one_by_one(self, share: Partition, journal: AttemptLog) -> Iterator[Analysis]:
        apart = IsolatedReader(self._packed, threads=self._threads)
        limit, crashing_indices = self._recognizer.max_bytes, journal.crashing_indices()
        unread = self._recognizer.pipeline.unreadable("", "").analysis
        try:
            for index, source in enumerate(self._sources(share)):
                try:
                    if index in crashing_indices:
                        raise ImageError(f"{source.name}: the processes that read it were ended, each time")
                    if source.error:
                        raise ImageError(source.error)
                    data = source.fetch(limit) if source.fetch else read_encoded(source.data or b"", source.name, limit)
                    apart.start()  # before the note, or whoever is stopped meanwhile would seem to die of the image
                    journal.at(index)
                    yield apart.analyze(source.name, data)
                except ImageError as error:
                    yield replace(unread, source=source.name, error=str(error))
        finally:
            apart.close()

    def _sources(self, share: Partition) -> Iterator[Source]:
        if "file" in share:
            yield from images_in(share, self._where)
            return
        for told in share["names"]:
            name, error = (told, "") if isinstance(told, str) else told
            yield Source(name, Path(os.path.basename(name) or name), error=error, fetch=self._fetching(name))

    def _fetching(self, name: str) -> Callable[[int], bytes]:
        if self._remote:
            return lambda most: self._fetched(name, most)
        return lambda most: read_encoded(self._where(name)[1], name, most)

    def _fetched(self, name: str, most: int) -> bytes:
        """The bytes of an image behind an address."""
        system, path = self._where(name)
        try:
            with system.open_input_stream(path) as file:
                data = bytes(file.read(most + 1))
        except FileNotFoundError:
            raise ImageError(f"{name}: there is no such file") from None
        except OSError as error:
            raise ImageError(f"{name}: cannot be read: {error}") from None
        return read_encoded(data, name, most)


def _other_plan(store: Store) -> MienError:
    return MienError(f"{store.address} is being filled by another command, with other options; name another folder")


def name_of(number: int) -> str:
    """The file of a partition's results."""
    return f"part-{number:08d}.parquet"


def write_partition(
    store: Store, number: int, told: Iterable[Analysis], labels: tuple[str, ...], plan: Plan
) -> PartitionResult:
    """Put a partition's file in place; its rows are those of `formats.ParquetWriter`."""
    import pyarrow
    from pyarrow import parquet

    schema, images, unread, faces = schema_of(columns(labels)), 0, 0, 0
    waiting: list[dict[str, Any]] = []
    for analysis in told:
        waiting += escape_rows(rows(analysis, labels))
        images, unread, faces = images + 1, unread + bool(analysis.error), faces + len(analysis.faces)
    done = PartitionResult(number, images, unread, faces)
    counts = {"images": images, "unread": unread, "faces": faces, "plan": plan.digest}
    table = pyarrow.Table.from_pylist(waiting, schema).replace_schema_metadata({NOTE: json.dumps(counts).encode()})
    with store.writing(name_of(number)) as file:
        parquet.write_table(table, file, row_group_size=ROW_GROUP)
    return done


def finished_partitions(store: Store) -> list[int]:
    """The numbers of the partitions that have a file."""
    names = (name[5:-8] for name in store.names() if name.startswith("part-") and name.endswith(".parquet"))
    return sorted(int(number) for number in names if number.isdecimal())


def read_counts(store: Store, number: int, plan: Plan) -> PartitionResult:
    """What a partition's file says of itself; `MienError` where it is none of mien's, or of another plan."""
    from pyarrow import ArrowException, parquet

    try:
        with store.fs.open_input_file(store.path(name_of(number))) as file:
            note = json.loads((parquet.ParquetFile(file).schema_arrow.metadata or {})[NOTE])
        made_by = note.pop("plan")
        done = PartitionResult(number, **note)
    except (OSError, ArrowException, KeyError, TypeError, ValueError):
        raise MienError(
            f"{store.address}/{name_of(number)} is damaged, or not what mien writes; delete it, and it is done anew"
        ) from None
    if made_by != plan.digest:
        raise _other_plan(store)
    return done
