"""Shapes of the responses for OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel


class BoxSchema(BaseModel):
    """A rectangle in pixels of the image as it is seen."""

    left: float
    top: float
    width: float
    height: float


class FaceSchema(BaseModel):
    """One face and what its expression is told to be."""

    box: BoxSchema
    score: float
    landmarks: list[tuple[float, float]]
    label: str
    confidence: float
    probabilities: dict[str, float]


class PersonFaceSchema(FaceSchema):
    """One face of a frame, and whose it is."""

    person: int


class AnalysisSchema(BaseModel):
    """What was read in one image."""

    source: str
    width: int
    height: int
    model: str
    detector: str
    faces: list[FaceSchema]
    error: str | None


class ResultsSchema(BaseModel):
    """What was read in the images of a request, in their order."""

    results: list[AnalysisSchema]


class FrameSchema(BaseModel):
    """Result of one frame of a video: that of an image, with the frame's number and time."""

    source: str
    index: int
    time: float
    width: int
    height: int
    model: str
    detector: str
    faces: list[PersonFaceSchema]
    error: str | None


class VideoSchema(BaseModel):
    """What was read in a video."""

    source: str
    model: str
    detector: str
    seconds: float
    frames: list[FrameSchema]
    notes: list[str]


class ModelSchema(BaseModel):
    """A model that is served."""

    name: str
    routes: list[str]
    labels: list[str]
    card: dict[str, object]


class ModelsSchema(BaseModel):
    """The models that are served."""

    models: list[ModelSchema]


class StatusSchema(BaseModel):
    """How the service is."""

    status: str


class ErrorSchema(BaseModel):
    """Why a request was not served."""

    code: str
    message: str
    hint: str


class ErrorResponseSchema(BaseModel):
    """The answer to a request that was not served."""

    error: ErrorSchema
