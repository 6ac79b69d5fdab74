"""Shared state of the routes: models, threads, metrics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mien.recognition import Recognizer, load
from mien.serve.batching import Batcher
from mien.serve.config import MAX_FACES, Settings
from mien.serve.metrics import ServiceMetrics
from mien.threads import threads


@dataclass
class Service:
    """An open service, of one process.

    Attributes:
        settings: what it was told.
        photos: reads photos and webcams.
        videos: reads videos.
        batcher: of the model of `photos`.
        meters: what is counted.
        films: the thread in which videos are read, one after another.
        queued_videos: videos that are read or wait.
        held: bytes of bodies in memory.
        streams: webcams at the moment.
        ending: whether it takes no more.
    """

    settings: Settings
    photos: Recognizer
    videos: Recognizer
    batcher: Batcher
    service_metrics: ServiceMetrics
    films: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="mien-film"))
    queued_videos: int = 0
    held: int = 0
    streams: int = 0
    ending: bool = False

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Load the models. Each forward takes one thread, as many images at a time are read as there are threads.

        Raises:
            MienError: a model or a detector is not there, or an option is out of its range.
        """
        options: dict[str, Any] = {
            "detector": settings.detector, "prior": settings.prior, "max_faces": MAX_FACES, "threads": 1,
        }  # fmt: skip
        photos = load(settings.model, **options)
        videos = photos
        if settings.video_model != settings.model:
            videos = load(settings.video_model, **options)
        service_metrics = ServiceMetrics()
        batcher = Batcher(
            photos.model, threads=threads(), most=settings.queue, on_batch=service_metrics.batch_faces.observe
        )
        service_metrics.watch(lambda: batcher.held)
        return cls(settings, photos, videos, batcher, service_metrics)

    @property
    def ready(self) -> bool:
        """Whether more requests are welcome."""
        return not self.ending and self.batcher.held < self.batcher.most

    def close(self) -> None:
        """End the threads."""
        self.ending = True
        self.batcher.close()
        self.films.shutdown(cancel_futures=True)
