"""The base class of all architectures and their registry.

A model maps faces to feature maps, feature maps to logits, and logits to log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from mien.errors import MienError


class ExpressionModel(nn.Module):
    """A model in two parts, so that export can give the maps between them a name.

    A subclass calls its last layer `head`: fine-tuning keeps or renews its rows by the names of the classes. Where the
    logits are `head` applied to the mean of each map, `head` alone turns the maps into class activation maps (Zhou et
    al. 2016, arXiv 1512.04150); such a model says so by `pooled`.
    """

    pooled = False
    head: nn.Module

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Grey faces [N,1,48,48], normalised -> the last feature maps [N,C,h,w]."""
        raise NotImplementedError

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """The last feature maps [N,C,h,w] -> logits [N,K]."""
        raise NotImplementedError

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Grey faces [N,1,48,48], normalised -> log-probabilities [N,K]."""
        return functional.log_softmax(self.logits(self.maps(x_NCHW)).float(), dim=1)


Builder = Callable[[int], ExpressionModel]
MODELS: dict[str, Builder] = {}


def model(build: Builder) -> Builder:
    """Register `build(num_classes)` under its own name.

    Raises:
        MienError: Another architecture has this name.
    """
    name = build.__name__
    if name in MODELS:
        raise MienError(f"two architectures are called '{name}'")
    MODELS[name] = build
    return build
