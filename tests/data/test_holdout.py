"""The holdout: a fifth of each label, duplicates together, and stable when images are added."""

from __future__ import annotations

import numpy as np
import pytest

from mien.data.holdout import holdout_mask


def hold(labels: list[int], faces: list[int], keys: list[int]) -> list[int]:
    """The places held out, where each face is a grey and each key a number."""
    faces_NHW = np.array(faces, np.uint8).reshape(-1, 1, 1) * np.ones((1, 48, 48), np.uint8)
    held_N = holdout_mask(faces_NHW, np.array(labels, np.int64), [bytes([key]) for key in keys])
    assert held_N.dtype == np.bool_
    return np.flatnonzero(held_N).tolist()


@pytest.mark.parametrize(
    ("n", "held"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (10, 2), (11, 3), (24, 5), (25, 5), (26, 6)]
)
def test_holdout_mask_is_a_fifth_rounded_up(n: int, held: int) -> None:
    keys = np.random.default_rng(n).permutation(n)
    assert hold([0] * n, list(range(n)), keys.tolist()) == sorted(np.argsort(keys)[:held].tolist())


@pytest.mark.parametrize(
    ("labels", "faces", "keys", "held"),
    [
        pytest.param([0, 0, 1, 1], [1, 2, 3, 4], [9, 8, 7, 6], [1, 3], id="each label by itself"),
        pytest.param([0, 0, 0], [1, 2, 1], [3, 5, 3], [0, 2], id="byte-identical images together"),
        pytest.param([0, 0, 0], [1, 2, 1], [9, 5, 3], [0, 2], id="equal faces together, by their smallest key"),
        pytest.param([0, 0, 0], [1, 1, 1], [3, 4, 5], [], id="one face is not divided"),
        pytest.param([0] * 9, [1, 2, 3, 4, 5, 5, 5, 5, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9], [0], id="copies count once"),
        pytest.param([0, 0, 1, 1], [1, 2, 1, 3], [1, 5, 1, 6], [1, 3], id="a face under two labels trains"),
        pytest.param([0, 1, 0, 1], [1, 1, 2, 2], [1, 1, 2, 2], [], id="nothing that could be judged"),
        pytest.param([0] * 6 + [1] * 2, [1, 2, 3, 4, 5, 6, 6, 7], [1, 2, 3, 4, 5, 6, 6, 7], [0, 1, 7],
                     id="a face under two labels counts for both"),
        pytest.param([], [], [], [], id="none"),
    ],
)  # fmt: skip
def test_holdout_mask_of_duplicates(labels: list[int], faces: list[int], keys: list[int], held: list[int]) -> None:
    assert hold(labels, faces, keys) == held


def test_holdout_mask_ignores_order() -> None:
    rng = np.random.default_rng(1)
    labels, faces, keys = rng.integers(0, 3, 60), rng.permutation(60), rng.permutation(60)
    held = set(faces[hold(labels.tolist(), faces.tolist(), keys.tolist())].tolist())
    other = rng.permutation(60)
    again = hold(labels[other].tolist(), faces[other].tolist(), keys[other].tolist())
    assert set(faces[other][again].tolist()) == held


def test_new_face_moves_at_most_one_face() -> None:
    """And that one of its own label; over 200 draws, a fifth to a half of the new faces move one."""
    rng = np.random.default_rng(2)
    moved = []
    for _ in range(200):
        n = int(rng.integers(2, 60))
        keys = rng.permutation(n + 1).tolist()
        labels = rng.integers(0, 2, n + 1).tolist()
        before = set(hold(labels[:n], list(range(n)), keys[:n]))
        after = set(hold(labels, list(range(n + 1)), keys)) - {n}
        moved.append(len(before ^ after))
        assert all(labels[place] == labels[n] for place in before ^ after)
    assert max(moved) == 1
    assert 0.2 < np.mean(moved) < 0.5


def test_copy_with_second_label_moves_at_most_three_faces() -> None:
    """The face itself, its successor, and one of the second label, which has grown."""
    rng = np.random.default_rng(3)
    moved = []
    for _ in range(200):
        n = int(rng.integers(4, 40))
        keys, labels = rng.permutation(n).tolist(), rng.integers(0, 2, n).tolist()
        before = set(hold(labels, list(range(n)), keys))
        after = set(hold([*labels, 1 - labels[0]], [*range(n), 0], [*keys, keys[0]])) - {n}
        moved.append(len(before ^ after))
    assert max(moved) == 3
