"""Log of attempts at a partition, by which crashing images are found."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress

from mien.recognition.cluster.storage import Store

MAX_CRASHES = 2  # processes that ended at an image, read one by one, before it is skipped


class AttemptLog:
    """The processes that have started on a partition, and where each of them is; deleted when the partition is done.

    Args:
        store: Folder of the results.
        number: Number of the partition.
    """

    def __init__(self, store: Store, number: int) -> None:
        self._store, self._folder = store, f"_mien/attempts/{number:08d}"
        self._own = f"{self._folder}/{uuid.uuid4().hex}"
        self._earlier: list[bytes] = []

    def start(self) -> bool:
        """Record that this process starts; return whether another one started and did not finish."""
        for name in self._store.names(self._folder):
            try:
                self._earlier.append(self._store.read(f"{self._folder}/{name}"))
            except FileNotFoundError:  # a process that seemed to be dead has just finished
                continue
        self._store.write(self._own, b"")
        return bool(self._earlier)

    def record(self, index: int) -> None:
        """Record the index of the image that is read next, when images are read one by one."""
        self._store.write(self._own, str(index).encode())

    def crashing_indices(self) -> set[int]:
        """Return the indices of images at which `MAX_CRASHES` processes ended that read one by one."""
        counts = Counter(int(content) for content in self._earlier if content)
        return {index for index, count in counts.items() if count >= MAX_CRASHES}

    def withdraw(self) -> None:
        """Delete the entry of this process, which ends for a reason other than an image."""
        with suppress(OSError):
            if self._store.has(self._own):
                self._store.fs.delete_file(self._store.path(self._own))

    def finish(self) -> None:
        """Delete all entries."""
        self._store.delete(self._folder)
