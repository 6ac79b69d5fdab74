"""Registry of optimizers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from mien.train.optim.muon import Muon

# Each takes the weights, the highest rate, the momentum and the weight decay of a recipe.
OPTIMISERS: dict[str, Callable[[nn.Module, float, float, float], Optimizer]] = {
    "sgd": lambda net, lr, momentum, decay: torch.optim.SGD(
        net.parameters(), lr=lr, momentum=momentum, weight_decay=decay
    ),
    # Sutskever et al. 2013, section 2: the gradient is taken where the momentum will carry the weights.
    "nesterov": lambda net, lr, momentum, decay: torch.optim.SGD(
        net.parameters(), lr=lr, momentum=momentum, weight_decay=decay, nesterov=True
    ),
    # Kingma & Ba 2014, arXiv 1412.6980; the recipe's momentum is its first beta, the decay is added to the gradient.
    "adam": lambda net, lr, momentum, decay: torch.optim.Adam(
        net.parameters(), lr=lr, betas=(momentum, 0.999), weight_decay=decay
    ),
    # Loshchilov & Hutter 2017, arXiv 1711.05101: the decay beside the gradient, not in it.
    "adamw": lambda net, lr, momentum, decay: torch.optim.AdamW(
        net.parameters(), lr=lr, betas=(momentum, 0.999), weight_decay=decay
    ),
    # Jordan et al. 2024; the decay beside the gradient here too.
    "muon": Muon,
}
