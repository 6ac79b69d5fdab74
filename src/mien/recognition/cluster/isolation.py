"""Images read in a process of their own, one at a time, so that an image that crashes it costs its own row alone.

`python -m mien.recognition.cluster.isolation` is that process: it reads pickled requests from stdin and writes pickled
answers to stdout.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.errors import ImageError, MienError
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.inputs import Source
from mien.recognition.parallel import analyze_sources
from mien.recognition.results import Analysis

PATIENCE = 300.0  # seconds that an image may take


class IsolatedReader:
    """A process that reads images, started when there is one to read, and again after one has ended it."""

    def __init__(self, packed: RecognizerSnapshot, *, threads: int | None = None, patience: float = PATIENCE) -> None:
        self._packed, self._threads, self._patience = packed, threads, patience
        self._process: subprocess.Popen[bytes] | None = None

    def analyze(self, name: str, data: bytes) -> Analysis:
        """What is in the image of these bytes.

        Raises:
            ImageError: its reading ended the process, or took too long, or failed.
            MienError: there can be no such process, for which the image is not to blame.
        """
        self.start()
        try:
            told = self._asked((name, data))
        except (OSError, EOFError, pickle.UnpicklingError):
            raise ImageError(f"{name}: the process that read it {self._end()}; it may be made to do harm") from None
        if isinstance(told, Analysis):
            return told
        raise ImageError(f"{name}: cannot be read: {told}")

    def start(self) -> None:
        """Have a process that is ready, so that what happens next is an image's doing; `MienError` if none starts."""
        if self._process is not None:
            return
        ways = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "mien.recognition.cluster.isolation"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ways
            )
            self._asked((self._packed, self._threads))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            how = str(error) if self._process is None else f"it {self._end()}"
            raise MienError(f"no process can be started to read images apart: {how}") from None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _asked(self, question: object) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], self._patience)[0]:
            self._process.kill()
        return pickle.load(self._process.stdout)

    def _end(self) -> str:
        """How it ended, in words; the next image gets a new one."""
        process, self._process = self._process, None
        assert process is not None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        code = process.wait()
        return f"was ended by signal {-code} ({_called(-code)})" if code < 0 else f"ended with status {code}"


def _called(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


def main() -> None:
    """Answer until the other side goes away."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints among the libraries is no answer
    packed, threads = pickle.load(sys.stdin.buffer)
    recognizer = packed.open(threads=threads)
    pickle.dump("ready", answers)
    answers.flush()
    while True:
        try:
            name, data = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            source = Source(name, Path(name), data=data)
            told: object = next(analysis for _, analysis in analyze_sources(recognizer, [source]))
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        pickle.dump(told, answers)
        answers.flush()


if __name__ == "__main__":
    main()
