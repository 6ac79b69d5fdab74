"""Class weights and balanced sampling, by hand and by count."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mien.train.imbalance import balanced_order, class_weights

LABELS_N = torch.tensor([0] * 8 + [1] * 2)


def order(power: float, labels_N: torch.Tensor = LABELS_N, seed: int = 0) -> torch.Tensor:
    return balanced_order(labels_N, power, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (1.0, [10 / (2 * 8), 10 / (2 * 2), 0.0]),  # scikit-learn's balanced: N / (K n_k), of the two classes there are
        (0.5, [10 / (8**0.5 * (8**0.5 + 2**0.5)), 10 / (2**0.5 * (8**0.5 + 2**0.5)), 0.0]),
    ],
)
def test_weights_by_hand(power: float, expected: list[float]) -> None:
    weight_K = class_weights(functional.one_hot(LABELS_N, 3).float(), power)
    assert weight_K.tolist() == pytest.approx(expected)
    assert float(weight_K[LABELS_N].mean()) == pytest.approx(1)


def test_weights_of_faces_that_are_of_several_classes() -> None:
    target_NK = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])  # three faces' worth and one face's
    weight_K = class_weights(target_NK, 1.0)
    assert weight_K.tolist() == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])
    assert float((target_NK @ weight_K).mean()) == pytest.approx(1)


def test_power_0_is_a_plain_permutation() -> None:
    assert torch.equal(order(0), torch.randperm(10, generator=torch.Generator().manual_seed(0)))


def test_power_1_shows_classes_equally_and_faces_of_a_class_equally_often() -> None:
    rows_N = order(1)
    times_N = torch.bincount(rows_N, minlength=10)
    assert len(rows_N) == 10
    assert torch.bincount(LABELS_N[rows_N]).tolist() == [5, 5]
    assert times_N[:8].sort().values.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert times_N[8:].sort().values.tolist() == [2, 3]


def test_in_between_goes_by_square_roots() -> None:
    assert torch.bincount(LABELS_N[order(0.5)]).tolist() == [7, 3]  # 6.67 and 3.33, made whole


def test_counts_add_up_with_many_classes_of_any_size() -> None:
    labels_N = torch.repeat_interleave(torch.tensor([0, 2, 5, 6]), torch.tensor([1, 97, 13, 500]))
    for power in (0.1, 0.37, 0.9, 1.0):
        rows_N = order(power, labels_N)
        assert len(rows_N) == len(labels_N)
        assert set(labels_N[rows_N].tolist()) == {0, 2, 5, 6}


def test_each_seed_shuffles_anew() -> None:
    assert torch.equal(order(1, seed=3), order(1, seed=3))
    assert not torch.equal(order(1, seed=3), order(1, seed=4))
    assert LABELS_N[order(1, seed=3)].tolist() != sorted(LABELS_N[order(1, seed=3)].tolist())
