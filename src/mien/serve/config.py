"""Settings of the service."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mien.errors import MienError
from mien.recognition.recognizer import DEFAULT, DETECTOR, NANO

TOKEN = "MIEN_TOKEN"  # the environment's variable; on a command line, others on the machine could read it
HOST, PORT = "127.0.0.1", 8000
LOCAL = ("localhost", "127.0.0.1", "[::1]")  # names that a service may always be called by
ANY = "*"
ALL_INTERFACES = ("0.0.0.0", "[::]")  # to listen on, and no names
MAX_BODY = 32_000_000  # bytes of a request with images
MAX_VIDEO = 64_000_000  # bytes of a video; longer ones are for `mien video`
TIMEOUT = 30  # seconds that a request's body may take to arrive, and again as many for its answer
QUEUE = 256  # images that wait or are read at one time
MAX_FACES = 64  # of an image, the largest


@dataclass(frozen=True)
class Settings:
    """What a service is told when it starts.

    Attributes:
        host, port: where it listens; port 0 takes one that is free.
        model: reads photos and webcams; a shipped model's name or a model's folder.
        video_model: reads videos.
        detector: what finds faces.
        prior: class frequencies that the probabilities of both models are adjusted to, as of `mien.load`.
        token: what every `/v1` route wants as a bearer token; None wants none.
        hosts: names that it may be called by, besides those of this machine; `*` for any.
        origins: of other sites whose pages may ask, such as `https://example.org`.
        max_body, max_video: bytes of a request with images, and of a video.
        timeout: seconds that a request's body may take to arrive, and again as many for its answer.
        queue: images that wait or are read at one time; more are turned away.
        streams: webcams at one time.
        video_seconds: length of a video, and how many seconds more its answer may take.

    Raises:
        MienError: a value that cannot be meant.
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
            raise MienError("host is empty; it is an address such as 127.0.0.1, or 0.0.0.0 for all of this machine's")
        if not 0 <= self.port <= 65535:
            raise MienError(f"a port is a number from 0 to 65535, got {self.port}")
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]{8,512}", self.token):
            raise MienError(
                f"{TOKEN} is 8 to 512 letters, digits and signs without blanks; make one with: openssl rand -hex 24"
            )
        for host in self.hosts:
            if host != ANY and not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", host):
                raise MienError(f"a host is a name without scheme and port, such as faces.example.org, got {host!r}")
        for origin in self.origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
                raise MienError(f"an origin is scheme and name, such as https://example.org, got {origin!r}")
        object.__setattr__(self, "origins", tuple(map(_as_sent, self.origins)))
        for name in ("max_body", "max_video", "timeout", "queue", "streams", "video_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise MienError(f"{name.replace('_', '-')} is a number above 0, got {getattr(self, name)}")

    @property
    def own(self) -> str:
        """Where it listens, as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def listens_on_all_interfaces(self) -> bool:
        """Whether it listens at all addresses of this machine, so that where it listens is no name."""
        return self.own in ALL_INTERFACES

    @property
    def names(self) -> frozenset[str]:
        """Every name, in small letters, that it may be called by."""
        return frozenset(name.lower() for name in (*LOCAL, self.own, *self.hosts) if name not in ALL_INTERFACES)


def _as_sent(origin: str) -> str:
    """An origin as browsers send it: in small letters, without the port that its scheme has anyway."""
    small = origin.lower()
    usual = ":443" if small.startswith("https:") else ":80"
    return small.removesuffix(usual)
