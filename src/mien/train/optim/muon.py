"""Muon optimizer.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
kellerjordan.github.io/posts/muon; a convolution's weights are a matrix of [maps out, all that one of them sees], as
there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic; they bring every singular value near 1, and none exactly there
REST = 2.0  # times the rate: what is no convolution follows Nesterov's momentum, at the pace that suits it there


class Muon(Optimizer):
    """Muon for convolutions that see several maps; Nesterov's momentum at twice the rate for all other weights.

    Weights decay beside their gradient (Loshchilov & Hutter 2017): by `weight_decay` times the rate, at each step.
    """

    def __init__(self, model: nn.Module, lr: float, momentum: float, weight_decay: float) -> None:
        held = list(model.parameters())
        wide = [p for p in held if p.ndim == 4 and p.shape[1] > 1]
        rest = [p for p in held if not any(p is w for w in wide)]
        groups = [{"params": ps, "turned": turned} for ps, turned in ((wide, True), (rest, False)) if ps]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients that the weights hold."""
        for group in self.param_groups:
            keep, rate = group["momentum"], group["lr"] * (1.0 if group["turned"] else REST)
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                memory = state["momentum_buffer"]
                weight.mul_(1 - rate * group["weight_decay"])
                if group["turned"]:
                    memory.lerp_(weight.grad, 1 - keep)
                    prefetch = weight.grad.lerp(memory, keep).flatten(1)
                    high, wide = prefetch.shape
                    weight.add_(orthogonal(prefetch).view_as(weight), alpha=-rate * max(1.0, high / wide) ** 0.5)
                else:
                    memory.mul_(keep).add_(weight.grad)
                    weight.add_(weight.grad.add(memory, alpha=keep), alpha=-rate)


def orthogonal(step_OI: Tensor) -> Tensor:
    """`step_OI` with its singular values brought to between about 0.7 and 1.2, float32 of the same shape.

    Newton and Schulz's iteration in bfloat16, which its coefficients allow for.
    """
    x = step_OI.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(STEPS):
        square = x @ x.T
        x = A * x + (B * square + C * square @ square) @ x
    turned_OI: Tensor = (x.T if tall else x).float()
    return turned_OI
