"""Log of attempts at a partition, by which crashing images are found."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress

from mien.recognition.cluster.storage import Store

MAX_CRASHES = 2  # processes that ended at one image while nothing else was read, before it is not tried again


class AttemptLog:
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
        """Note which image is about to be read, while they are read one by one."""
        self._store.write(self._own, str(index).encode())

    def crashing_indices(self) -> set[int]:
        """The images at which all who read one by one were ended."""
        counts = Counter(int(note) for note in self._notes if note)
        return {index for index, count in counts.items() if count >= MAX_CRASHES}

    def withdraw(self) -> None:
        """Take our own note back: we go away by no image's doing."""
        with suppress(OSError):
            if self._store.has(self._own):
                self._store.fs.delete_file(self._store.path(self._own))

    def end(self) -> None:
        """Leave nothing."""
        self._store.delete(self._folder)
