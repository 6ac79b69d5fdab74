"""A model as evaluation sees it, from an ONNX file or a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mien.evaluation.robustness import Ask
from mien.evaluation.selection import LAST
from mien.imaging.crop import DEFAULT_CROP_RULE, CropRule
from mien.model import Model
from mien.model_card import MAJORITY_VOTE, Calibration


@dataclass(frozen=True, eq=False)
class Predictor:
    """What can be asked, and what its figures depend on.

    Attributes:
        labels: its classes, in the order of the probabilities.
        ask: grey faces uint8 [N,48,48] in, probabilities float [N,K] out.
        tta: how it asks: `none`, or `flip`, averaged with the mirror image.
        trained_on: name, digest and faces per split of the data that it learned from, as its record has them.
        by_votes: whether FER+'s votes alone taught it.
        select: what chose its epoch, always on validation; `last` for nothing.
        rule: how faces are cut out for it.
        calibration: its temperature; None for weights, which have none yet.
        temperature: what the logits behind an answer of `ask` were divided by; None where that is no one number.
    """

    labels: tuple[str, ...]
    ask: Ask
    trained_on: Mapping[str, Any]
    tta: str = "none"
    by_votes: bool = False
    select: str = LAST
    rule: CropRule = DEFAULT_CROP_RULE
    calibration: Calibration | None = None
    temperature: float | None = None

    @classmethod
    def of(cls, model: Model, tta: str = "none") -> Predictor:
        """A model as a file; `tta` is `none`, or `flip`, averaged with the mirror image."""
        card = model.card
        return cls(
            labels=card.labels.names,
            ask=partial(model.probabilities, tta=tta),
            trained_on=card.data,
            tta=tta,
            by_votes=card.data.get("truth") == MAJORITY_VOTE,
            select=str(card.origin.get("select", LAST)),
            rule=card.crop,
            calibration=card.calibration,
            # A mean of two forwards has none, nor have probabilities that are adjusted after it.
            temperature=card.calibration.temperature if tta == "none" and model.prior is None else None,
        )
