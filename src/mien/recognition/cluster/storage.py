"""Files on this machine or at an address such as s3://bucket/folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from mien.errors import MienError, MissingExtra

UNFINISHED = "_mien/unfinished"  # where a file lies until it is whole


def is_remote(address: str) -> bool:
    """Whether it is an address of the form `scheme://...` and no path of this machine."""
    return "://" in address


def filesystem_of(address: str) -> tuple[Any, str]:
    """The pyarrow file system that `address` lies in, and its path there.

    Raises:
        MissingExtra: pyarrow is not installed.
        MienError: no file system is known for it.
    """
    try:
        from pyarrow import ArrowException, fs
    except ImportError:
        raise MissingExtra("cluster", "reading and writing on a cluster") from None
    if not is_remote(address):
        return fs.LocalFileSystem(), os.path.abspath(address)
    try:
        found, path = fs.FileSystem.from_uri(address)
    except (ArrowException, ValueError):  # one that pyarrow does not know
        found, path = _by_fsspec(address)
    except OSError as error:  # one that it knows, and does not reach
        raise MienError(f"{address} cannot be reached: {error}") from None
    return found, path.rstrip("/")


def located(source: str, place: str) -> Callable[[str], tuple[Any, str]]:
    """What tells of a file that is called by its path below `source` its file system, and its path there.

    Names are not taken for addresses, in which a blank, % or # of a file's name would mean something else.

    Args:
        source: a path of this machine, or an address.
        place: the folder in which relative paths are meant.
    """
    if is_remote(source):
        system, root = filesystem_of(source)
        above = len(source.rstrip("/"))
        return lambda name: (system, root + name[above:])
    here, _ = filesystem_of(place)
    return lambda name: (here, os.path.join(place, name))


def _by_fsspec(address: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        import fsspec

        found, path = fsspec.core.url_to_fs(address)
    except (ImportError, OSError, ValueError) as error:
        raise MienError(f"{address} cannot be reached by pyarrow, nor by fsspec: {error}") from None
    return fs.PyFileSystem(fs.FSSpecHandler(found)), path


class Store:
    """A folder.

    Attributes:
        address: as it was named.
        fs, root: the pyarrow file system, and the folder's path there.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or address
        self.fs, self.root = filesystem_of(self.address)

    def read(self, name: str) -> bytes:
        """A file's content; `OSError` where it cannot be read."""
        with self.fs.open_input_stream(self.path(name)) as file:
            return bytes(file.read())

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place, whole or not at all; `OSError` where it cannot be written."""
        with self.writing(name) as file:
            file.write(content)

    def writing(self, name: str) -> AtomicUpload:
        """A file to be written bit by bit, in a `with`; it is in place once that ends well."""
        return AtomicUpload(self, name)

    def names(self, folder: str = "") -> list[str]:
        """The files in a folder, sorted, without those below it; none where there is no such folder."""
        from pyarrow import fs

        return [name for name, kind in self._listed(folder) if kind == fs.FileType.File]

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        from pyarrow import fs

        return bool(self.fs.get_file_info(self.path(name)).type == fs.FileType.File)

    def move(self, name: str, to: str) -> None:
        """Give a file another name, in the place of what has it now; `OSError` where that fails."""
        self.fs.create_dir(os.path.dirname(self.path(to)), recursive=True)
        self.fs.move(self.path(name), self.path(to))

    def delete(self, folder: str) -> None:
        """Delete a folder and all that is in it, if it is there."""
        from pyarrow import fs

        if self.fs.get_file_info(self.path(folder)).type == fs.FileType.Directory:
            self.fs.delete_dir(self.path(folder))

    def below(self, folder: str = "") -> Iterator[str]:
        """All files in it and below it: those in a folder by name, then those of each folder below; no hidden ones."""
        from pyarrow import fs

        shown = [(name, kind) for name, kind in self._listed(folder) if not name.startswith(".")]
        prefix = f"{folder}/" if folder else ""
        yield from (prefix + name for name, kind in shown if kind == fs.FileType.File)
        for name, kind in shown:
            if kind == fs.FileType.Directory:
                yield from self.below(prefix + name)

    def _listed(self, folder: str) -> list[tuple[str, Any]]:
        """Names and types of what is in a folder, sorted; `OSError` where it cannot be listed."""
        from pyarrow import fs

        try:
            found = self.fs.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
            return sorted(((one.base_name, one.type) for one in found), key=lambda one: str(one[0]))
        except UnicodeDecodeError:
            raise OSError(f"a file in {self.path(folder)} has a name that is not Unicode") from None

    def path(self, name: str) -> str:
        """Of a file or a folder within it, as the file system has it."""
        return f"{self.root}/{name}" if name else self.root


class AtomicUpload:
    """A file that takes the place of `name` in the store when its `with` ends well, and else leaves nothing."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._place = store.path(f"{UNFINISHED}/{uuid.uuid4().hex}")

    def __enter__(self) -> Any:
        """A file object of pyarrow's, to write bytes to."""
        target = self._store.path(self._name)
        for folder in (os.path.dirname(self._place), os.path.dirname(target)):
            self._store.fs.create_dir(folder, recursive=True)
        self._file = self._store.fs.open_output_stream(self._place)
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()  # may fail too, where the last of it is written only now
            if kind is None:
                self._store.fs.move(self._place, self._store.path(self._name))
                return
        except BaseException:
            self._delete()
            raise
        self._delete()

    def _delete(self) -> None:
        with suppress(OSError):  # what is told is why there was nothing to put in place
            self._store.fs.delete_file(self._place)
