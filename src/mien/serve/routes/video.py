"""`/v1/video`: a short video in one request."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse

from mien.detection.detectors import THRESHOLD
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import SMOOTH
from mien.recognition.video.analyze import analyze_frames
from mien.recognition.video.reader import VideoReader
from mien.serve import schema
from mien.serve.errors import Problem, busy, error_responses
from mien.serve.query import MaxFaces, MinConfidence, Quality, Threshold, Tta, check_known_options, with_options
from mien.serve.state import Service
from mien.serve.uploads import Upload, read_uploads, request_body_schema

MAX_PIXELS = 3840 * 2160  # of a frame
MAX_QUEUED = 4  # videos that wait while another is analyzed

router = APIRouter()


@router.post(
    "/v1/video",
    responses={200: {"model": schema.VideoSchema}, **error_responses(400, 401, 403, 408, 413, 415, 421, 422, 501, 503)},
    dependencies=[Depends(check_known_options)],
    openapi_extra=request_body_schema("file", False, "application/octet-stream", "video/*"),
)
async def video(
    request: Request,
    every: Annotated[int, Query(ge=1, le=1000, description="Analyze every n-th frame.")] = 1,
    smooth: Annotated[
        float, Query(ge=0, le=60, description="Seconds over which probabilities are smoothed; 0 for no smoothing.")
    ] = SMOOTH,
    min_confidence: MinConfidence = 0.0,
    tta: Tta = "none",
    threshold: Threshold = THRESHOLD,
    max_faces: MaxFaces = None,
    quality: Quality = True,
) -> JSONResponse:
    """Track the faces in a short video and recognize their expressions. Use `mien video` for longer videos.

    Send a form with one `file`, or the video as the body.
    """
    service: Service = request.app.state.service
    upload = (await read_uploads(request, "file", ("video/",), max_files=1))[0]
    recognizer = with_options(service.videos, min_confidence, tta, threshold, max_faces, quality)
    if service.queued_videos > MAX_QUEUED:
        raise busy("The queue of videos is full.")
    stop, loop = threading.Event(), asyncio.get_running_loop()
    service.queued_videos += 1
    try:
        return JSONResponse(
            await loop.run_in_executor(
                service.video_executor,
                lambda: _analyze(recognizer, upload, every, smooth, service.settings.video_seconds, stop),
            )
        )
    finally:
        stop.set()  # the client may have disconnected
        service.queued_videos -= 1


def _analyze(
    recognizer: Recognizer, upload: Upload, every: int, smooth: float, max_seconds: float, stop: threading.Event
) -> dict[str, Any]:
    """Return the result of a video as JSON types; an empty one once `stop` is set."""
    frames, end = [], 0.0
    if stop.is_set():
        return {}
    with VideoReader(upload.name or "the video", upload.data, max_pixels=MAX_PIXELS, stop=stop) as reader:
        if reader.duration is not None and reader.duration > max_seconds:
            raise _too_long(max_seconds)
        with closing(analyze_frames(recognizer.pipeline, reader, every=every, smooth=smooth)) as results:
            for frame in results:
                if frame.time > max_seconds:
                    raise _too_long(max_seconds)
                frames.append({**frame.to_dict(), "source": upload.name})
                end = frame.time
    if stop.is_set():
        return {}
    return {
        "source": upload.name,
        "model": recognizer.pipeline.model_name,
        "detector": recognizer.detector.name,
        "seconds": round(end if reader.duration is None else reader.duration, 4),
        "frames": frames,
        "notes": reader.notes,
    }


def _too_long(max_seconds: float) -> Problem:
    return Problem(
        413,
        "too_long",
        f"The video is longer than {max_seconds:g} seconds.",
        "For longer videos, run: mien video FILE.",
    )
