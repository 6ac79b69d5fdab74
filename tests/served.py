"""A service in a thread of the test process."""

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

# A WebSocket client with long timeouts for busy machines.
connect = partial(client.connect, open_timeout=LONGEST, close_timeout=LONGEST, ping_timeout=LONGEST)


@dataclass(frozen=True)
class RunningService:
    """A running service.

    Attributes:
        port: Port on 127.0.0.1.
        service: State of the service.
        server: The uvicorn server.
        loop: Event loop of the service.
        http: HTTP client with the service as its base URL.
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
        """Open a TCP connection with a timeout."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST)

    def raw(self, sent: bytes) -> tuple[int, dict[str, Any]]:
        """Send bytes and return status and JSON of the response."""
        with self.connect() as connection:
            connection.sendall(sent)
            return read_response(connection)


def read_response(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of the last response of a connection that the service closes."""
    data = b""
    while part := connection.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def read_until(connection: socket.socket, text: bytes) -> None:
    """Read from the connection until `text` was received."""
    data = b""
    while text not in data:
        part = connection.recv(65536)
        assert part, f"closed after {data!r}"
        data += part


@contextmanager
def running(settings: Settings | None = None, **changed: Any) -> Iterator[RunningService]:
    """Run a service in a thread, by default with the model `nano`; `changed` are attributes of `Settings`."""
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
