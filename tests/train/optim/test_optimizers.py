"""Optimizers: the update rules of the papers, and bit-identical resuming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from crash import CrashingAugmentation, SimulatedCrash
from mien.data.dataset import Dataset
from mien.errors import MienError
from mien.train import Recipe, train
from mien.train.optim.optimizers import OPTIMIZERS

Rule = Callable[[list[np.ndarray], float, float, float, np.ndarray], np.ndarray]
DECAY, MOMENTUM, LR = 0.1, 0.8, 0.05


def sgd(nesterov: bool) -> Rule:
    def rule(gradients: list[np.ndarray], lr: float, beta: float, decay: float, w: np.ndarray) -> np.ndarray:
        v = np.zeros_like(w)
        for gradient in gradients:
            g = gradient + decay * w
            v = beta * v + g
            w = w - lr * (g + beta * v if nesterov else v)
        return w

    return rule


def adam(apart: bool) -> Rule:
    def rule(gradients: list[np.ndarray], lr: float, beta: float, decay: float, w: np.ndarray) -> np.ndarray:
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, gradient in enumerate(gradients, 1):
            g = gradient if apart else gradient + decay * w
            w = w * (1 - lr * decay) if apart else w
            m, v = beta * m + (1 - beta) * g, 0.999 * v + 0.001 * g**2
            w = w - lr * (m / (1 - beta**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return w

    return rule


def muon_of_no_convolution(
    gradients: list[np.ndarray], lr: float, beta: float, decay: float, w: np.ndarray
) -> np.ndarray:
    v = np.zeros_like(w)
    for g in gradients:
        v = beta * v + g
        w = w * (1 - 2 * lr * decay) - 2 * lr * (g + beta * v)
    return w


RULES = {
    "sgd": sgd(False), "nesterov": sgd(True), "adam": adam(False), "adamw": adam(True), "muon": muon_of_no_convolution,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimizer_three_steps(name: str) -> None:
    model = nn.Linear(3, 2, bias=False)
    before = model.weight.detach().double().numpy().copy()
    gradients = [np.random.default_rng(i).normal(size=(2, 3)) for i in range(3)]
    optimizer = OPTIMIZERS[name](model, LR, MOMENTUM, DECAY)
    for gradient in gradients:
        model.weight.grad = torch.from_numpy(gradient).float()
        optimizer.step()
    by_hand = RULES[name](gradients, LR, MOMENTUM, DECAY, before)
    assert np.allclose(model.weight.detach().numpy(), by_hand, atol=1e-5)
    assert not np.allclose(by_hand, before, atol=1e-3)


def polar(gradient: np.ndarray) -> np.ndarray:
    """Return the nearest matrix whose singular values are all 1."""
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (40, 2, 3, 3)])
def test_muon_orthogonalizes_gradients_of_convolutions(shape: tuple[int, ...]) -> None:
    """Five Newton-Schulz steps give singular values between 0.6 and 1.3, so the update is near the polar factor."""
    conv = nn.Conv2d(shape[1], shape[0], 3, bias=False)
    before = conv.weight.detach().double().numpy().copy()
    optimizer = OPTIMIZERS["muon"](conv, LR, MOMENTUM, DECAY)
    gradient = np.random.default_rng(0).normal(size=shape)
    conv.weight.grad = torch.from_numpy(gradient).float()
    optimizer.step()
    step = (before * (1 - LR * DECAY) - conv.weight.detach().double().numpy()).reshape(shape[0], -1)
    step /= LR * max(1.0, shape[0] / 18) ** 0.5
    sizes = np.linalg.svd(step, compute_uv=False)
    assert 0.6 < sizes.min() < sizes.max() < 1.3
    expected = polar(gradient.reshape(shape[0], -1))
    assert (step * expected).sum() / np.linalg.norm(step) / np.linalg.norm(expected) > 0.97


def test_muon_uses_nesterov_momentum() -> None:
    """The second step of a convolution uses the momentum of both gradients, one step ahead."""
    conv = nn.Conv2d(2, 6, 3, bias=False)
    optimizer = OPTIMIZERS["muon"](conv, LR, MOMENTUM, 0.0)
    first, second = np.random.default_rng(1).normal(size=(2, 6, 18))
    for gradient in (first, second):
        before = conv.weight.detach().double().numpy().copy()
        conv.weight.grad = torch.from_numpy(gradient.reshape(6, 2, 3, 3)).float()
        optimizer.step()
    memory = MOMENTUM * (1 - MOMENTUM) * first + (1 - MOMENTUM) * second
    expected = polar((1 - MOMENTUM) * second + MOMENTUM * memory)
    step = (before - conv.weight.detach().double().numpy()).reshape(6, -1) / LR
    assert (step * expected).sum() / np.linalg.norm(step) / np.linalg.norm(expected) > 0.97


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_resumed_run_is_bit_identical(name: str, small: Recipe, toy: Dataset, tmp_path: Path) -> None:
    recipe = replace(small, optimizer=name, epochs=3, lr=0.002)
    whole = train(recipe, toy, tmp_path / "whole").checkpoint()

    with pytest.raises(SimulatedCrash):  # in the third epoch: there are three batches in each
        train(
            replace(recipe, augment=(CrashingAugmentation(recipe.augment[0], 2 * 3), *recipe.augment[1:])),
            toy,
            tmp_path / "cut",
        )
    resumed = train(recipe, toy, tmp_path / "cut", resume=True).checkpoint()
    for part in ("model", "optimizer"):
        ours, theirs = getattr(resumed, part), getattr(whole, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours), part


def test_nesterov_without_momentum_raises() -> None:
    with pytest.raises(MienError, match="momentum must be above 0 with optimizer nesterov"):
        Recipe("any", optimizer="nesterov", momentum=0.0)


def test_unknown_optimizer_lists_the_available_ones() -> None:
    with pytest.raises(MienError, match="optimizer must be one of sgd, nesterov, adam, adamw, muon"):
        Recipe("any", optimizer="lion")
