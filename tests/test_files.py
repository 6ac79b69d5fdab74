"""Atomic file writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mien import files


def test_write_creates_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write(path, [b"one", memoryview(b"two")])
    assert path.read_bytes() == b"onetwo"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask  # as any other new file
    assert list(tmp_path.iterdir()) == [path]


def test_write_interrupted_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("precious")

    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(path, interrupted())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_write_on_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    """Simulate a full disk by the limit on the size of files, in a child process."""
    child = os.fork()
    if child == 0:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            files.write(tmp_path / "a.bin", [b"x" * 5000])
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert list(tmp_path.iterdir()) == []
