"""A real service on a port of this machine, for tests."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from websockets.sync import client

from mien.serve import Settings
from mien.serve.server import Server, build_server, listen
from mien.serve.state import Service
from waiting import LONGEST

# A client of WebSockets that does not mind a busy machine.
connect = partial(client.connect, open_timeout=LONGEST, close_timeout=LONGEST, ping_timeout=LONGEST)


@dataclass(frozen=True)
class RunningService:
    """A running service.

    Attributes:
        port: of 127.0.0.1.
        service: what it holds.
        loop: that it runs in.
        http: a client of it.
    """

    port: int
    service: Service
    server: Server
    loop: asyncio.AbstractEventLoop
    http: httpx.Client

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def connect(self) -> socket.socket:
        """A bare connection, that fails rather than waits for ever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST)

    def raw(self, sent: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer to these bytes."""
        with self.connect() as line:
            line.sendall(sent)
            return answer(line)


def answer(line: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the next answer on a connection that is closed behind it."""
    got = b""
    while part := line.recv(65536):
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def await_text(line: socket.socket, text: bytes) -> None:
    """Read until `text` has come."""
    got = b""
    while text not in got:
        part = line.recv(65536)
        assert part, f"closed after {got!r}"
        got += part


@contextmanager
def running(settings: Settings | None = None, **changed: Any) -> Iterator[RunningService]:
    """A service in a thread, by default as small as they come; `changed` are attributes of `Settings`."""
    settings = settings or Settings(**{"port": 0, "model": "nano", **changed})
    with listen(settings) as listener:
        service = Service.open(settings)
        server, port = build_server(service), listener.getsockname()[1]
        loops: queue.Queue[asyncio.AbstractEventLoop] = queue.Queue()

        async def run() -> None:
            loops.put(asyncio.get_running_loop())
            await server.serve(sockets=[listener])

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST) as http:
                yield RunningService(port, service, server, loops.get(), http)
        finally:
            server.should_exit = True
            thread.join()
            service.close()
