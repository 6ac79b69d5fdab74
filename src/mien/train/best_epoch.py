"""Selection of the best epoch on validation, and early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.evaluation.selection import LAST

# Metric of an epoch -> whether higher is better.
MEASURES = {"val_accuracy": True, "val_macro_f1": True, "val_loss": False}


def select_epoch(history: Sequence[Mapping[str, float]], select: str) -> int:
    """Return the number of the epoch that `select` selects, counted from 1.

    Args:
        history: Metrics of the finished epochs.
        select: `last`, or the metric to select by, a key of `MEASURES`. Of equal epochs the earliest is selected.

    Returns:
        The epoch number; 0 for an empty history.

    Example:
        >>> select_epoch([{"val_loss": 1.4}, {"val_loss": 1.2}, {"val_loss": 1.3}], "val_loss")
        2
    """
    if not history or select == LAST:
        return len(history)
    sign = 1 if MEASURES[select] else -1
    best = max(sign * epoch[select] for epoch in history)
    return next(i for i, epoch in enumerate(history, 1) if sign * epoch[select] == best)


def is_finished(history: Sequence[Mapping[str, float]], epochs: int, select: str, patience: int) -> bool:
    """Return whether training is over.

    Args:
        history: Metrics of the finished epochs.
        epochs: Number of epochs of the recipe.
        select: Metric that early stopping watches, or `last`.
        patience: Number of epochs without a better `select` after which training stops; 0 to never stop early.
    """
    stopped_early = patience > 0 and len(history) - select_epoch(history, select) >= patience
    return len(history) >= epochs or stopped_early
