"""The registry of architectures: a name, and a function that builds the net for a number of classes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mien.errors import MienError
from mien.train.models.face_net import FaceNet

Builder = Callable[[int], FaceNet]
MODELS: dict[str, Builder] = {}


def model(build: Builder) -> Builder:
    """Register `build(num_classes)` under its own name; a second function of that name is an error."""
    name = build.__name__
    if name in MODELS:
        raise MienError(f"two architectures are called '{name}'")
    MODELS[name] = build
    return build


def build_model(name: str, num_classes: int) -> FaceNet:
    """The net `name` with fresh weights; it maps [N,1,48,48] to log-probabilities [N,num_classes]."""
    if name not in MODELS:
        raise MienError(f"unknown model '{name}'; there is: {', '.join(sorted(MODELS))}")
    # Channels last is what convolutions run fastest in, on CPUs with bf16 and on GPUs.
    net: FaceNet = MODELS[name](num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


from mien.train.models import deep_emotion as _deep_emotion  # noqa: E402, F401  fills the registry
from mien.train.models import mien as _mien  # noqa: E402, F401
from mien.train.models import seed_cnn as _seed_cnn  # noqa: E402, F401
from mien.train.models import vgg13 as _vgg13  # noqa: E402, F401
