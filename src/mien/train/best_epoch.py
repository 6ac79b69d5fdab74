"""Selection of the best epoch on validation, and early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.evaluation.selection import LAST

# Figure of an epoch -> whether more of it is better.
MEASURES = {"val_accuracy": True, "val_macro_f1": True, "val_loss": False}


def select_epoch(history: Sequence[Mapping[str, float]], select: str) -> int:
    """The epoch, counted from 1, that `select` chooses among those done; of equals the earliest; 0 before the first."""
    if not history or select == LAST:
        return len(history)
    sign = 1 if MEASURES[select] else -1
    best = max(sign * epoch[select] for epoch in history)
    return next(i for i, epoch in enumerate(history, 1) if sign * epoch[select] == best)


def is_finished(history: Sequence[Mapping[str, float]], epochs: int, select: str, patience: int) -> bool:
    """Whether all epochs are done, or `patience` of them have brought nothing better (early stopping)."""
    stalled = patience > 0 and len(history) - select_epoch(history, select) >= patience
    return len(history) >= epochs or stalled
