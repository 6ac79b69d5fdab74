"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

# Name -> factor of the learning rate at a point between the end of the warm-up (0) and the end of training (1).
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    # Half a cosine (Loshchilov & Hutter 2017, equation 5 without restarts, arXiv 1608.03983).
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    # Linear decay; with a warm-up the learning rate is a triangle (Smith 2017, section 3.1, arXiv 1506.01186).
    "triangular": lambda progress: 1 - progress,
}


def learning_rate(schedule: str, peak: float, step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Return the learning rate of a step.

    Args:
        schedule: Name in `SCHEDULES`.
        peak: Highest learning rate.
        step: Number of the step, counted from 0 over the whole training.
        warmup_steps: Number of warm-up steps, in which the rate rises linearly; the last of them has the rate `peak`
            (Goyal et al. 2017, section 2.2, arXiv 1706.02677).
        total_steps: Number of all steps; a decaying schedule would reach 0 one step after the last.

    >>> [learning_rate("triangular", 1.0, step, warmup_steps=2, total_steps=4) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * SCHEDULES[schedule]((step - warmup_steps) / (total_steps - warmup_steps))
