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
from mien.serve.errors import busy, error_responses
from mien.serve.query import MaxFaces, MinConfidence, Threshold, Tta, check_known_options, with_options
from mien.serve.state import Service
from mien.serve.uploads import Upload, read_uploads, request_body_schema

router = APIRouter()


@router.post(
    "/v1/analyze",
    responses={200: {"model": schema.ResultsSchema}, **error_responses(400, 401, 403, 408, 413, 415, 421, 422, 503)},
    dependencies=[Depends(check_known_options)],
    openapi_extra=request_body_schema("files", True, "application/octet-stream", "image/*"),
)
async def analyze(
    request: Request,
    min_confidence: MinConfidence = 0.0,
    tta: Tta = "none",
    threshold: Threshold = THRESHOLD,
    max_faces: MaxFaces = None,
) -> JSONResponse:
    """Detect the faces in photos and recognize their expressions.

    Send a form with one or more `files`, or one image as the body. If one of several images cannot be read, its result
    has an `error`; if the only image cannot be read, the response is an error.
    """
    service: Service = request.app.state.service
    uploads = await read_uploads(request, "files", ("image/",))
    recognizer = with_options(service.photos, min_confidence, tta, threshold, max_faces)

    async def analyze_upload(upload: Upload) -> Analysis:
        try:
            analysis = await service.batcher.analyze(recognizer, upload.data, upload.name)
        except ImageError as error:
            service.service_metrics.images.labels("unreadable").inc()
            if len(uploads) == 1:
                raise
            return recognizer.pipeline.unreadable(upload.name, str(error)).analysis
        service.service_metrics.images.labels("read").inc()
        service.service_metrics.faces.inc(len(analysis.faces))
        return analysis

    with service.batcher.reserve(len(uploads)):
        results = await asyncio.gather(*map(analyze_upload, uploads))
    return JSONResponse({"results": [analysis.to_dict() for analysis in results]})


@router.get("/v1/models", responses={200: {"model": schema.ModelsSchema}, **error_responses(401, 403, 421)})
async def list_models(request: Request) -> JSONResponse:
    """Return the models of this service with their cards: classes, prior, license, scores and excluded uses."""
    service: Service = request.app.state.service
    routes = {"/v1/analyze": service.photos, "/v1/stream": service.photos, "/v1/video": service.videos}
    by_name = {recognizer.model.card.name: recognizer.model for recognizer in routes.values()}
    models = [
        {
            "name": name,
            "routes": [route for route, recognizer in routes.items() if recognizer.model.card.name == name],
            "labels": list(model.labels.names),
            "prior": None if model.prior is None else model.prior.option,
            "card": json.loads(model.card.to_json()),
        }
        for name, model in by_name.items()
    ]
    return JSONResponse({"models": models})


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", responses={200: {"model": schema.StatusSchema}})
async def healthz() -> JSONResponse:
    """Liveness: the process responds."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz", responses={200: {"model": schema.StatusSchema}, **error_responses(503)})
async def readyz(request: Request) -> JSONResponse:
    """Readiness: the models are loaded, the queue is not full and the service is not shutting down."""
    service: Service = request.app.state.service
    if not service.ready:
        raise busy("The service is shutting down, or its queue is full.")
    return JSONResponse({"status": "ready"})


@router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
async def metrics(request: Request) -> Response:
    """Return metrics in the Prometheus text format."""
    service: Service = request.app.state.service
    return Response(service.service_metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
