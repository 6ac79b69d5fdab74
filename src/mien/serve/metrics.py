"""Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32, 64)


class ServiceMetrics:
    """The meters of one service, in a registry of their own.

    Attributes:
        requests: by route, method and status.
        seconds: from a request's headers to its answer's end, by route.
        images: by outcome, `read` or `unreadable`.
        faces: found in images and frames.
        batch_faces: that went through the model together.
        frames: of webcams, by outcome, `read`, `unreadable`, `skipped` or `busy`.
        streams: webcams at the moment.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        PlatformCollector(self._registry)
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "requests", "Requests answered.", ("route", "method", "status"), namespace="mien", registry=self._registry
        )
        self.seconds = Histogram(
            "request_seconds",
            "Seconds a request.",
            ("route",),
            buckets=_SECONDS,
            namespace="mien",
            registry=self._registry,
        )
        self.images = Counter("images", "Images sent.", ("outcome",), namespace="mien", registry=self._registry)
        self.faces = Counter("faces", "Faces read.", namespace="mien", registry=self._registry)
        self.batch_faces = Histogram(
            "batch_faces", "Faces in a batch of the model.", buckets=_FACES, namespace="mien", registry=self._registry
        )
        self.frames = Counter("frames", "Frames of webcams.", ("outcome",), namespace="mien", registry=self._registry)
        self.streams = Gauge("streams", "Webcams at the moment.", namespace="mien", registry=self._registry)
        self._held = Gauge(
            "held_images", "Images that wait or are being searched.", namespace="mien", registry=self._registry
        )

    def watch(self, held: Callable[[], int]) -> None:
        """Say where the number of images that wait is to be had."""
        self._held.set_function(held)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self._registry)
