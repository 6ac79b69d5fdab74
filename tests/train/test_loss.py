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
LOG_P_BK = functional.log_softmax(LOGITS_BK, 1)
SHARE_BK = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.4, 0.0, 0.6], [0.2, 0.2, 0.6]])


def one_hot(label_B: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(label_B, 3).float()


def loss(recipe: Recipe, labels_N: torch.Tensor = LABEL_B) -> float:
    return float(Loss.from_recipe(recipe, one_hot(labels_N))(LOG_P_BK, one_hot(LABEL_B)))


def test_plain_and_smoothed_are_torchs() -> None:
    assert loss(Recipe("plain")) == pytest.approx(float(functional.cross_entropy(LOGITS_BK, LABEL_B)), rel=1e-6)
    smoothed = functional.cross_entropy(LOGITS_BK, LABEL_B, label_smoothing=0.1)
    assert loss(Recipe("smooth", label_smoothing=0.1)) == pytest.approx(float(smoothed))


def test_weights_are_of_the_training_labels_and_averaged_over_faces() -> None:
    training_N = torch.tensor([0] * 6 + [1] * 3 + [2] * 1)
    weight_K = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    own_B = -LOG_P_BK[torch.arange(4), LABEL_B]
    expected = float((own_B * weight_K[LABEL_B]).sum() / 4)
    assert loss(Recipe("weighted", class_weights=1.0), training_N) == pytest.approx(expected)


def test_one_label_a_face_pulls_exactly_as_torchs_own_loss_does() -> None:
    """So that what was trained before targets had shares is repeated bit for bit."""
    pulls = []
    for loss_of in (
        lambda log_p_BK: functional.nll_loss(log_p_BK, LABEL_B),
        lambda log_p_BK: Loss.from_recipe(Recipe("plain"), one_hot(LABEL_B))(log_p_BK, one_hot(LABEL_B)),
    ):
        logits_BK = LOGITS_BK.clone().requires_grad_()
        loss_of(functional.log_softmax(logits_BK, 1)).backward()
        pulls.append(logits_BK.grad)
    assert torch.equal(pulls[0], pulls[1])


def test_shares_smoothed_and_weighted_by_hand() -> None:
    plain = Loss.from_recipe(Recipe("plain"), SHARE_BK)(LOG_P_BK, SHARE_BK)
    assert float(plain) == pytest.approx(float(functional.cross_entropy(LOGITS_BK, SHARE_BK)), rel=1e-6)
    smoothed = Loss.from_recipe(Recipe("smooth", label_smoothing=0.2), SHARE_BK)(LOG_P_BK, SHARE_BK)
    assert float(smoothed) == pytest.approx(float(functional.cross_entropy(LOGITS_BK, SHARE_BK, label_smoothing=0.2)))

    weight_K = 4 / (3 * SHARE_BK.sum(0))  # balanced: the classes have 1.3, 1.5 and 1.2 of the four faces
    own_B = -(SHARE_BK * LOG_P_BK).sum(1)
    weighted = Loss.from_recipe(Recipe("weighted", class_weights=1.0), SHARE_BK)(LOG_P_BK, SHARE_BK)
    assert float(weighted) == pytest.approx(float((own_B * (SHARE_BK @ weight_K)).mean()))
    assert float((SHARE_BK @ weight_K).mean()) == pytest.approx(1)


def test_smoothing_and_weights_together() -> None:
    recipe = Recipe("both", class_weights=1.0, label_smoothing=0.3)
    even_N = torch.tensor([0, 1, 2])  # classes of one size weigh 1 each
    assert loss(recipe, even_N) == pytest.approx(loss(replace(recipe, class_weights=0.0)))
