"""Two thousand hostile requests: each gets an error, and the service works as before."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hostile
import images
from command import MIEN
from mien.recognition import sample
from waiting import LONGEST

N = 2000
SECONDS = 2.0  # of processor time for each request
GROWTH = 60_000_000  # bytes of memory afterwards; a decompression bomb takes gigabytes


class ServiceProcess:
    """A service with a token in a separate process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def line(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST)

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor_seconds(self) -> float:
        """Return the processor time that the process has used, in all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def target() -> Iterator[ServiceProcess]:
    command = [*MIEN, "serve", "--port", "0", "--model", "nano", "--timeout", "5"]
    environment = {**os.environ, "MIEN_TOKEN": hostile.TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            greeting = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+) ", greeting)
            assert found, greeting
            log = Drain(process.stderr)
            yield ServiceProcess(process, int(found[1]))
            process.terminate()
            assert process.wait(LONGEST) == 0
            log.join()
            assert "Traceback" not in log.text
        finally:
            process.kill()


class Drain:
    """Reads the output of a process, so that the pipe is never full."""

    def __init__(self, pipe: object) -> None:
        self.text = ""
        self._thread = threading.Thread(target=self._read, args=(pipe,))
        self._thread.start()

    def _read(self, pipe: Iterator[str]) -> None:
        for line in pipe:
            self.text += line if len(self.text) < 10_000_000 else ""

    def join(self) -> None:
        self._thread.join()


def ask_and_measure(
    target: ServiceProcess, line: http.client.HTTPConnection, one: hostile.Request
) -> tuple[int, bytes]:
    """Return the response, and check the processor time, which a busy machine does not change."""
    before = target.processor_seconds()
    response = hostile.send(line, one)
    took = target.processor_seconds() - before
    assert took <= SECONDS, (one.kind, one.path, one.body[:40], took)
    return response


def is_working(target: ServiceProcess) -> bool:
    with closing(target.line()) as line:
        status, body = hostile.send(line, hostile.Request("photo", body=sample().read_bytes()))
    return status == 200 and len(json.loads(body)["results"][0]["faces"]) == 1


def test_hostile_requests_get_errors(target: ServiceProcess) -> None:
    assert is_working(target)
    unexpected: list[object] = []
    seen: Counter[str] = Counter()
    with closing(target.line()) as line:
        for one in hostile.requests(200, seed=1):  # warm up
            hostile.send(line, one)
        before = target.memory()
        for one in hostile.requests(N):
            status, body = ask_and_measure(target, line, one)
            seen[one.kind] += 1
            if status not in one.statuses or set(json.loads(body)["error"]) != {"code", "message", "hint"}:
                unexpected.append((one.kind, one.path, one.headers, one.body[:40], status, body[:200]))
    assert not unexpected, unexpected[:10]
    assert sum(seen.values()) == N
    assert len(seen) == 10
    assert target.memory() - before < GROWTH
    assert is_working(target)


@pytest.mark.parametrize("form", ["fill", *images.images_with_tiny_parts(0)])
def test_image_of_many_tiny_parts_gets_422(target: ServiceProcess, form: str) -> None:
    bodies = images.images_with_tiny_parts(1_000_000) | {"fill": b"\xff\xd8" + b"\xff" * 9_000_000}
    with closing(target.line()) as line:
        status, body = ask_and_measure(target, line, hostile.Request("parts", body=bodies[form]))
    assert (status, json.loads(body)["error"]["code"]) == (422, "unreadable_image")


RAW = {
    "a length below zero": b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": (
        b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n"
    ),
    "a chunk of no size": b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another coding": b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    "two names": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "another address as target": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a line break in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
}


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW)
def test_malformed_http_gets_4xx(target: ServiceProcess, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", target.port), timeout=LONGEST) as line:
        line.sendall(sent)
        assert re.match(rb"HTTP/1\.1 4\d\d ", line.recv(65536))
    assert is_working(target)


@pytest.mark.slow
def test_disconnect_at_any_byte_is_harmless(target: ServiceProcess) -> None:
    data = sample().read_bytes()
    request = (
        f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hostile.TOKEN}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode() + data
    for end in range(1, len(request) + 1, len(request) // 40):
        with socket.create_connection(("127.0.0.1", target.port), timeout=LONGEST) as line:
            # Every other time a reset instead of a normal close.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", end % 2, 0))
            line.sendall(request[:end])
    assert is_working(target)
