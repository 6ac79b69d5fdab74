"""The running average of weights, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.train.optim.ema import ModelEMA


def test_the_average_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = ModelEMA(model, keep=0.2)
    told = []
    for step, weight in enumerate([2.0, 4.0, 0.0]):
        nn.init.constant_(model.weight, weight)
        average.update(step)
        told.append(float(average.model.weight))
    # The first step keeps (1 + 0)/(10 + 0) = 0.1, the second 2/11, the third min(0.2, 3/12) = 0.2.
    first = 0.1 * 1 + 0.9 * 2
    second = 2 / 11 * first + 9 / 11 * 4
    assert told == pytest.approx([first, second, 0.2 * second])
    assert model.weight.item() == 0.0  # the model itself is left alone


def test_statistics_of_batch_norm_are_averaged_and_counts_copied() -> None:
    model = nn.BatchNorm1d(2)
    average = ModelEMA(model, keep=0.0)
    model(torch.randn(8, 2))
    average.update(0)
    for mine, theirs in zip(average.model.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.allclose(mine.float(), theirs.float())
        assert mine.data_ptr() != theirs.data_ptr()


def test_the_average_is_never_trained() -> None:
    assert not any(p.requires_grad for p in ModelEMA(nn.Linear(2, 2), 0.9).model.parameters())
