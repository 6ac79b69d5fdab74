"""HTTP connections with deadlines for slow clients.

Bodies have their own time limit (`limits`), and idle connections uvicorn's.
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

_NO_HTTP = Problem(400, "no_http", "This is not HTTP as it should be.", "Let a library say it.")
HEAD_SECONDS = 10.0  # from a connection's beginning, or a request's first byte, to its head's end
READ_SECONDS, READ_BYTES = 10.0, 10_000  # a client that takes less of its answer in this time is cut off
CONNECTIONS = 1024  # at one time; more are closed at once
BACKLOG = 100  # connections that come in at once; those of a few turns are open before the first too many is closed
FILES = 6 * BACKLOG  # that a process may have open besides its connections
HELLO_BYTES = 10_000  # of a stream's first message
_MALFORMED = 4400


class Reader(asyncio.Protocol):
    """What connections of both kinds have in common: cut off where the client does not read.

    To close would not help: that waits until all is sent.
    """

    read_seconds = READ_SECONDS
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.set_write_buffer_limits(high=0)  # so that writing pauses whenever anything is left unsent
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Something is left that the client has not taken."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It has taken all."""
        super().resume_writing()
        self._stop_watching()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.read_seconds, self._judge, left)

    def _judge(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left > max(0, before - READ_BYTES):
            self.transport.abort()
        elif left:
            self._watch()

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class Stream(Reader, WebSocketsSansIOProtocol):
    """A WebSocket over one socket; until the service has said a word, what is said to it must be short.

    So nobody without the token makes the service hold frames.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn.max_message_size = HELLO_BYTES

    async def send(self, message: Any) -> None:
        """Whatever the service says."""
        if message["type"] == "websocket.send":
            self.conn.max_message_size = self.config.ws_max_size
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        """A whole message has come. Text that is none ends the stream; uvicorn would log it as a fault of ours."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(_MALFORMED, "this text is not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


class Connection(Reader, H11Protocol):
    """HTTP/1.1 over one socket, closed when a request's head takes too long."""

    head_seconds = HEAD_SECONDS
    most = CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Some of what it says."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:  # a part of a head
            if self._overdue is None:
                self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Tell it that what it says is no HTTP, in the form of all errors."""
        if self.cycle is not None:  # a body that is none: nobody waits for it any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # it has been answered already
            self.transport.close()
            return
        body = json.dumps(_NO_HTTP.to_dict()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        answer = h11.Response(status_code=_NO_HTTP.status, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._overdue = self.loop.call_later(self.head_seconds, self._close)

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def max_connections() -> int:
    """How many there may be, where each is a file to the system, which is asked for as many as it takes.

    Past what a process may open, nobody new is let in, and files of the page cannot be read.
    """
    if sys.platform == "win32":  # where files are not counted so
        return CONNECTIONS
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (math.inf if most == resource.RLIM_INFINITY else most for most in limits)
    allowed = max(soft, min(CONNECTIONS + FILES, hard))
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(allowed), limits[1]))
    return int(min(CONNECTIONS, max(1, allowed - FILES)))
