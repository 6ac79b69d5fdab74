"""Files on this machine or at an address such as s3://bucket/folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from mien.errors import MienError, MissingExtra

UNFINISHED = "_mien/unfinished"  # folder of files that are not complete yet


def is_remote(address: str) -> bool:
    """Return whether it is an address of the form `scheme://...` rather than a path.

    Example:
        >>> is_remote("s3://bucket/photos"), is_remote("photos")
        (True, False)
    """
    return "://" in address


def filesystem_of(address: str) -> tuple[Any, str]:
    """Return the pyarrow file system of `address`, and its path there.

    Raises:
        MissingExtra: pyarrow is not installed.
        MienError: Neither pyarrow nor fsspec knows the file system, or it cannot be reached.
    """
    try:
        from pyarrow import ArrowException, fs
    except ImportError:
        raise MissingExtra("cluster", "reading and writing on a cluster") from None
    if not is_remote(address):
        return fs.LocalFileSystem(), os.path.abspath(address)
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (ArrowException, ValueError):  # unknown to pyarrow
        system, path = _from_fsspec(address)
    except OSError as error:
        raise MienError(f"{address} cannot be reached: {error}") from None
    return system, path.rstrip("/")


def path_resolver(source: str, working_directory: str) -> Callable[[str], tuple[Any, str]]:
    """Return a function that returns the file system and the path of a file name below `source`.

    File names are not parsed as addresses, in which a space, % or # would have another meaning.

    Args:
        source: Path on this machine, or an address.
        working_directory: Folder that relative paths refer to.
    """
    if is_remote(source):
        system, root = filesystem_of(source)
        length = len(source.rstrip("/"))
        return lambda name: (system, root + name[length:])
    local, _ = filesystem_of(working_directory)
    return lambda name: (local, os.path.join(working_directory, name))


def _from_fsspec(address: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, OSError, ValueError) as error:
        raise MienError(f"{address} cannot be reached by pyarrow or fsspec: {error}") from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


class Store:
    """A folder on this machine or at an address.

    Args:
        address: Path or address of the folder.

    Attributes:
        address: Path or address as given.
        fs, root: The pyarrow file system, and the path of the folder there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(folder)
        ...     store.write("a/b.txt", b"text")
        ...     store.names("a"), store.read("a/b.txt")
        (['b.txt'], b'text')
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or address
        self.fs, self.root = filesystem_of(self.address)

    def read(self, name: str) -> bytes:
        """Return the content of a file; `OSError` if it cannot be read."""
        with self.fs.open_input_stream(self.path(name)) as file:
            return bytes(file.read())

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically; `OSError` if it cannot be written."""
        with self.writing(name) as file:
            file.write(content)

    def writing(self, name: str) -> AtomicUpload:
        """Return a context manager that opens a file for writing; the file appears when the context ends well."""
        return AtomicUpload(self, name)

    def names(self, folder: str = "") -> list[str]:
        """Return the names of the files in a folder, sorted, without subfolders; none if it does not exist."""
        from pyarrow import fs

        return [name for name, kind in self._list(folder) if kind == fs.FileType.File]

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        from pyarrow import fs

        return bool(self.fs.get_file_info(self.path(name)).type == fs.FileType.File)

    def move(self, name: str, to: str) -> None:
        """Rename a file, replacing another one; `OSError` if that fails."""
        self.fs.create_dir(os.path.dirname(self.path(to)), recursive=True)
        self.fs.move(self.path(name), self.path(to))

    def delete(self, folder: str) -> None:
        """Delete a folder and its content, if it exists."""
        from pyarrow import fs

        if self.fs.get_file_info(self.path(folder)).type == fs.FileType.Directory:
            self.fs.delete_dir(self.path(folder))

    def below(self, folder: str = "") -> Iterator[str]:
        """Yield all files below a folder except hidden ones: its own by name, then those of each subfolder."""
        from pyarrow import fs

        visible = [(name, kind) for name, kind in self._list(folder) if not name.startswith(".")]
        prefix = f"{folder}/" if folder else ""
        yield from (prefix + name for name, kind in visible if kind == fs.FileType.File)
        for name, kind in visible:
            if kind == fs.FileType.Directory:
                yield from self.below(prefix + name)

    def _list(self, folder: str) -> list[tuple[str, Any]]:
        """Return names and types in a folder, sorted; `OSError` if it cannot be listed."""
        from pyarrow import fs

        try:
            infos = self.fs.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
            return sorted(((info.base_name, info.type) for info in infos), key=lambda entry: str(entry[0]))
        except UnicodeDecodeError:
            raise OSError(f"a file name in {self.path(folder)} is not Unicode") from None

    def path(self, name: str) -> str:
        """Return the path of a file or subfolder in the file system."""
        return f"{self.root}/{name}" if name else self.root


class AtomicUpload:
    """A file that replaces `name` in a store when its context ends without an exception; otherwise it is deleted."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._temporary = store.path(f"{UNFINISHED}/{uuid.uuid4().hex}")

    def __enter__(self) -> Any:
        """Return a pyarrow file object for writing bytes."""
        target = self._store.path(self._name)
        for folder in (os.path.dirname(self._temporary), os.path.dirname(target)):
            self._store.fs.create_dir(folder, recursive=True)
        self._file = self._store.fs.open_output_stream(self._temporary)
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()  # can fail too, since object stores upload the last part now
            if kind is None:
                self._store.fs.move(self._temporary, self._store.path(self._name))
                return
        except BaseException:
            self._delete()
            raise
        self._delete()

    def _delete(self) -> None:
        with suppress(OSError):  # the first error is the one to report
            self._store.fs.delete_file(self._temporary)
