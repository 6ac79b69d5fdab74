"""Exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ModelEMA:
    """Exponential moving average (EMA) of a model's weights and batch normalization statistics.

    The decay at step t is min(`decay`, (1 + t) / (10 + t)), so that the random initial weights have little influence;
    TensorFlow's ExponentialMovingAverage does the same with `num_updates`.

    Args:
        model: Model that is trained.
        decay: Share of the average that is kept at each step, such as 0.999.

    Attributes:
        model: Copy of the model with the averaged weights.

    >>> model = nn.Linear(2, 2)
    >>> ema = ModelEMA(model, decay=0.9)
    >>> ema.update(step=0)
    >>> torch.equal(ema.model.weight, model.weight)
    True
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._decay = decay
        self._pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a training step.

        Args:
            step: Number of the step, counted from 0 over the whole training.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        floats = [(a, b) for a, b in self._pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for average, current in self._pairs:
            if not average.is_floating_point():  # the number of batches of a batch normalization
                average.copy_(current)
