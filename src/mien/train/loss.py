"""The training loss: cross-entropy with smoothing, class weights and logit adjustment."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mien.train.imbalance import class_frequencies, class_weights, with_prior
from mien.train.recipe import Recipe
from mien.train.targets.schemes import SCHEMES, Scheme


@dataclass(frozen=True, eq=False)
class Loss:
    """The mean loss of a batch.

    Attributes:
        scheme: Label scheme, which gives the loss of each face.
        weight_K: Class weights, float32 [K]; None where all faces count the same.
        smoothing: Share of each target that is spread evenly over all classes.
        shift_K: Logit adjustment tau * log(class frequency), float32 [K]; None without it.
    """

    scheme: Scheme
    weight_K: Tensor | None
    smoothing: float
    shift_K: Tensor | None = None

    @classmethod
    def of(cls, recipe: Recipe, target_NK: Tensor) -> Loss:
        """What `recipe` asks for; the classes are counted in the training targets, float32 [N,K]."""
        weight_K = class_weights(target_NK, recipe.class_weights) if recipe.class_weights > 0 else None
        tau = recipe.logit_adjustment
        shift_K = tau * class_frequencies(target_NK).log() if tau else None
        return cls(SCHEMES[recipe.scheme], weight_K, recipe.label_smoothing, shift_K)

    def __call__(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Log-probabilities and targets, rows of which sum to 1 -> the loss, a scalar.

        Weighted losses are averaged over the faces, not over their weights, so that a batch with more faces of rare
        classes pulls harder; a face of several classes has the mean of their weights, by its shares.
        """
        if self.shift_K is not None:
            log_p_BK = with_prior(log_p_BK, self.shift_K)
        loss_B = self.scheme.loss(log_p_BK, target_BK)
        if self.smoothing:
            # Cross-entropy is linear in its target; taken apart so, smoothing is the same for every scheme.
            loss_B = (1 - self.smoothing) * loss_B - self.smoothing * log_p_BK.mean(1)
        if self.weight_K is not None:
            loss_B = loss_B * (target_BK * self.weight_K).sum(1)
        return loss_B.mean()
