"""Settings of the service."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mien.errors import MienError
from mien.recognition.recognizer import DEFAULT, DETECTOR, NANO

TOKEN = "MIEN_TOKEN"  # environment variable; other users of the machine can read command lines
HOST, PORT = "127.0.0.1", 8000
LOCAL = ("localhost", "127.0.0.1", "[::1]")  # hosts that are always allowed
ANY = "*"
ALL_INTERFACES = ("0.0.0.0", "[::]")
MAX_BODY = 32_000_000  # bytes of a request with images
MAX_PIXELS = 50_000_000  # of an image; by default `mien analyze` reads larger ones
MAX_VIDEO = 64_000_000  # bytes of a video; use `mien video` for larger ones
TIMEOUT = 30  # seconds to receive a request, and again to respond to it
QUEUE = 256  # images that wait or are analyzed
MAX_FACES = 64  # of an image; the largest faces are kept


@dataclass(frozen=True)
class Settings:
    """Settings of a service.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        model: Model for photos and webcams: name of a shipped model, or path of a model folder.
        video_model: Model for videos.
        detector: Name of the face detector.
        prior: Class frequencies to which the probabilities of both models are adjusted, as in `mien.load`.
        token: Bearer token that every `/v1` route requires; None for no token.
        hosts: Values of the Host header to accept besides those of this machine; `*` for any.
        origins: Other websites that may send requests from the browser, such as `https://example.org`.
        max_body: Largest size in bytes of a request with images.
        max_video: Largest size in bytes of a request with a video.
        timeout: Seconds to receive a request, and again to respond to it.
        queue: Largest number of images that wait or are analyzed at the same time; further requests get status 503.
        streams: Largest number of webcams at the same time.
        video_seconds: Longest duration of a video, and seconds that its response may take in addition.

    Raises:
        MienError: A value is invalid.

    Example:
        >>> Settings(port=8000, max_body=1_000_000).host
        '127.0.0.1'
    """

    host: str = HOST
    port: int = PORT
    model: str = DEFAULT
    video_model: str = NANO
    detector: str = DETECTOR
    prior: str | None = None
    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = MAX_BODY
    max_video: int = MAX_VIDEO
    timeout: float = TIMEOUT
    queue: int = QUEUE
    streams: int = 16
    video_seconds: float = 60

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise MienError("host must not be empty; use an address such as 127.0.0.1, or 0.0.0.0 for all interfaces")
        if not 0 <= self.port <= 65535:
            raise MienError(f"port must be from 0 to 65535, got {self.port}")
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]{8,512}", self.token):
            raise MienError(
                f"{TOKEN} must be 8 to 512 ASCII characters without spaces; create one with: openssl rand -hex 24"
            )
        for host in self.hosts:
            if host != ANY and not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", host):
                raise MienError(f"host must be a name without scheme and port, such as faces.example.org, got {host!r}")
        for origin in self.origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
                raise MienError(f"origin must be scheme and host, such as https://example.org, got {origin!r}")
        object.__setattr__(self, "origins", tuple(map(_normalize_origin, self.origins)))
        for name in ("max_body", "max_video", "timeout", "queue", "streams", "video_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise MienError(f"{name.replace('_', '-')} must be above 0, got {getattr(self, name)}")

    @property
    def url_host(self) -> str:
        """`host` as written in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def listens_on_all_interfaces(self) -> bool:
        """Whether `host` stands for all addresses of this machine."""
        return self.url_host in ALL_INTERFACES

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Accepted values of the Host header without port, in lower case."""
        return frozenset(name.lower() for name in (*LOCAL, self.url_host, *self.hosts) if name not in ALL_INTERFACES)


def _normalize_origin(origin: str) -> str:
    """Return an origin as browsers send it: in lower case, without the default port of its scheme."""
    lower = origin.lower()
    default_port = ":443" if lower.startswith("https:") else ":80"
    return lower.removesuffix(default_port)
