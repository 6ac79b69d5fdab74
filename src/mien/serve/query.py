"""Query parameters of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request

from mien.detection.detectors import ConfigurableDetector
from mien.recognition import Recognizer
from mien.serve.config import MAX_FACES
from mien.serve.errors import Problem

MinConfidence = Annotated[
    float, Query(ge=0, le=1, description="A face whose likeliest class is less likely is `uncertain`.")
]
Tta = Annotated[Literal["none", "flip"], Query(description="`flip` averages with the mirror image, at twice the time.")]
Threshold = Annotated[float, Query(gt=0, le=1, description="How sure the detector must be of a face.")]
MaxFaces = Annotated[
    int | None, Query(ge=1, le=MAX_FACES, description=f"Of an image, the largest; default {MAX_FACES}.")
]


def check_known_options(request: Request) -> None:
    """A `Problem` where the address has an option that its route does not know, such as a misspelt one."""
    known = {option.alias for option in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise Problem(
                422,
                "invalid_option",
                f"There is no option {name[:80]!r} here.",
                f"There are: {', '.join(sorted(known))}.",
            )


def chosen(
    recognizer: Recognizer,
    min_confidence: float,
    tta: str,
    threshold: float,
    max_faces: int | None,
) -> Recognizer:
    """The same model and detector with the options of one request.

    Raises:
        MienError: an option is out of its range.
    """
    detector = recognizer.detector
    return Recognizer(
        recognizer.model,
        detector.with_threshold(threshold) if isinstance(detector, ConfigurableDetector) else detector,
        min_confidence=min_confidence,
        tta=tta,
        max_faces=min(max_faces or MAX_FACES, MAX_FACES),
    )
