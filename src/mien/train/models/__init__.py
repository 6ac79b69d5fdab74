"""Architectures: `build_model` makes one by its name in `MODELS`. To add one, import its module here."""

from __future__ import annotations

import torch

from mien.errors import MienError
from mien.train.models import deep_emotion, mien, seed_cnn, vgg13  # noqa: F401  each registers its architectures
from mien.train.models.base import MODELS, ExpressionModel, model

__all__ = ["MODELS", "ExpressionModel", "build_model", "model"]


def build_model(name: str, num_classes: int) -> ExpressionModel:
    """Return the model `name` with fresh weights, which maps [N,1,48,48] to log-probabilities [N,num_classes].

    Raises:
        MienError: No architecture is called `name`.
    """
    if name not in MODELS:
        raise MienError(f"unknown model '{name}'; available: {', '.join(sorted(MODELS))}")
    # Channels last is what convolutions run fastest in, on CPUs with bf16 and on GPUs.
    built: ExpressionModel = MODELS[name](num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return built
