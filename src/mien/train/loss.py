"""What is made small: negative log-likelihood, with smoothed targets and weighted classes where the recipe says so."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mien.train.imbalance import class_weights
from mien.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Loss:
    """The mean loss of a batch; `weight_K` float32 [K] or None where all faces count the same."""

    weight_K: Tensor | None
    smoothing: float

    @classmethod
    def of(cls, recipe: Recipe, labels_N: Tensor, classes: int) -> Loss:
        """What `recipe` asks for; the classes are counted in the training labels."""
        weighted = recipe.class_weights > 0
        weight_K = class_weights(labels_N, classes, recipe.class_weights) if weighted else None
        return cls(weight_K, recipe.label_smoothing)

    def __call__(self, log_p_BK: Tensor, label_B: Tensor) -> Tensor:
        """Log-probabilities and labels -> the loss, a scalar.

        Weighted losses are averaged over the faces, not over their weights, so that a batch with more faces of rare
        classes pulls harder.
        """
        if self.weight_K is None and not self.smoothing:
            return functional.nll_loss(log_p_BK, label_B)
        own_B = log_p_BK.gather(1, label_B[:, None])[:, 0]
        loss_B = -(1 - self.smoothing) * own_B - self.smoothing * log_p_BK.mean(1)
        return (loss_B if self.weight_K is None else loss_B * self.weight_K[label_B]).mean()
