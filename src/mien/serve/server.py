"""Server process: socket, uvicorn and signals."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from functools import partial
from types import FrameType

import cv2

from mien.errors import MienError, MissingExtra

try:
    import fastapi as _fastapi  # noqa: F401
    import prometheus_client as _prometheus  # noqa: F401
    import python_multipart as _multipart  # noqa: F401
    import uvicorn
    import websockets as _websockets  # noqa: F401
except ImportError:
    raise MissingExtra("serve", "the service") from None

from mien.serve.app import create_app
from mien.serve.config import Settings
from mien.serve.http_protocol import BACKLOG, HttpConnection, WebSocketConnection, max_connections
from mien.serve.middleware.access_log import LOG
from mien.serve.state import Service

MAX_FRAME = 4_000_000  # bytes of a webcam frame
_KEEP_ALIVE = 5  # seconds that a connection may be idle


def serve(settings: Settings, *, on_start: Callable[[str], None] | None = None) -> None:
    """Run the service until SIGTERM or Ctrl-C, then finish the requests in flight.

    Args:
        settings: Settings of the service.
        on_start: Callback that gets the URL once the service accepts requests.

    Raises:
        MienError: The address is not available, or a model does not exist.
    """
    with listen(settings) as listener:
        service = Service.open(settings)
        try:
            HttpConnection.max_connections = max_connections()
            cv2.setNumThreads(1)  # images are analyzed in parallel; more threads for each would compete
            _log_to_stderr()
            server = build_server(service)
            if on_start is not None:
                host, port = listener.getsockname()[:2]
                server.on_start = partial(on_start, f"http://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listener])
        finally:
            service.close()


def build_server(service: Service) -> Server:
    """Return a uvicorn server with the application and its limits."""
    settings = service.settings
    longest = round(2 * settings.timeout + settings.video_seconds) + 5  # seconds that a request may take
    config = uvicorn.Config(
        create_app(service), http=HttpConnection, ws=WebSocketConnection, lifespan="off", log_config=None,
        access_log=False, backlog=BACKLOG, proxy_headers=False, server_header=False, ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False, timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=longest,
    )  # fmt: skip
    return Server(config, service)


class Server(uvicorn.Server):
    """uvicorn's server with exit code 0 after SIGTERM; `/readyz` reports 503 from then on."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.on_start: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, then call `on_start`."""
        await super().startup(sockets)
        self.on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle SIGTERM and SIGINT; uvicorn would raise them again after the shutdown."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down gracefully; a second Ctrl-C ends at once."""
        self._service.ending = True
        super().handle_exit(sig, frame)


@contextlib.contextmanager
def listen(settings: Settings) -> Generator[socket.socket]:
    """Open the listening socket.

    Raises:
        MienError: The address is invalid or not available.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, TypeError, ValueError) as error:  # the last two: host names that cannot be encoded
        reason = (
            str(error.strerror or error).partition(" (while ")[0] if isinstance(error, OSError) else "invalid host name"
        )
        raise MienError(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}; choose another --host or --port"
        ) from None
    with listener:
        yield listener


def _log_to_stderr() -> None:
    """Log one line per request, and errors of uvicorn and python-multipart (which warns about damaged forms)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    libraries = [logging.getLogger(name) for name in ("uvicorn.error", "python_multipart")]
    for log, level in ((LOG, logging.INFO), *((library, logging.ERROR) for library in libraries)):
        log.addHandler(handler)
        log.setLevel(level)
        log.propagate = False
