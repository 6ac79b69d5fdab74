"""Muon optimizer.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
kellerjordan.github.io/posts/muon. As there, the weights of a convolution are a matrix
[output channels, input channels * height * width].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic polynomial, which brings every singular value near 1
SGD_FACTOR = 2.0  # learning rate of the other weights, which use Nesterov momentum, relative to that of convolutions
MUON = "turned"  # key of a parameter group: whether it is updated by Muon; part of checkpoints


class Muon(Optimizer):
    """Muon for convolutions with several input channels, and SGD with Nesterov momentum for all other weights.

    The other weights have twice the learning rate. Weight decay is decoupled (Loshchilov & Hutter 2017): at each step
    weights shrink by `weight_decay` times the learning rate.

    Args:
        model: Model to train.
        lr: Learning rate.
        momentum: Momentum, 0 to 1.
        weight_decay: Weight decay.

    >>> optimizer = Muon(nn.Conv2d(2, 4, 3), lr=0.02, momentum=0.95, weight_decay=0.01)
    >>> [len(group["params"]) for group in optimizer.param_groups]
    [1, 1]
    """

    def __init__(self, model: nn.Module, lr: float, momentum: float, weight_decay: float) -> None:
        parameters = list(model.parameters())
        kernels = [p for p in parameters if p.ndim == 4 and p.shape[1] > 1]
        others = [p for p in parameters if not any(p is kernel for kernel in kernels)]
        groups = [{"params": params, MUON: muon} for params, muon in ((kernels, True), (others, False)) if params]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights by their gradients."""
        for group in self.param_groups:
            momentum, lr = group["momentum"], group["lr"] * (1.0 if group[MUON] else SGD_FACTOR)
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                buffer = state["momentum_buffer"]
                weight.mul_(1 - lr * group["weight_decay"])
                if group[MUON]:
                    buffer.lerp_(weight.grad, 1 - momentum)
                    nesterov_OI = weight.grad.lerp(buffer, momentum).flatten(1)
                    rows, columns = nesterov_OI.shape
                    update = orthogonalize(nesterov_OI).view_as(weight)
                    weight.add_(update, alpha=-lr * max(1.0, rows / columns) ** 0.5)
                else:
                    buffer.mul_(momentum).add_(weight.grad)
                    weight.add_(weight.grad.add(buffer, alpha=momentum), alpha=-lr)


def orthogonalize(matrix_OI: Tensor) -> Tensor:
    """Bring the singular values of a matrix to between about 0.7 and 1.2, by Newton-Schulz iterations in bfloat16.

    Args:
        matrix_OI: Matrix of any shape.

    Returns:
        Matrix of the same shape, float32, with about the same singular vectors.

    >>> values = torch.linalg.svdvals(orthogonalize(torch.diag(torch.tensor([5.0, 1.0]))))
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    x = matrix_OI.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(STEPS):
        square = x @ x.T
        x = A * x + (B * square + C * square @ square) @ x
    result_OI: Tensor = (x.T if tall else x).float()
    return result_OI
