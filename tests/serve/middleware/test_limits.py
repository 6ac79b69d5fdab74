"""Limits on size and duration of requests, and connections of slow clients."""

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
    """A service with small limits."""
    with running(max_body=SIZE, max_video=2 * SIZE, timeout=0.5) as service:
        yield service


@pytest.fixture
def short_header_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "head_seconds", 0.1)


def is_closed(connection: socket.socket) -> bool:
    """Return whether the service closes the connection; a timeout raises."""
    return connection.recv(1) == b""


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_body_with_large_content_length_gets_413_unread(small: RunningService) -> None:
    status, body = small.raw(HEAD + f"Content-Length: {SIZE + 1}\r\n\r\n".encode())
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_chunked_body_over_the_limit_gets_413(small: RunningService) -> None:
    with small.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(bytes(SIZE)) + chunk(b"x"))
        status, body = read_response(connection)  # without a last chunk
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_endless_body_gets_413_and_is_closed(small: RunningService) -> None:
    with small.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = threading.Event()

        def send_body() -> None:
            try:
                send_endlessly(connection, chunk(bytes(8000)))
            except OSError:
                sent.set()

        thread = threading.Thread(target=send_body)
        thread.start()
        response = connection.recv(20)
        assert sent.wait(LONGEST)
        thread.join()
    assert response.startswith(b"HTTP/1.1 413 ")
    assert small.service.body_bytes == 0


def test_form_over_the_limit_gets_413(small: RunningService) -> None:
    response = small.http.post("/v1/analyze", files={"files": ("a.jpg", bytes(SIZE))})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_video_has_a_larger_limit(small: RunningService) -> None:
    assert small.http.post("/v1/video", content=bytes(2 * SIZE)).json()["error"]["code"] == "unreadable_video"
    assert small.http.post("/v1/video", content=bytes(2 * SIZE + 1)).json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_incomplete_body_gets_408(small: RunningService, rest: bytes) -> None:
    status, body = small.raw(HEAD + rest)
    assert (status, body["error"]["code"]) == (408, "too_slow")
    assert small.service.body_bytes == 0


def test_late_response_gets_503(small: RunningService) -> None:
    go = threading.Event()
    job = asyncio.run_coroutine_threadsafe(small.service.batcher.run_in_pool(lambda: go.wait(LONGEST)), small.loop)
    response = small.http.post("/v1/analyze", content=b"GIF89a")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "overdue")
    assert int(response.headers["Retry-After"]) > 0
    go.set()
    job.result()
    response = small.http.post("/v1/analyze", content=b"GIF89a")
    assert response.json()["error"]["code"] == "unreadable_image"


def test_all_bodies_together_are_limited(small: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.middleware.limits.MAX_LARGE_BODIES", 1)
    with small.connect() as first, small.connect() as second, small.connect() as third:
        for connection in (first, second, third):
            connection.sendall(HEAD + f"Content-Length: {SIZE}\r\n\r\n".encode() + bytes(SIZE - 1))
        codes = sorted(read_response(connection)[1]["error"]["code"] for connection in (first, second, third))
    assert codes == ["busy", "too_slow", "too_slow"]
    assert small.service.body_bytes == 0


@pytest.mark.usefixtures("short_header_deadline")
@pytest.mark.parametrize(
    "sent_bytes", [b"", b"G", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n"]
)
def test_incomplete_headers_close_the_connection(served: RunningService, sent_bytes: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(sent_bytes)
        assert is_closed(connection)


@pytest.mark.usefixtures("short_header_deadline")
def test_incomplete_headers_of_second_request_close(served: RunningService) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(connection, b"alive")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert is_closed(connection)


def slow_reader(served: RunningService) -> socket.socket:
    """Open a connection with a tiny receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", served.port))
    return connection


def send_endlessly(connection: socket.socket, data: bytes) -> None:
    """Send data repeatedly until the service closes the connection."""
    while True:
        connection.sendall(data)


def wait_for_disconnect(served: RunningService) -> None:
    """Wait until the service has no connection but that of the HTTP client of `served`."""
    for _ in range(1000):
        served.http.get("/healthz")
        if len(served.server.server_state.connections) == 1:
            return
    pytest.fail("the connection is still open")


@pytest.mark.parametrize("path", ["/sample.jpg", "/openapi.json"])
def test_client_that_does_not_read_is_aborted(
    served: RunningService, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(HttpConnection, "read_seconds", 0.1)
    with slow_reader(served) as connection:
        with suppress(TimeoutError, ConnectionError):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 400)
            connection.recv(1)
        wait_for_disconnect(served)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_websocket_that_does_not_read_is_aborted(served: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebSocketConnection, "read_seconds", 0.1)
    handshake = (
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    ping = b"\x89\xfd" + bytes(4) + bytes(125)  # each gets a pong of the same size
    with slow_reader(served) as connection:
        connection.sendall(handshake.encode())
        read_until(connection, b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            send_endlessly(connection, ping * 1000)


def test_slow_reader_gets_all_responses(served: RunningService) -> None:
    times, want, received = 40, sample().read_bytes(), 0
    with slow_reader(served) as connection:
        sender = threading.Thread(
            target=connection.sendall, args=(b"GET /sample.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n" * times,)
        )
        sender.start()
        while received < times * len(want):
            part = connection.recv(65536)
            assert part
            received += len(part)
        sender.join()


@pytest.mark.usefixtures("short_header_deadline")
def test_header_deadline_excludes_bodies_and_streams(served: RunningService) -> None:
    image = sample().read_bytes()
    with served.connect() as connection, connect(served.ws) as stream:
        stream.send('{"token": null}')
        stream.recv(timeout=LONGEST)
        connection.sendall(HEAD + f"Content-Length: {len(image)}\r\nConnection: close\r\n\r\n".encode() + image[:-1])
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(image[-1:])
        assert read_response(connection)[0] == 200
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
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(70_000).replace(b"\0", b"x"))
        status, body = read_response(connection)
    assert (status, body["error"]["code"]) == (400, "no_http")


@pytest.mark.parametrize(
    "sent_bytes", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_invalid_http_gets_400(served: RunningService, sent_bytes: bytes) -> None:
    status, body = served.raw(sent_bytes)
    assert (status, body["error"]["code"]) == (400, "no_http")
