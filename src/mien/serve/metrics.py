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
    """Metrics of one service in a separate registry.

    Attributes:
        requests: Responses by route, method and status.
        seconds: Duration from the request's headers to the end of the response, by route.
        images: Images by outcome, `read` or `unreadable`.
        faces: Faces found in images and frames.
        batch_faces: Faces in a batch of the model.
        frames: Frames of webcams by outcome, `read`, `unreadable`, `skipped` or `busy`.
        streams: Connected webcams.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        PlatformCollector(self._registry)
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "requests", "Responses sent.", ("route", "method", "status"), namespace="mien", registry=self._registry
        )
        self.seconds = Histogram(
            "request_seconds",
            "Duration of requests in seconds.",
            ("route",),
            buckets=_SECONDS,
            namespace="mien",
            registry=self._registry,
        )
        self.images = Counter("images", "Images received.", ("outcome",), namespace="mien", registry=self._registry)
        self.faces = Counter("faces", "Faces analyzed.", namespace="mien", registry=self._registry)
        self.batch_faces = Histogram(
            "batch_faces", "Faces in a batch of the model.", buckets=_FACES, namespace="mien", registry=self._registry
        )
        self.frames = Counter("frames", "Frames of webcams.", ("outcome",), namespace="mien", registry=self._registry)
        self.streams = Gauge("streams", "Connected webcams.", namespace="mien", registry=self._registry)
        self._images = Gauge(
            "held_images", "Images that wait or are analyzed.", namespace="mien", registry=self._registry
        )

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Use `length` as the source of the number of images that wait or are analyzed."""
        self._images.set_function(length)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
