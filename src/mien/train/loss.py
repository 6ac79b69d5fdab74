"""The training loss: cross-entropy with smoothing, class weights and logit adjustment."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mien.train.imbalance import adjust_logits, class_frequencies, class_weights
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
    def from_recipe(cls, recipe: Recipe, target_NK: Tensor) -> Loss:
        """Return the loss of a recipe.

        Args:
            recipe: Recipe of the run.
            target_NK: Training targets, float32 [N,K], in which the classes are counted.
        """
        weight_K = class_weights(target_NK, recipe.class_weights) if recipe.class_weights > 0 else None
        tau = recipe.logit_adjustment
        shift_K = tau * class_frequencies(target_NK).log() if tau else None
        return cls(SCHEMES[recipe.scheme], weight_K, recipe.label_smoothing, shift_K)

    def __call__(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Weighted losses are averaged over the faces, not over their weights, so that a batch with more faces of rare
        classes has a larger gradient. A face with several classes has the mean of their weights, by its target.

        Args:
            log_p_BK: Log-probabilities, float32 [B,K].
            target_BK: Targets, float32 [B,K]; each row sums to 1.
        """
        if self.shift_K is not None:
            log_p_BK = adjust_logits(log_p_BK, self.shift_K)
        loss_B = self.scheme.loss(log_p_BK, target_BK)
        if self.smoothing:
            # Cross-entropy is linear in its target, so smoothing can be added to the loss of any scheme.
            loss_B = (1 - self.smoothing) * loss_B - self.smoothing * log_p_BK.mean(1)
        if self.weight_K is not None:
            loss_B = loss_B * (target_BK * self.weight_K).sum(1)
        return loss_B.mean()
