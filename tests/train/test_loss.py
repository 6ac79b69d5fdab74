"""The loss, held against torch's own where torch has it and against hand-made sums where not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from mien.train import Recipe
from mien.train.loss import Loss

LOGITS_BK = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, -2.0, 0.0]])
LABEL_B = torch.tensor([0, 1, 1, 2])


def loss(recipe: Recipe, labels_N: torch.Tensor = LABEL_B) -> float:
    return float(Loss.of(recipe, labels_N, 3)(functional.log_softmax(LOGITS_BK, 1), LABEL_B))


def test_plain_and_smoothed_are_torchs() -> None:
    assert loss(Recipe("plain")) == float(functional.cross_entropy(LOGITS_BK, LABEL_B))
    smoothed = functional.cross_entropy(LOGITS_BK, LABEL_B, label_smoothing=0.1)
    assert loss(Recipe("smooth", label_smoothing=0.1)) == pytest.approx(float(smoothed))


def test_weights_are_of_the_training_labels_and_averaged_over_faces() -> None:
    training_N = torch.tensor([0] * 6 + [1] * 3 + [2] * 1)
    weight_K = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    own_B = -functional.log_softmax(LOGITS_BK, 1)[torch.arange(4), LABEL_B]
    expected = float((own_B * weight_K[LABEL_B]).sum() / 4)
    assert loss(Recipe("weighted", class_weights=1.0), training_N) == pytest.approx(expected)


def test_smoothing_and_weights_together() -> None:
    recipe = Recipe("both", class_weights=1.0, label_smoothing=0.3)
    even_N = torch.tensor([0, 1, 2])  # classes of one size weigh 1 each
    assert loss(recipe, even_N) == pytest.approx(loss(replace(recipe, class_weights=0.0)))
