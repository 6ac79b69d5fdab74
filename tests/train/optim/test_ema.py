"""Exponential moving average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.train.optim.ema import ModelEMA


def test_update_averages_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = ModelEMA(model, decay=0.2)
    averages = []
    for step, weight in enumerate([2.0, 4.0, 0.0]):
        nn.init.constant_(model.weight, weight)
        average.update(step)
        averages.append(float(average.model.weight))
    # The decay is (1 + 0)/(10 + 0) = 0.1 at the first step, then 2/11, then min(0.2, 3/12) = 0.2.
    first = 0.1 * 1 + 0.9 * 2
    second = 2 / 11 * first + 9 / 11 * 4
    assert averages == pytest.approx([first, second, 0.2 * second])
    assert model.weight.item() == 0.0  # the model itself is unchanged


def test_update_copies_the_count_of_batch_norm() -> None:
    model = nn.BatchNorm1d(2)
    average = ModelEMA(model, decay=0.0)
    model(torch.randn(8, 2))
    average.update(0)
    for averaged, current in zip(average.model.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.allclose(averaged.float(), current.float())
        assert averaged.data_ptr() != current.data_ptr()


def test_average_needs_no_gradient() -> None:
    assert not any(p.requires_grad for p in ModelEMA(nn.Linear(2, 2), 0.9).model.parameters())
