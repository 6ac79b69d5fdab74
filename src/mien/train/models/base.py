"""The base class of all architectures and their registry.

A model maps faces to feature maps, feature maps to logits, and logits to log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from mien.errors import MienError


class ExpressionModel(nn.Module):
    """Base class of the architectures: a model in two parts, so that the export can output the maps between them.

    A subclass names its last layer `head`: fine-tuning keeps or replaces its rows by the names of the classes.

    Attributes:
        pooled: Whether the logits are `head` applied to the mean of each map. If so, `head` turns the maps into class
            activation maps (Zhou et al. 2016, arXiv 1512.04150).
        head: Last layer.
    """

    pooled = False
    head: nn.Module

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Compute the last feature maps [N,C,h,w] of normalized gray faces [N,1,48,48]."""
        raise NotImplementedError

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """Compute the logits [N,K] from the last feature maps [N,C,h,w]."""
        raise NotImplementedError

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Compute the log-probabilities [N,K] of normalized gray faces [N,1,48,48]."""
        return functional.log_softmax(self.logits(self.maps(x_NCHW)).float(), dim=1)


Builder = Callable[[int], ExpressionModel]
MODELS: dict[str, Builder] = {}


def model(build: Builder) -> Builder:
    """Register an architecture under the name of its function; used as a decorator.

    Args:
        build: Function from the number of classes to a model.

    Raises:
        MienError: Another architecture has this name.
    """
    name = build.__name__
    if name in MODELS:
        raise MienError(f"two architectures have the name '{name}'; rename one of the functions")
    MODELS[name] = build
    return build
