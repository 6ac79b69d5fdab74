"""A model as evaluation sees it, from an ONNX file or a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mien.evaluation.robustness import PredictFunction
from mien.evaluation.selection import LAST
from mien.imaging.crop import DEFAULT_CROP_RULE, CropRule
from mien.model import Model
from mien.model_card import MAJORITY_VOTE, Calibration


@dataclass(frozen=True, eq=False)
class Predictor:
    """A predict function and the facts that its evaluation depends on.

    Attributes:
        labels: Class names in the order of the probabilities.
        predict: Predict function: grayscale faces uint8 [N,48,48] in, probabilities float [N,K] out.
        trained_on: Name, digest and faces per split of the training data, as in the record of the run.
        tta: Test-time augmentation: `none`, or `flip`, averaged with the mirror image.
        by_votes: Whether the training labels are FER+'s votes alone.
        select: Metric on validation that selected the epoch; `last` for the last epoch.
        rule: Crop rule of the model.
        calibration: Temperature of the model; None for weights, which have none yet.
        temperature: Temperature that the logits of `predict` are divided by; None if there is not a single one.
    """

    labels: tuple[str, ...]
    predict: PredictFunction
    trained_on: Mapping[str, Any]
    tta: str = "none"
    by_votes: bool = False
    select: str = LAST
    rule: CropRule = DEFAULT_CROP_RULE
    calibration: Calibration | None = None
    temperature: float | None = None

    @classmethod
    def of(cls, model: Model, tta: str = "none") -> Predictor:
        """Return the predictor of an ONNX model.

        Args:
            model: An opened model.
            tta: `none`, or `flip`, averaged with the mirror image.

        Example:
            >>> import mien
            >>> Predictor.of(mien.model.load("nano")).labels[:2]
            ('angry', 'disgust')
        """
        card = model.card
        return cls(
            labels=card.labels.names,
            predict=partial(model.probabilities, tta=tta),
            trained_on=card.data,
            tta=tta,
            by_votes=card.data.get("truth") == MAJORITY_VOTE,
            select=str(card.origin.get("select", LAST)),
            rule=card.crop,
            calibration=card.calibration,
            # The mean of two forwards has no temperature, nor have probabilities adjusted to a prior.
            temperature=card.calibration.temperature if tta == "none" and model.prior is None else None,
        )
