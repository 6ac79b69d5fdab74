"""HTTP and WebSocket connections with deadlines for slow clients.

All subclasses of uvicorn's protocols are in this module: uvicorn has no options for a deadline of request headers, for
clients that do not read their response, or for the size of a WebSocket's first message. They override methods that
uvicorn does not document, so pyproject.toml excludes minor versions of uvicorn that were not tested. The time limit of
bodies is in `middleware.limits`; that of idle connections is uvicorn's `timeout_keep_alive`.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mien.serve.errors import Problem

_INVALID_HTTP = Problem(400, "no_http", "Invalid HTTP request.", "Use an HTTP library.")
HEAD_SECONDS = 10.0  # from the start of a connection or a request to the end of the request's headers
READ_SECONDS, READ_BYTES = 10.0, 10_000  # a client that reads its response more slowly is disconnected
CONNECTIONS = 1024  # further connections are closed at once
BACKLOG = 100  # of the socket; asyncio accepts several backlogs before the first surplus connection is closed
FILES = 6 * BACKLOG  # file descriptors reserved besides those of connections
HELLO_BYTES = 10_000  # of the first message of a WebSocket
_MALFORMED = 4400


class SlowReaderProtocol(asyncio.Protocol):
    """Aborts connections whose client does not read what is sent; a plain `close` would wait until all is sent."""

    read_seconds = READ_SECONDS
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start without a write buffer."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` is called whenever anything is unsent
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Start the timer: the client has not read everything."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Stop the timer: the client has read everything."""
        super().resume_writing()
        self._stop_watching()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.read_seconds, self._check_progress, unsent)

    def _check_progress(self, before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent > max(0, before - READ_BYTES):
            self.transport.abort()
        elif unsent:
            self._watch()

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class WebSocketConnection(SlowReaderProtocol, WebSocketsSansIOProtocol):
    """A WebSocket; until the service has sent a message, the client's messages must be short.

    So a client without the token cannot make the service hold frames.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn.max_message_size = HELLO_BYTES

    async def send(self, message: Any) -> None:
        """Send a message; the first one allows long messages of the client."""
        if message["type"] == "websocket.send":
            self.conn.max_message_size = self.config.ws_max_size
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; close on invalid UTF-8, which uvicorn would log as an application error."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(_MALFORMED, "this text is not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


class HttpConnection(SlowReaderProtocol, H11Protocol):
    """An HTTP/1.1 connection, closed when the headers of a request take too long."""

    head_seconds = HEAD_SECONDS
    max_connections = CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or abort the connection where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Restart or stop the timer."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:  # incomplete headers
            if self._head_timer is None:
                self._start_head_timer()
        else:
            self._stop_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Respond to invalid HTTP with the JSON of all errors."""
        if self.cycle is not None:  # an invalid body: end the request that waits for it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the response has been sent
            self.transport.close()
            return
        body = json.dumps(_INVALID_HTTP.to_dict()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        response = h11.Response(status_code=_INVALID_HTTP.status, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def max_connections() -> int:
    """Raise the soft limit of open files as far as needed and return how many connections fit.

    Without free file descriptors neither connections can be accepted nor the files of the page read.
    """
    if sys.platform == "win32":  # no such limit
        return CONNECTIONS
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits)
    allowed = max(soft, min(CONNECTIONS + FILES, hard))
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(allowed), limits[1]))
    return int(min(CONNECTIONS, max(1, allowed - FILES)))
