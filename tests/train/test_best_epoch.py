"""Selection of the epoch and early stopping."""

from __future__ import annotations

import pytest

from mien.evaluation.selection import SELECTION_METRICS
from mien.train.best_epoch import MEASURES, is_finished, select_epoch

HISTORY = [
    {"val_accuracy": 0.5, "val_macro_f1": 0.2, "val_loss": 1.4},
    {"val_accuracy": 0.6, "val_macro_f1": 0.4, "val_loss": 1.2},
    {"val_accuracy": 0.6, "val_macro_f1": 0.5, "val_loss": 1.3},
    {"val_accuracy": 0.5, "val_macro_f1": 0.3, "val_loss": 1.5},
]


@pytest.mark.parametrize(("select", "epoch"), [("last", 4), ("val_accuracy", 2), ("val_macro_f1", 3), ("val_loss", 2)])
def test_select_epoch_returns_the_earliest_best_epoch(select: str, epoch: int) -> None:
    assert select_epoch(HISTORY, select) == epoch


def test_select_epoch_without_history_is_0() -> None:
    assert select_epoch([], "last") == select_epoch([], "val_loss") == 0


@pytest.mark.parametrize(
    ("select", "patience", "over"),
    [
        ("val_accuracy", 2, True),  # the best is epoch 2 of 4
        ("val_accuracy", 3, False),
        ("val_macro_f1", 2, False),  # the best is epoch 3
        ("val_macro_f1", 1, True),
        ("val_accuracy", 0, False),  # no early stopping
    ],
)
def test_is_finished_when_patience_runs_out(select: str, patience: int, over: bool) -> None:
    assert is_finished(HISTORY, 9, select, patience) is over


def test_is_finished_after_all_epochs() -> None:
    assert is_finished(HISTORY, 4, "last", 0)
    assert not is_finished(HISTORY, 5, "last", 0)
    assert not is_finished([], 1, "val_loss", 1)


def test_every_metric_has_a_name_in_reports() -> None:
    assert set(SELECTION_METRICS) == set(MEASURES)
