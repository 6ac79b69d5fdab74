"""Which epoch is judged, and when training is over, by hand."""

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
def test_the_best_epoch_and_of_equals_the_earliest(select: str, epoch: int) -> None:
    assert select_epoch(HISTORY, select) == epoch


def test_before_the_first_epoch_none_is_chosen() -> None:
    assert select_epoch([], "last") == select_epoch([], "val_loss") == 0


@pytest.mark.parametrize(
    ("select", "patience", "over"),
    [
        ("val_accuracy", 2, True),  # the best is epoch 2 of 4
        ("val_accuracy", 3, False),
        ("val_macro_f1", 2, False),  # the best is epoch 3
        ("val_macro_f1", 1, True),
        ("val_accuracy", 0, False),  # no patience asked for, none to run out
    ],
)
def test_patience_runs_out(select: str, patience: int, over: bool) -> None:
    assert is_finished(HISTORY, 9, select, patience) is over


def test_all_epochs_done_is_over() -> None:
    assert is_finished(HISTORY, 4, "last", 0)
    assert not is_finished(HISTORY, 5, "last", 0)
    assert not is_finished([], 1, "val_loss", 1)


def test_the_judge_can_speak_of_every_measure() -> None:
    assert set(SELECTION_METRICS) == set(MEASURES)
