"""The plan: a source divided into partitions.

A partition has a number, and its results are one file of that number. So no image can be analyzed into two files, and
the partitions without a file are those that remain. Millions of images are never in memory at once: the list of
partitions is written and read line by line.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.imaging.suffixes import SUFFIXES
from mien.recognition.cluster.parquet_input import PARQUET_SUFFIXES, parquet_partitions
from mien.recognition.cluster.storage import UNFINISHED, Store, filesystem_of, is_remote, path_resolver
from mien.recognition.inputs import STDIN, Source, iter_sources, pattern_matches

FORMAT = "mien plan 4"  # 4: rows have a column `notes`
HEAD = "_mien/plan.json"

# Content of a partition, as JSON types: `number`, and either `names` or row groups of a Parquet file.
Partition = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The data that all partitions share.

    Attributes:
        source: Folder, pattern, Parquet file or address that was given.
        working_directory: Folder that relative names refer to.
        images, partitions: Number of images and of partitions.
        size: Images per partition. Row groups of Parquet files are joined up to this size and never split.
        recognizer: `RecognizerSnapshot.identity` of the recognizer.
        partitions_file: File with the partitions, named by its content, so that two commands that plan at the same
            time cannot mix their lists.
    """

    source: str
    working_directory: str
    images: int
    partitions: int
    size: int
    recognizer: Mapping[str, Any]
    partitions_file: str

    @property
    def digest(self) -> str:
        """SHA-256 of the plan; equal plans have equal digests."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def partition_source(
    source: str, store: Store, *, size: int, on_skip: Callable[[str], None] | None = None
) -> Iterator[Partition]:
    """Yield the partitions of `source`; only one is in memory, and nothing is written yet.

    Args:
        source: Folder, pattern, Parquet file or address.
        store: Folder of the results, whose files are not read as images.
        size: Images per partition.
        on_skip: Function that is called with the name of each file that is skipped because of its name.

    Raises:
        MienError: The source does not exist, has no images, or cannot be listed; a Parquet file cannot be read.
    """
    exists = source == STDIN or is_remote(source) or os.path.lexists(source)
    if not exists and not (glob.has_magic(source) and _has_matches(source)):
        raise MienError(f"no such file or folder on this machine: {source}")
    partitions = _partitions(source, size, store, on_skip)
    first = next(partitions, None)
    if first is None:
        raise MienError(f"no images in {source}: no file name ends with {', '.join(SUFFIXES)} or .parquet")
    return chain([first], partitions)


def make_plan(
    store: Store, source: str, partitions: Iterable[Partition], *, size: int, recognizer: Mapping[str, Any]
) -> Plan:
    """Write the plan and its partitions to `store`.

    Args:
        store: Folder of the results.
        source: Source as given.
        partitions: Partitions of the source.
        size: Images per partition.
        recognizer: Identity of the recognizer.

    Raises:
        MienError: A later partition of the source cannot be read, as in `partition_source`.
        OSError: The store cannot be written.
    """
    images = count = 0
    content, draft = hashlib.sha256(), f"{UNFINISHED}/{uuid.uuid4().hex}"
    with store.writing(draft) as file:
        for partition in partitions:
            line = (json.dumps({"number": count, **partition}) + "\n").encode()
            file.write(line)
            content.update(line)
            images, count = images + image_count(partition), count + 1
    partitions_file = f"_mien/partitions-{content.hexdigest()[:16]}.jsonl"
    store.move(draft, partitions_file)
    plan = Plan(source, os.getcwd(), images, count, size, recognizer, partitions_file)
    store.write(HEAD, json.dumps({"format": FORMAT, **asdict(plan)}, indent=1).encode())
    return plan


def load_plan(store: Store) -> Plan | None:
    """Return the plan in `store`, or None if none was finished.

    Raises:
        MienError: The plan is damaged, or was written by another version of mien.
        OSError: The store cannot be read.
    """
    try:
        head = json.loads(store.read(HEAD))
        if head.pop("format") == FORMAT:
            return Plan(**head)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise MienError(f"{store.address}/{HEAD} is damaged or from another version of mien; use another --out")


def check_same_plan(plan: Plan, store: Store, source: str, *, size: int, recognizer: Mapping[str, Any]) -> None:
    """Raise a `MienError` if the results in `store` are of another source or were made with other options."""
    if plan.source != source:
        raise MienError(f"cannot resume: {store.address} has the results of {plan.source}; use another --out")
    if not is_remote(source) and os.path.join(plan.working_directory, source) != os.path.join(os.getcwd(), source):
        raise MienError(
            f"cannot resume: {store.address} has the results of {source} in {plan.working_directory}; "
            "run the command in that folder"
        )
    differences = [
        name if name in ("model", "card") else f"{name}={plan.recognizer.get(name)}"
        for name in recognizer
        if recognizer[name] != plan.recognizer.get(name)
    ]
    if plan.size != size:
        differences.append(f"partition={plan.size}")
    if differences:
        raise MienError(
            f"cannot resume: {store.address} was written with other options ({', '.join(differences)}); "
            "use the same options or another --out"
        )


def remaining_partitions(store: Store, plan: Plan, done: Iterable[int]) -> Iterator[Partition]:
    """Yield the partitions without results, in their order; only one is in memory.

    Raises:
        MienError: The file that lists them cannot be read, or is truncated.
    """
    finished, count = set(done), 0
    try:
        with store.fs.open_input_stream(store.path(plan.partitions_file)) as file:
            rest = b""
            while block := file.read(1 << 20):
                *lines, rest = (rest + block).split(b"\n")
                for partition in map(json.loads, lines):
                    count += 1
                    if partition["number"] not in finished:
                        yield partition
    except (OSError, ValueError) as error:
        raise MienError(f"{store.address}/{plan.partitions_file} cannot be read: {error}; use another --out") from None
    if count != plan.partitions:
        raise MienError(f"{store.address}/{plan.partitions_file} is truncated; use another --out")


def image_count(partition: Partition) -> int:
    """Return the number of images in a partition."""
    return len(partition["names"]) if "names" in partition else int(partition["rows"])


def _partitions(source: str, size: int, store: Store, on_skip: Callable[[str], None] | None) -> Iterator[Partition]:
    if source == STDIN:
        raise MienError("standard input cannot be read on a cluster; use a folder, a pattern or a Parquet file")
    resolve = path_resolver(source, os.getcwd())
    if source.lower().endswith(PARQUET_SUFFIXES):
        yield from parquet_partitions(_parquet_files(source), size, resolve)
        return
    images = _images(source, store, on_skip)
    first = next(images, None)
    if first is None:
        yield from parquet_partitions(_parquet_files(source), size, resolve)
        return
    images = chain([first], images)
    while group := list(islice(images, size)):
        yield {"names": [[image.name, image.error] if image.error else image.name for image in group]}


def _has_matches(pattern: str) -> bool:
    """Return whether a pattern matches anything; patterns of Parquet files are left to their reader."""
    return pattern.lower().endswith(PARQUET_SUFFIXES) or pattern_matches(pattern)


def _images(source: str, store: Store, on_skip: Callable[[str], None] | None) -> Iterator[Source]:
    """Yield the images of a folder, in the order of `find_sources`."""
    if not is_remote(source):
        exclude = None if is_remote(store.address) else Path(store.root)
        yield from iter_sources(source, exclude=exclude, on_skip=on_skip)
        return
    folder = Store(source)
    for name in _files_below(folder):
        if name.lower().endswith(SUFFIXES):
            yield Source(f"{folder.address}/{name}", Path(name))
        elif on_skip is not None:
            on_skip(name)


def _parquet_files(source: str) -> Iterator[str]:
    """Yield the Parquet files of a source, by name."""
    if is_remote(source):
        if source.lower().endswith(PARQUET_SUFFIXES) and _is_file(source):
            yield source
            return
        folder = Store(source)
        yield from (f"{folder.address}/{name}" for name in _files_below(folder) if _is_parquet(name))
    elif os.path.isdir(source):
        yield from (os.path.join(source, name) for name in _files_below(Store(source)) if _is_parquet(name))
    elif glob.has_magic(source):
        yield from sorted(filter(_is_parquet, glob.glob(source)))
    else:
        yield source


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET_SUFFIXES)


def _files_below(folder: Store) -> Iterator[str]:
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
