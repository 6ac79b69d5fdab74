"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

# What is left of the rate when a share of the way from the end of the warm-up (0) to the end of training (1) is gone.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda gone: 1.0,
    # Half a cosine (Loshchilov & Hutter 2017, equation 5 without restarts, arXiv 1608.03983).
    "cosine": lambda gone: 0.5 * (1 + math.cos(math.pi * gone)),
    # With a warm-up the rate is a triangle (Smith 2017, section 3.1, one cycle, arXiv 1506.01186); without, a slope.
    "triangular": lambda gone: 1 - gone,
}


def rate(schedule: str, peak: float, step: int, *, warm: int, whole: int) -> float:
    """The learning rate of a step, counted from 0 over the whole training.

    Args:
        schedule: a name in `SCHEDULES`.
        peak: the highest rate.
        warm: the steps of the warm-up, which rises in equal parts and reaches `peak` with its last step (Goyal et al.
            2017, section 2.2, arXiv 1706.02677).
        whole: all steps; a falling schedule would reach 0 one step after the last.
    """
    if step < warm:
        return peak * (step + 1) / warm
    return peak * SCHEDULES[schedule]((step - warm) / (whole - warm))
