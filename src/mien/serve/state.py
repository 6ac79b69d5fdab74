"""Shared state of the routes: models, threads and metrics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mien.recognition import Recognizer, load
from mien.serve.batching import Batcher
from mien.serve.config import MAX_FACES, MAX_PIXELS, Settings
from mien.serve.metrics import ServiceMetrics
from mien.threads import threads


@dataclass
class Service:
    """State of a running service.

    Attributes:
        settings: Settings of the service.
        photos: Recognizer for photos and webcams.
        videos: Recognizer for videos.
        batcher: Batcher for the model of `photos`.
        service_metrics: Prometheus metrics.
        video_executor: Thread that analyzes videos one after another.
        queued_videos: Number of videos that wait or are analyzed.
        body_bytes: Bytes of request bodies in memory.
        streams: Number of connected webcams.
        ending: Whether the service is shutting down.
    """

    settings: Settings
    photos: Recognizer
    videos: Recognizer
    batcher: Batcher
    service_metrics: ServiceMetrics
    video_executor: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="mien-video")
    )
    queued_videos: int = 0
    body_bytes: int = 0
    streams: int = 0
    ending: bool = False

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Load the models.

        The model and the detector use one thread each; as many images are analyzed in parallel as there are threads.

        Raises:
            MienError: A model or the detector does not exist, or a setting is invalid.
        """
        options: dict[str, Any] = {
            "detector": settings.detector, "prior": settings.prior, "max_faces": MAX_FACES, "max_pixels": MAX_PIXELS,
            "threads": 1,
        }  # fmt: skip
        photos = load(settings.model, **options)
        videos = photos
        if settings.video_model != settings.model:
            videos = load(settings.video_model, **options)
        service_metrics = ServiceMetrics()
        batcher = Batcher(
            photos.model, threads=threads(), max_images=settings.queue, on_batch=service_metrics.batch_faces.observe
        )
        service_metrics.watch_queue(lambda: batcher.images)
        return cls(settings, photos, videos, batcher, service_metrics)

    @property
    def ready(self) -> bool:
        """Whether the service takes requests."""
        return not self.ending and self.batcher.images < self.batcher.max_images

    def close(self) -> None:
        """End the threads."""
        self.ending = True
        self.batcher.close()
        self.video_executor.shutdown(cancel_futures=True)
