"""Schemas of the responses for OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel


class BoxSchema(BaseModel):
    """A box in pixels of the displayed image (after EXIF rotation)."""

    left: float
    top: float
    width: float
    height: float


class FaceSchema(BaseModel):
    """One face and its expression."""

    box: BoxSchema
    score: float
    landmarks: list[tuple[float, float]]
    label: str
    confidence: float
    probabilities: dict[str, float]


class PersonFaceSchema(FaceSchema):
    """One face of a frame and the number of its person."""

    person: int


class AnalysisSchema(BaseModel):
    """Result of one image."""

    source: str
    width: int
    height: int
    model: str
    detector: str
    faces: list[FaceSchema]
    error: str | None


class ResultsSchema(BaseModel):
    """Results of the images of a request, in the same order."""

    results: list[AnalysisSchema]


class FrameSchema(BaseModel):
    """Result of one frame of a video: that of an image, with the index and time of the frame."""

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
    """Result of a video."""

    source: str
    model: str
    detector: str
    seconds: float
    frames: list[FrameSchema]
    notes: list[str]


class ModelSchema(BaseModel):
    """A model of this service."""

    name: str
    routes: list[str]
    labels: list[str]
    prior: str | dict[str, float] | None
    card: dict[str, object]


class ModelsSchema(BaseModel):
    """The models of this service."""

    models: list[ModelSchema]


class StatusSchema(BaseModel):
    """Status of the service."""

    status: str


class ErrorSchema(BaseModel):
    """An error."""

    code: str
    message: str
    hint: str


class ErrorResponseSchema(BaseModel):
    """Body of an error response."""

    error: ErrorSchema
