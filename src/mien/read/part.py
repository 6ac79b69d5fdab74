"""One partition of a plan, read by one process into one Parquet file that is there whole or not at all.

A process that dies over it leaves a note, and whoever takes the partition up next reads its pictures one by one in a
process apart. So a picture that ends processes costs its own row, and a machine that goes away nothing.
"""

from __future__ import annotations

import faulthandler
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.errors import MienError, PictureError
from mien.images import encoded
from mien.read.apart import Apart
from mien.read.bulk import READERS, analyze_sources
from mien.read.packed import Packed
from mien.read.plan import Share
from mien.read.recognizer import Recognizer
from mien.read.results import Analysis
from mien.read.rowgroups import rows_of_text, schema_of
from mien.read.sources import Source
from mien.read.store import Store, filesystem_of, is_remote
from mien.read.tables import pictures_in
from mien.read.writers import ROW_GROUP, columns, rows

NOTE = b"mien"  # in a file of results, how many pictures it has
STUCK = 900.0  # seconds without a result, after which a process ends itself and the pictures are read one by one
TWICE = 2  # processes that ended at one picture while nothing else was read, before it is not tried again


@dataclass(frozen=True)
class Done:
    """A partition that has its file: how many pictures it holds, how many of these could not be read, and faces."""

    number: int
    pictures: int
    unread: int
    faces: int


class PartReader:
    """Reads partitions, one after another.

    Attributes:
        store: where the results go.
    """

    def __init__(self, packed: Packed, store: Store, source: str, place: str, *, threads: int = 1) -> None:
        """
        Args:
            source, place: those of the plan.
            threads: of one forward.
        """
        self._packed, self.store, self._threads = packed, store, threads
        self._recognizer: Recognizer = packed.open(threads=threads)
        self._place, self._source = place, source.rstrip("/")
        self._fs: Any = None
        self._root = ""
        if is_remote(source):
            self._fs, self._root = filesystem_of(source)

    def read(self, share: Share) -> Done:
        """Read a partition and put its file in place.

        Raises:
            MienError: the results cannot be written.
        """
        from pyarrow import ArrowException

        journal = Journal(self.store, share["number"])
        try:
            earlier = journal.begin()
            told = self._one_by_one(share, journal) if earlier else self._together(share, journal)
            done = write_part(self.store, share["number"], told, self._packed.labels)
            journal.end()
        except (OSError, ArrowException) as why:
            raise MienError(f"partition {share['number']} of {self.store.address} cannot be done: {why}") from None
        return done

    def _together(self, share: Share, journal: Journal) -> Iterable[Analysis]:
        """All of it, faces batched; of what no picture ought to bring about, one by one."""
        remote = self._fs is not None
        told: list[Analysis] = []
        faulthandler.dump_traceback_later(STUCK, exit=True)
        try:
            for _, analysis in analyze_sources(
                self._recognizer, self._sources(share), readers=READERS * remote or None
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

    def _one_by_one(self, share: Share, journal: Journal) -> Iterator[Analysis]:
        apart = Apart(self._packed, threads=self._threads)
        limit, deadly = self._recognizer.max_bytes, journal.deadly()
        unread = Analysis("", 0, 0, (), self._recognizer.told_by, self._recognizer.detector.name)
        try:
            for index, source in enumerate(self._sources(share)):
                try:
                    if index in deadly:
                        raise PictureError(f"{source.name}: the processes that read it were ended, each time")
                    if source.error:
                        raise PictureError(source.error)
                    data = source.fetch(limit) if source.fetch else encoded(source.data or b"", source.name, limit)
                    journal.at(index)
                    yield apart.analyze(source.name, data)
                except PictureError as why:
                    yield replace(unread, source=source.name, error=str(why))
        finally:
            apart.close()

    def _sources(self, share: Share) -> Iterator[Source]:
        if "file" in share:
            file = share["file"]
            yield from pictures_in(share, file if is_remote(file) else os.path.join(self._place, file))
            return
        for told in share["names"]:
            name, error = (told, "") if isinstance(told, str) else told
            yield Source(name, Path(os.path.basename(name) or name), error=error, fetch=self._fetching(name))

    def _fetching(self, name: str) -> Any:
        if self._fs is None:
            return lambda most: encoded(os.path.join(self._place, name), name, most)
        return lambda most: self._fetched(name, most)

    def _fetched(self, name: str, most: int) -> bytes:
        """The bytes of a picture behind an address."""
        try:
            with self._fs.open_input_stream(self._root + name[len(self._source) :]) as file:
                data = bytes(file.read(most + 1))
        except FileNotFoundError:
            raise PictureError(f"{name}: there is no such file") from None
        except OSError as why:
            raise PictureError(f"{name}: cannot be read: {why}") from None
        return encoded(data, name, most)


class Journal:
    """Who began with a partition, and where they were; it is gone once the partition is done."""

    def __init__(self, store: Store, number: int) -> None:
        self._store, self._folder = store, f"_mien/begun/{number:08d}"
        self._own = f"{self._folder}/{uuid.uuid4().hex}"
        self._notes: list[bytes] = []

    def begin(self) -> bool:
        """Note that it is begun; whether someone began before and did not end."""
        for name in self._store.names(self._folder):
            try:
                self._notes.append(self._store.read(f"{self._folder}/{name}"))
            except FileNotFoundError:  # someone else who was thought to be dead has just ended
                continue
        self._store.write(self._own, b"")
        return bool(self._notes)

    def at(self, index: int) -> None:
        """Note which picture is about to be read, while they are read one by one."""
        self._store.write(self._own, str(index).encode())

    def deadly(self) -> set[int]:
        """The pictures at which all who read one by one were ended."""
        counts = Counter(int(note) for note in self._notes if note)
        return {index for index, count in counts.items() if count >= TWICE}

    def end(self) -> None:
        """Leave nothing."""
        self._store.delete(self._folder)


def name_of(number: int) -> str:
    """The file of a partition's results."""
    return f"part-{number:08d}.parquet"


def write_part(store: Store, number: int, told: Iterable[Analysis], labels: tuple[str, ...]) -> Done:
    """Put a partition's file in place; its rows are those of `writers.ParquetWriter`."""
    import pyarrow
    from pyarrow import parquet

    schema, pictures, unread, faces = schema_of(columns(labels)), 0, 0, 0
    waiting: list[dict[str, Any]] = []
    for analysis in told:
        waiting += rows_of_text(rows(analysis, labels))
        pictures, unread, faces = pictures + 1, unread + bool(analysis.error), faces + len(analysis.faces)
    done = Done(number, pictures, unread, faces)
    counts = {"pictures": pictures, "unread": unread, "faces": faces}
    table = pyarrow.Table.from_pylist(waiting, schema).replace_schema_metadata({NOTE: json.dumps(counts).encode()})
    with store.writing(name_of(number)) as file:
        parquet.write_table(table, file, row_group_size=ROW_GROUP)
    return done


def parts_in(store: Store) -> list[int]:
    """The numbers of the partitions that have a file."""
    names = (name[5:-8] for name in store.names() if name.startswith("part-") and name.endswith(".parquet"))
    return sorted(int(number) for number in names if number.isdecimal())


def read_counts(store: Store, number: int) -> Done:
    """What a partition's file says of itself; `MienError` where it is none of mien's."""
    from pyarrow import ArrowException, parquet

    try:
        with store.fs.open_input_file(store.path(name_of(number))) as file:
            note = (parquet.ParquetFile(file).schema_arrow.metadata or {})[NOTE]
            return Done(number, **json.loads(note))
    except (OSError, ArrowException, KeyError, TypeError, ValueError):
        raise MienError(
            f"{store.address}/{name_of(number)} is damaged, or not what mien writes; delete it, and it is done anew"
        ) from None
