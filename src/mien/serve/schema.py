"""Shapes of the responses for OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel


class BoxShape(BaseModel):
    """A rectangle in pixels of the image as it is seen."""

    left: float
    top: float
    width: float
    height: float


class FaceShape(BaseModel):
    """One face and what its expression is told to be."""

    box: BoxShape
    score: float
    landmarks: list[tuple[float, float]]
    label: str
    confidence: float
    probabilities: dict[str, float]


class PersonShape(FaceShape):
    """One face of a frame, and whose it is."""

    person: int


class AnalysisShape(BaseModel):
    """What was read in one image."""

    source: str
    width: int
    height: int
    model: str
    detector: str
    faces: list[FaceShape]
    error: str | None


class ResultsShape(BaseModel):
    """What was read in the images of a request, in their order."""

    results: list[AnalysisShape]


class FrameShape(BaseModel):
    """What was read in one frame of a video."""

    index: int
    time: float
    width: int
    height: int
    faces: list[PersonShape]


class VideoShape(BaseModel):
    """What was read in a video."""

    source: str
    model: str
    detector: str
    seconds: float
    frames: list[FrameShape]
    notes: list[str]


class ModelShape(BaseModel):
    """A model that is served."""

    name: str
    routes: list[str]
    labels: list[str]
    card: dict[str, object]


class ModelsShape(BaseModel):
    """The models that are served."""

    models: list[ModelShape]


class StateShape(BaseModel):
    """How the service is."""

    status: str


class ErrorShape(BaseModel):
    """Why a request was not served."""

    code: str
    message: str
    hint: str


class ProblemShape(BaseModel):
    """The answer to a request that was not served."""

    error: ErrorShape
