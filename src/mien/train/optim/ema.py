"""Exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ModelEMA:
    """An exponential moving average (EMA) of a model's weights and batch-norm statistics.

    The share that is kept rises with the steps taken, min(`keep`, (1 + t)/(10 + t)), so that the random first weights
    are soon forgotten; it is what TensorFlow's ExponentialMovingAverage does with `num_updates`.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._keep = keep
        self._pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0 over the whole training."""
        keep = min(self._keep, (1 + step) / (10 + step))
        averaged = [(a, b) for a, b in self._pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in averaged], [b for _, b in averaged], 1 - keep)
        for mine, theirs in self._pairs:
            if not mine.is_floating_point():  # batch norm's count of batches
                mine.copy_(theirs)
