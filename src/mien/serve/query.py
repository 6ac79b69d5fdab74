"""Query parameters of the routes."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request

from mien.detection.detectors import ConfigurableDetector
from mien.recognition import Recognizer
from mien.serve.config import MAX_FACES
from mien.serve.errors import Problem

MinConfidence = Annotated[
    float, Query(ge=0, le=1, description="Faces with a lower confidence get the label `uncertain`.")
]
Tta = Annotated[
    Literal["none", "flip"], Query(description="`flip` averages with the mirrored face, which takes twice the time.")
]
Threshold = Annotated[float, Query(gt=0, le=1, description="Lowest detection score of a face.")]
MaxFaces = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_FACES,
        description=f"Largest number of faces of an image; the largest faces are kept. Default {MAX_FACES}.",
    ),
]
Quality = Annotated[
    bool,
    Query(
        description="Measure the quality of each face; faces that are too small, blurred, dark or bright get the label "
        "`uncertain`.",
    ),
]


def check_known_options(request: Request) -> None:
    """Raise a `Problem` where the query string has an option that the route does not have, such as a misspelled one."""
    known = {option.alias for option in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise Problem(
                422,
                "invalid_option",
                f"Unknown option {name[:80]!r}.",
                f"Options: {', '.join(sorted(known))}.",
            )


def with_options(
    recognizer: Recognizer,
    min_confidence: float,
    tta: str,
    threshold: float,
    max_faces: int | None,
    quality: bool,
) -> Recognizer:
    """Return a recognizer with the same model, detector and limits, and the options of one request.

    Raises:
        MienError: An option is out of range.
    """
    detector = recognizer.detector
    return Recognizer(
        recognizer.model,
        detector.with_threshold(threshold) if isinstance(detector, ConfigurableDetector) else detector,
        min_confidence=min_confidence,
        tta=tta,
        max_faces=min(max_faces or MAX_FACES, MAX_FACES),
        max_pixels=recognizer.max_pixels,
        max_bytes=recognizer.max_bytes,
        quality=quality,
    )
