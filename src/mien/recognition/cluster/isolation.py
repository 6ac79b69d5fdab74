"""Images read in a separate process, one at a time, so that an image that crashes it costs only its own row.

`python -m mien.recognition.cluster.isolation` is that process. It reads pickled requests from stdin and writes pickled
responses to stdout.
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

TIMEOUT = 300.0  # seconds per image


class IsolatedReader:
    """A process that analyzes images; it is started for the first image, and again after an image has ended it.

    Args:
        snapshot: Recognizer of the process.
        threads: Threads of the model and of the detector.
        timeout: Seconds per image, after which the process is killed.
    """

    def __init__(self, snapshot: RecognizerSnapshot, *, threads: int | None = None, timeout: float = TIMEOUT) -> None:
        self._snapshot, self._threads, self._timeout = snapshot, threads, timeout
        self._process: subprocess.Popen[bytes] | None = None

    def analyze(self, name: str, data: bytes) -> Analysis:
        """Return the faces in an image.

        Args:
            name: Name of the image.
            data: Content of the image file.

        Raises:
            ImageError: The image ended the process, took too long, or raised an exception.
            MienError: The process cannot be started, which is not the image's fault.
        """
        self.start()
        try:
            response = self._request((name, data))
        except (OSError, EOFError, pickle.UnpicklingError):
            raise ImageError(
                f"{name}: the process that read it {self._end()}; the file may be damaged or malicious"
            ) from None
        if isinstance(response, Analysis):
            return response
        raise ImageError(f"{name}: cannot be read: {response}")

    def start(self) -> None:
        """Start the process and wait until it is ready, so that a later crash is due to an image.

        Raises:
            MienError: The process cannot be started.
        """
        if self._process is not None:
            return
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "mien.recognition.cluster.isolation"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
            self._request((self._snapshot, self._threads))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error) if self._process is None else f"it {self._end()}"
            raise MienError(f"cannot start a separate process to read images: {reason}") from None

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _request(self, request: object) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], self._timeout)[0]:
            self._process.kill()
        return pickle.load(self._process.stdout)

    def _end(self) -> str:
        """Forget the process, so that the next image gets a new one; return how it ended."""
        process, self._process = self._process, None
        assert process is not None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        code = process.wait()
        return f"was killed by signal {-code} ({_signal_name(-code)})" if code < 0 else f"ended with status {code}"


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


def main() -> None:
    """Answer requests until stdin is closed."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that libraries print must not be mixed with responses
    snapshot, threads = pickle.load(sys.stdin.buffer)
    recognizer = snapshot.open(threads=threads)
    pickle.dump("ready", responses)
    responses.flush()
    while True:
        try:
            name, data = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            source = Source(name, Path(name), data=data)
            response: object = next(analysis for _, analysis in analyze_sources(recognizer, [source]))
        except Exception as error:
            response = f"{type(error).__name__}: {error}"
        pickle.dump(response, responses)
        responses.flush()


if __name__ == "__main__":
    main()
