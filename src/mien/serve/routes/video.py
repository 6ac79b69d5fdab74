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
from mien.serve.errors import Problem, busy, problems
from mien.serve.query import MaxFaces, MinConfidence, Threshold, Tta, check_known_options, chosen
from mien.serve.state import Service
from mien.serve.uploads import Upload, read_uploads, takes

PIXELS = 3840 * 2160  # of a frame
WAITING = 4  # videos that wait for the one that is read
_LONGER_ONES = "Longer ones are for the command line: mien video FILE."

router = APIRouter()


@router.post(
    "/v1/video",
    responses={200: {"model": schema.VideoSchema}, **problems(400, 401, 403, 408, 413, 415, 421, 422, 501, 503)},
    dependencies=[Depends(check_known_options)],
    openapi_extra=takes("file", False, "application/octet-stream", "video/*"),
)
async def video(
    request: Request,
    every: Annotated[int, Query(ge=1, le=1000, description="Read every so many-th frame.")] = 1,
    smooth: Annotated[float, Query(ge=0, le=60, description="Seconds over which probabilities are smoothed.")] = SMOOTH,
    min_confidence: MinConfidence = 0.0,
    tta: Tta = "none",
    threshold: Threshold = THRESHOLD,
    max_faces: MaxFaces = None,
) -> JSONResponse:
    """Read the faces in a small video: who is there when, and what they express. Longer ones are for the command line.

    Send a form with one `file`, or the video as it is.
    """
    service: Service = request.app.state.service
    upload = (await read_uploads(request, "file", ("video/",), most=1))[0]
    reader = chosen(service.videos, min_confidence, tta, threshold, max_faces)
    if service.queued_videos > WAITING:
        raise busy("More videos are waiting than this service takes at a time.")
    stop, loop = threading.Event(), asyncio.get_running_loop()
    service.queued_videos += 1
    try:
        return JSONResponse(
            await loop.run_in_executor(
                service.films, lambda: _read(reader, upload, every, smooth, service.settings.video_seconds, stop)
            )
        )
    finally:
        stop.set()  # whoever asked may have given up
        service.queued_videos -= 1


def _read(
    reader: Recognizer, upload: Upload, every: int, smooth: float, seconds: float, stop: threading.Event
) -> dict[str, Any]:
    """All that is told of a video, in JSON types."""
    frames, end = [], 0.0
    if stop.is_set():
        return {}
    with VideoReader(upload.name or "the video", upload.data, max_pixels=PIXELS, stop=stop) as clip:
        if clip.duration is not None and clip.duration > seconds:
            raise _too_long(seconds)
        with closing(analyze_frames(reader.pipeline, clip, every=every, smooth=smooth)) as told:
            for frame in told:
                if frame.time > seconds:
                    raise _too_long(seconds)
                frames.append({**frame.to_dict(), "source": upload.name})
                end = frame.time
    if stop.is_set():
        return {}  # nobody hears it
    return {
        "source": upload.name,
        "model": reader.pipeline.model_name,
        "detector": reader.detector.name,
        "seconds": round(end if clip.duration is None else clip.duration, 4),
        "frames": frames,
        "notes": clip.notes,
    }


def _too_long(seconds: float) -> Problem:
    return Problem(413, "too_long", f"The video is longer than the {seconds:g} seconds taken here.", _LONGER_ONES)
