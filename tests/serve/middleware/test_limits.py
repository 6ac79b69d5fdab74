"""Too much, too slow, and half of it: counted while it arrives, answered, and closed."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mien.recognition import sample
from mien.serve.http_protocol import HttpConnection, WebSocketConnection
from served import RunningService, connect, read_response, read_until, running
from waiting import LONGEST

HEAD = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\n"
SIZE = 20_000


@pytest.fixture(scope="module")
def small() -> Iterator[RunningService]:
    """A service that takes little and waits briefly."""
    with running(max_body=SIZE, max_video=2 * SIZE, timeout=0.5) as one:
        yield one


@pytest.fixture
def closes_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "head_seconds", 0.1)


def is_closed(line: socket.socket) -> bool:
    """Whether the other side ends it; a time-out of the socket's raises."""
    return line.recv(1) == b""


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_body_with_large_content_length_gets_413_unread(small: RunningService) -> None:
    status, told = small.raw(HEAD + f"Content-Length: {SIZE + 1}\r\n\r\n".encode())
    assert (status, told["error"]["code"]) == (413, "too_large")


def test_chunked_body_over_the_limit_gets_413(small: RunningService) -> None:
    with small.connect() as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(bytes(SIZE)) + chunk(b"x"))
        status, told = read_response(line)  # though there is no last chunk
    assert (status, told["error"]["code"]) == (413, "too_large")


def test_endless_body_gets_413_and_is_closed(small: RunningService) -> None:
    with small.connect() as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = threading.Event()

        def pour() -> None:
            try:
                send_for_ever(line, chunk(bytes(8000)))
            except OSError:
                sent.set()

        thread = threading.Thread(target=pour)
        thread.start()
        got = line.recv(20)
        assert sent.wait(LONGEST)
        thread.join()
    assert got.startswith(b"HTTP/1.1 413 ")
    assert small.service.body_bytes == 0


def test_form_over_the_limit_gets_413(small: RunningService) -> None:
    got = small.http.post("/v1/analyze", files={"files": ("a.jpg", bytes(SIZE))})
    assert (got.status_code, got.json()["error"]["code"]) == (413, "too_large")


def test_video_has_a_larger_limit(small: RunningService) -> None:
    assert small.http.post("/v1/video", content=bytes(2 * SIZE)).json()["error"]["code"] == "unreadable_video"
    assert small.http.post("/v1/video", content=bytes(2 * SIZE + 1)).json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_incomplete_body_gets_408(small: RunningService, rest: bytes) -> None:
    status, told = small.raw(HEAD + rest)
    assert (status, told["error"]["code"]) == (408, "too_slow")
    assert small.service.body_bytes == 0


def test_late_response_gets_503(small: RunningService) -> None:
    go = threading.Event()
    held = asyncio.run_coroutine_threadsafe(small.service.batcher.run_in_pool(lambda: go.wait(LONGEST)), small.loop)
    got = small.http.post("/v1/analyze", content=b"GIF89a")
    assert (got.status_code, got.json()["error"]["code"]) == (503, "overdue")
    assert int(got.headers["Retry-After"]) > 0
    go.set()
    held.result()
    got = small.http.post("/v1/analyze", content=b"GIF89a")
    assert got.json()["error"]["code"] == "unreadable_image"


def test_all_bodies_together_are_limited(small: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.middleware.limits.MAX_LARGE_BODIES", 1)
    with small.connect() as first, small.connect() as second, small.connect() as third:
        for line in (first, second, third):
            line.sendall(HEAD + f"Content-Length: {SIZE}\r\n\r\n".encode() + bytes(SIZE - 1))
        codes = sorted(read_response(line)[1]["error"]["code"] for line in (first, second, third))
    assert codes == ["busy", "too_slow", "too_slow"]
    assert small.service.body_bytes == 0


@pytest.mark.usefixtures("closes_soon")
@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_incomplete_headers_close_the_connection(served: RunningService, said: bytes) -> None:
    with served.connect() as line:
        line.sendall(said)
        assert is_closed(line)


@pytest.mark.usefixtures("closes_soon")
def test_incomplete_headers_of_second_request_close(served: RunningService) -> None:
    with served.connect() as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(line, b"alive")
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert is_closed(line)


def deaf(served: RunningService) -> socket.socket:
    """A connection whose other side can send next to nothing before it must wait."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    line.settimeout(10)
    line.connect(("127.0.0.1", served.port))
    return line


def send_for_ever(line: socket.socket, data: bytes) -> None:
    """Send it again and again until the other side ends it."""
    while True:
        line.sendall(data)


def await_left(served: RunningService) -> None:
    """Until the service holds no connection but that of the client which is part of `served`."""
    for _ in range(1000):
        served.http.get("/healthz")
        if len(served.server.server_state.connections) == 1:
            return
    pytest.fail("the connection is still held")


@pytest.mark.parametrize("path", ["/sample.jpg", "/openapi.json"])
def test_client_that_does_not_read_is_aborted(
    served: RunningService, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(HttpConnection, "read_seconds", 0.1)
    with deaf(served) as line:
        with suppress(TimeoutError, ConnectionError):
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 400)
            line.recv(1)
        await_left(served)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_websocket_that_does_not_read_is_aborted(served: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebSocketConnection, "read_seconds", 0.1)
    handshake = (
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    ping = b"\x89\xfd" + bytes(4) + bytes(125)  # each is answered with as much
    with deaf(served) as line:
        line.sendall(handshake.encode())
        read_until(line, b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            send_for_ever(line, ping * 1000)


def test_slow_reader_gets_all_responses(served: RunningService) -> None:
    times, want, got = 40, sample().read_bytes(), 0
    with deaf(served) as line:
        sender = threading.Thread(
            target=line.sendall, args=(b"GET /sample.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n" * times,)
        )
        sender.start()
        while got < times * len(want):
            part = line.recv(65536)
            assert part
            got += len(part)
        sender.join()


@pytest.mark.usefixtures("closes_soon")
def test_header_deadline_excludes_bodies_and_streams(served: RunningService) -> None:
    image = sample().read_bytes()
    with served.connect() as line, connect(served.ws) as stream:
        stream.send('{"token": null}')
        stream.recv(timeout=LONGEST)
        line.sendall(HEAD + f"Content-Length: {len(image)}\r\nConnection: close\r\n\r\n".encode() + image[:-1])
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(1)
        line.settimeout(10)
        line.sendall(image[-1:])
        assert read_response(line)[0] == 200
        stream.send(bytes(4) + image)
        assert '"analysis"' in str(stream.recv(timeout=LONGEST))


def test_surplus_connection_is_closed(served: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "max_connections", len(served.server.server_state.connections) + 1)
    with served.connect() as first:
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(first, b"alive")
        with served.connect() as second:
            assert is_closed(second)


def test_endless_header_gets_400(served: RunningService) -> None:
    with served.connect() as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(70_000).replace(b"\0", b"x"))
        status, told = read_response(line)
    assert (status, told["error"]["code"]) == (400, "no_http")


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_invalid_http_gets_400(served: RunningService, said: bytes) -> None:
    status, told = served.raw(said)
    assert (status, told["error"]["code"]) == (400, "no_http")
