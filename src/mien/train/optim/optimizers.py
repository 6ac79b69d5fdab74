"""Registry of optimizers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from mien.train.optim.muon import Muon

# Name -> constructor from the model, and the learning rate, momentum and weight decay of a recipe.
OPTIMIZERS: dict[str, Callable[[nn.Module, float, float, float], Optimizer]] = {
    "sgd": lambda model, lr, momentum, decay: torch.optim.SGD(
        model.parameters(), lr=lr, momentum=momentum, weight_decay=decay
    ),
    # Sutskever et al. 2013, section 2: the gradient at the weights after the momentum step.
    "nesterov": lambda model, lr, momentum, decay: torch.optim.SGD(
        model.parameters(), lr=lr, momentum=momentum, weight_decay=decay, nesterov=True
    ),
    # Kingma & Ba 2014, arXiv 1412.6980. The recipe's momentum is beta 1; weight decay is added to the gradient.
    "adam": lambda model, lr, momentum, decay: torch.optim.Adam(
        model.parameters(), lr=lr, betas=(momentum, 0.999), weight_decay=decay
    ),
    # Loshchilov & Hutter 2017, arXiv 1711.05101: decoupled weight decay.
    "adamw": lambda model, lr, momentum, decay: torch.optim.AdamW(
        model.parameters(), lr=lr, betas=(momentum, 0.999), weight_decay=decay
    ),
    # Jordan et al. 2024, with decoupled weight decay.
    "muon": Muon,
}
