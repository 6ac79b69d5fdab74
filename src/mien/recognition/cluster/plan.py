"""The plan: a source divided into partitions.

A partition has a number, and its results are one file of that number; so no image can be read into two of them, and
what is left to do is what has no file yet. Of millions of images none is held: the plan is written and read by lines.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.recognition.cluster.parquet_input import TABLES, parquet_partitions
from mien.recognition.cluster.storage import UNFINISHED, Store, filesystem_of, is_remote, located
from mien.recognition.inputs import STDIN, SUFFIXES, Source, iter_sources, pattern_matches

FORMAT = "mien plan 2"
HEAD = "_mien/plan.json"

Partition = dict[
    str, Any
]  # what one partition holds, as JSON types: `number` and `names`, or `number` and rows of a table


@dataclass(frozen=True)
class Plan:
    """What all partitions have in common.

    Attributes:
        source: the folder, pattern, table or address that was named.
        place: the folder in which relative names are meant.
        images, partitions: how many there are.
        size: images to a partition; of tables row groups are joined up to it, and never cut.
        reading: what reads them, `RecognizerSnapshot.identity`.
        lines: the file with the partitions; called by its content, so that two who plan at once cannot mix theirs.
    """

    source: str
    place: str
    images: int
    partitions: int
    size: int
    reading: Mapping[str, Any]
    lines: str

    @property
    def digest(self) -> str:
        """The same for equal plans alone."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def cut(source: str, store: Store, *, size: int) -> Iterator[Partition]:
    """The partitions of `source`, whose results will lie in `store`, where nothing is written yet; one is held.

    Raises:
        MienError: it is not there, or not seen by this machine; there is no image in it, it cannot be listed, or a
            table in it cannot be read.
    """
    there = source == STDIN or is_remote(source) or os.path.lexists(source)
    if not there and not (glob.has_magic(source) and _matches(source)):
        raise MienError(f"this machine sees nothing that is called {source}")
    shares = _shares(source, size, store)
    first = next(shares, None)
    if first is None:
        raise MienError(f"no images in {source}: none ends with {', '.join(SUFFIXES)}, and no table with .parquet")
    return chain([first], shares)


def make_plan(store: Store, source: str, shares: Iterable[Partition], *, size: int, reading: Mapping[str, Any]) -> Plan:
    """Write down in `store` how `source` has been cut into `shares` of `size` images.

    Raises:
        MienError: as of `cut`, of later partitions.
        OSError: the store cannot be written.
    """
    images = partitions = 0
    content, draft = hashlib.sha256(), f"{UNFINISHED}/{uuid.uuid4().hex}"
    with store.writing(draft) as file:
        for share in shares:
            line = (json.dumps({"number": partitions, **share}) + "\n").encode()
            file.write(line)
            content.update(line)
            images, partitions = images + image_count(share), partitions + 1
    lines = f"_mien/pictures-{content.hexdigest()[:16]}.jsonl"
    store.move(draft, lines)
    plan = Plan(source, os.getcwd(), images, partitions, size, reading, lines)
    store.write(HEAD, json.dumps({"format": FORMAT, **asdict(plan)}, indent=1).encode())
    return plan


def load_plan(store: Store) -> Plan | None:
    """The plan that was made there, if it was made to its end.

    Raises:
        MienError: it is none of this mien's.
        OSError: the store cannot be read.
    """
    try:
        told = json.loads(store.read(HEAD))
        if told.pop("format") == FORMAT:
            return Plan(**told)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise MienError(f"{store.address}/{HEAD} is damaged, or of another mien; name another folder")


def check_same(plan: Plan, store: Store, source: str, *, size: int, reading: Mapping[str, Any]) -> None:
    """`MienError` where the folder holds results of something else, or was read otherwise."""
    if plan.source != source:
        raise MienError(f"{store.address} holds the results of {plan.source}; name another folder")
    if not is_remote(source) and os.path.join(plan.place, source) != os.path.join(os.getcwd(), source):
        raise MienError(f"{store.address} holds the results of {source} in {plan.place}; go on from there")
    if plan.size != size:
        raise MienError(f"{store.address} was begun with {plan.size} images to a partition; give the options of then")
    differ = [name for name in reading if reading[name] != plan.reading.get(name)]
    if differ:
        name = differ[0]
        now = (
            "another one now" if name in ("model", "card") else f"{reading[name]} now, and was {plan.reading.get(name)}"
        )
        raise MienError(
            f"cannot go on in {store.address}: {name} is {now}; give the options of then, or name another folder"
        )


def remaining_partitions(store: Store, plan: Plan, done: Iterable[int]) -> Iterator[Partition]:
    """The partitions without results, in their order; one at a time is held.

    Raises:
        MienError: the file that lists them cannot be read, or not to its end.
    """
    there, count = set(done), 0
    try:
        with store.fs.open_input_stream(store.path(plan.lines)) as file:
            left = b""
            while block := file.read(1 << 20):
                *lines, left = (left + block).split(b"\n")
                for share in map(json.loads, lines):
                    count += 1
                    if share["number"] not in there:
                        yield share
    except (OSError, ValueError) as error:
        raise MienError(f"{store.address}/{plan.lines} cannot be read: {error}; name another folder") from None
    if count != plan.partitions:
        raise MienError(f"{store.address}/{plan.lines} is cut off; name another folder")


def image_count(share: Partition) -> int:
    """The images in a partition."""
    return len(share["names"]) if "names" in share else int(share["rows"])


def _shares(source: str, size: int, store: Store) -> Iterator[Partition]:
    if source == STDIN:
        raise MienError("standard input cannot be read on a cluster; name a folder, a pattern or a table")
    where = located(source, os.getcwd())
    if source.lower().endswith(TABLES):
        yield from parquet_partitions(_tables(source), size, where)
        return
    images = _images(source, store)
    first = next(images, None)
    if first is None:
        yield from parquet_partitions(_tables(source), size, where)
        return
    rest = chain([first], images)
    while some := list(islice(rest, size)):
        yield {"names": [[one.name, one.error] if one.error else one.name for one in some]}


def _matches(pattern: str) -> bool:
    """Whether there is anything that a pattern is of; one of tables is left to their reader."""
    return pattern.lower().endswith(TABLES) or pattern_matches(pattern)


def _images(source: str, store: Store) -> Iterator[Source]:
    """The images of a folder, in the order of `find_sources`."""
    if not is_remote(source):
        yield from iter_sources(source, exclude=None if is_remote(store.address) else Path(store.root))
        return
    folder = Store(source)
    for name in _below(folder):
        if name.lower().endswith(SUFFIXES):
            yield Source(f"{folder.address}/{name}", Path(name))


def _tables(source: str) -> Iterator[str]:
    """The parquet files that are meant, by name."""
    if is_remote(source):
        if source.lower().endswith(TABLES) and _is_file(source):
            yield source
            return
        folder = Store(source)
        yield from (f"{folder.address}/{name}" for name in _below(folder) if name.lower().endswith(TABLES))
    elif os.path.isdir(source):
        yield from (os.path.join(source, name) for name in _below(Store(source)) if name.lower().endswith(TABLES))
    else:
        yield from _matching(source) if glob.has_magic(source) else [source]


def _matching(pattern: str) -> list[str]:
    return sorted(name for name in glob.glob(pattern) if name.lower().endswith(TABLES))


def _below(folder: Store) -> Iterator[str]:
    try:
        yield from folder.below()
    except OSError as error:
        raise MienError(f"{folder.address} cannot be listed: {error}") from None


def _is_file(address: str) -> bool:
    from pyarrow import fs

    system, path = filesystem_of(address)
    try:
        return bool(system.get_file_info(path).type == fs.FileType.File)
    except OSError as error:
        raise MienError(f"{address} cannot be reached: {error}") from None
