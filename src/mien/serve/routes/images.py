"""`/v1/analyze` and health routes."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from mien.detection.detectors import THRESHOLD
from mien.errors import ImageError
from mien.recognition.results import Analysis
from mien.serve import schema
from mien.serve.errors import busy, problems
from mien.serve.query import MaxFaces, MinConfidence, Threshold, Tta, check_known_options, chosen
from mien.serve.state import Service
from mien.serve.uploads import Upload, read_uploads, takes

router = APIRouter()


@router.post(
    "/v1/analyze",
    responses={200: {"model": schema.ResultsSchema}, **problems(400, 401, 403, 408, 413, 415, 421, 422, 503)},
    dependencies=[Depends(check_known_options)],
    openapi_extra=takes("files", True, "application/octet-stream", "image/*"),
)
async def analyze(
    request: Request,
    min_confidence: MinConfidence = 0.0,
    tta: Tta = "none",
    threshold: Threshold = THRESHOLD,
    max_faces: MaxFaces = None,
) -> JSONResponse:
    """Read the faces in photos: where they are and what they express.

    Send a form with one or many `files`, or one image as it is. Of several, one that cannot be read is a result with
    its `error`; one alone that cannot be read is an error of the request.
    """
    service: Service = request.app.state.service
    uploads = await read_uploads(request, "files", ("image/",))
    reader = chosen(service.photos, min_confidence, tta, threshold, max_faces)

    async def read(upload: Upload) -> Analysis:
        try:
            told = await service.batcher.analyze(reader, upload.data, upload.name)
        except ImageError as error:
            service.service_metrics.images.labels("unreadable").inc()
            if len(uploads) == 1:
                raise
            return reader.pipeline.unreadable(upload.name, str(error)).analysis
        service.service_metrics.images.labels("read").inc()
        service.service_metrics.faces.inc(len(told.faces))
        return told

    with service.batcher.places(len(uploads)):
        results = await asyncio.gather(*map(read, uploads))
    return JSONResponse({"results": [told.to_dict() for told in results]})


@router.get("/v1/models", responses={200: {"model": schema.ModelsSchema}, **problems(401, 403, 421)})
async def models(request: Request) -> JSONResponse:
    """The models that are served, with their cards: classes, licence, figures, and what they must not be used for."""
    service: Service = request.app.state.service
    routes = {"/v1/analyze": service.photos, "/v1/stream": service.photos, "/v1/video": service.videos}
    cards = {reader.model.card.name: reader.model.card for reader in routes.values()}
    told = [
        {
            "name": name,
            "routes": [route for route, reader in routes.items() if reader.model.card.name == name],
            "labels": list(card.labels.names),
            "card": json.loads(card.to_json()),
        }
        for name, card in cards.items()
    ]
    return JSONResponse({"models": told})


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", responses={200: {"model": schema.StatusSchema}})
async def healthz() -> JSONResponse:
    """Whether the process answers."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz", responses={200: {"model": schema.StatusSchema}, **problems(503)})
async def readyz(request: Request) -> JSONResponse:
    """Whether it takes requests: its models are open, its queue is not full and it is not ending."""
    service: Service = request.app.state.service
    if not service.ready:
        raise busy("The service is ending, or has as much to do as it can.")
    return JSONResponse({"status": "ready"})


@router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.service_metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
