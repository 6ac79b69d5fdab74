"""Architectures: `build_model` makes one by its name in `MODELS`. To add one, import its module here."""

from __future__ import annotations

import torch

from mien.errors import MienError
from mien.train.models import deep_emotion, mien, seed_cnn, vgg13  # noqa: F401  each registers its architectures
from mien.train.models.base import MODELS, ExpressionModel, model

__all__ = ["MODELS", "ExpressionModel", "build_model", "model"]


def build_model(name: str, num_classes: int) -> ExpressionModel:
    """Build a model with random weights.

    Args:
        name: Name of an architecture in `MODELS`.
        num_classes: Number of classes, K.

    Returns:
        A module that maps normalized gray faces, float32 [N,1,48,48], to log-probabilities [N,K].

    Raises:
        MienError: No architecture has this name.

    >>> log_p_NK = build_model("mien_nano", num_classes=7).eval()(torch.zeros(2, 1, 48, 48))
    >>> log_p_NK.shape
    torch.Size([2, 7])
    """
    if name not in MODELS:
        raise MienError(f"unknown model '{name}'; available: {', '.join(sorted(MODELS))}")
    # Convolutions are fastest with channels last, on CPUs with bf16 and on GPUs.
    built: ExpressionModel = MODELS[name](num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return built
