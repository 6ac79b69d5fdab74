"""FER+ rules: by hand, at their limits, and by the sizes that Barsoum et al. 2016 publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import load, relabel_by_majority
from mien.data.dataset import Dataset, Split
from mien.data.votes import (
    distribution,
    label_source,
    majority,
    multi_label,
    relabel_for_classes,
    targets_from_votes,
    votes_digest,
)
from mien.errors import DataError
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet

NEUTRAL, HAPPY, SURPRISE, SAD, ANGER, DISGUST, FEAR, CONTEMPT, UNKNOWN, NF = range(10)
Rule = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def cleaned(rule: Rule, votes: dict[int, int]) -> dict[int, float] | None:
    """What a rule makes of one face's votes, class -> share; None where it drops the face."""
    row = np.zeros((1, 10), np.uint8)
    for column, count in votes.items():
        row[0, column] = count
    target_NK, keep_N = rule(row)
    assert target_NK.shape == (1, 8)
    assert target_NK.sum() == pytest.approx(float(keep_N[0]))
    return {k: float(target_NK[0, k]) for k in np.flatnonzero(target_NK[0])} if keep_N[0] else None


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({HAPPY: 6, SAD: 4}, {HAPPY: 1.0}),
        ({HAPPY: 5, SAD: 5}, None),  # half is not more than half
        ({HAPPY: 5, SAD: 4, FEAR: 1}, {HAPPY: 1.0}),  # the lone vote does not count: 5 of 9
        ({HAPPY: 4, SAD: 3, FEAR: 3}, None),
        ({NF: 6, HAPPY: 4}, None),
        ({UNKNOWN: 6, HAPPY: 4}, None),
        ({HAPPY: 6, NF: 4}, {HAPPY: 1.0}),
        ({CONTEMPT: 7, SAD: 3}, {CONTEMPT: 1.0}),
        (dict.fromkeys(range(10), 1), None),  # nothing but lone votes
        ({}, None),
    ],
)
def test_majority(votes: dict[int, int], expected: dict[int, float] | None) -> None:
    assert cleaned(majority, votes) == expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({HAPPY: 6, SAD: 4}, {HAPPY: 0.6, SAD: 0.4}),
        ({HAPPY: 7, SAD: 3}, {HAPPY: 0.7, SAD: 0.3}),  # three tenths are enough
        ({HAPPY: 8, SAD: 2}, {HAPPY: 1.0}),
        ({HAPPY: 7, SAD: 2, FEAR: 1}, {HAPPY: 1.0}),
        ({HAPPY: 4, SAD: 3, FEAR: 3}, {HAPPY: 0.4, SAD: 0.3, FEAR: 0.3}),
        ({HAPPY: 5, NF: 4}, {HAPPY: 1.0}),  # what is no expression is cut off
        ({HAPPY: 4, NF: 5}, None),
        ({HAPPY: 3, SAD: 2, FEAR: 2, ANGER: 3}, {HAPPY: 0.5, ANGER: 0.5}),
        ({HAPPY: 4, SAD: 2, FEAR: 2, ANGER: 2}, None),  # four tenths are not more than half
    ],
)
def test_multi_label(votes: dict[int, int], expected: dict[int, float] | None) -> None:
    got = cleaned(multi_label, votes)
    assert got == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({HAPPY: 8, SAD: 2}, {HAPPY: 1.0}),  # three quarters are in: no more is taken
        ({HAPPY: 6, SAD: 4}, {HAPPY: 0.6, SAD: 0.4}),
        ({HAPPY: 4, SAD: 3, FEAR: 3}, {HAPPY: 0.4, SAD: 0.3, FEAR: 0.3}),
        ({HAPPY: 4, SAD: 2, FEAR: 2, ANGER: 2}, None),  # equals are taken together, and make four classes
        ({HAPPY: 3, SAD: 3, FEAR: 2, ANGER: 2}, None),
        ({HAPPY: 5, SAD: 2, FEAR: 2}, {HAPPY: 5 / 9, SAD: 2 / 9, FEAR: 2 / 9}),
        ({HAPPY: 6, NF: 4}, {HAPPY: 1.0}),  # at what is no expression the taking ends
        ({HAPPY: 11, NF: 6, SAD: 3}, {HAPPY: 1.0}),  # ... so that what has fewer votes than it is not taken
        ({HAPPY: 5, NF: 5}, None),  # ... and half is not enough
        ({HAPPY: 4, NF: 3, SAD: 3}, {HAPPY: 4 / 7, SAD: 3 / 7}),  # of equals, columns before it are still taken
        ({NF: 6, HAPPY: 4}, None),
        ({UNKNOWN: 5, NF: 5}, None),
        ({UNKNOWN: 4, HAPPY: 3, SAD: 3}, None),
        (dict.fromkeys(range(10), 1), None),
        ({}, None),
    ],
)
def test_distribution(votes: dict[int, int], expected: dict[int, float] | None) -> None:
    got = cleaned(distribution, votes)
    assert got == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("rule", [majority, multi_label, distribution])
def test_rules_treat_rows_independently(rule: Rule) -> None:
    votes_NV = np.random.default_rng(0).multinomial(10, [0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03], 300)
    votes_NV = votes_NV.astype(np.uint8)
    before = votes_NV.copy()
    target_NK, keep_N = rule(votes_NV)
    assert (votes_NV == before).all()
    assert 0 < keep_N.sum() < 300
    assert np.allclose(target_NK.sum(1), keep_N)
    singly = [rule(votes_NV[i : i + 1])[0][0] for i in range(300)]
    assert (np.array(singly) == target_NK).all()
    assert rule(votes_NV[:0])[0].shape == (0, 8)


def test_targets_in_fer7_drop_contempt() -> None:
    votes_NV = np.zeros((3, 10), np.uint8)
    votes_NV[0, [HAPPY, CONTEMPT]] = 6, 4
    votes_NV[1, CONTEMPT] = 10
    votes_NV[2, [ANGER, NEUTRAL]] = 6, 4
    target_NK, keep_N = targets_from_votes(distribution, votes_NV, FER7)
    assert keep_N.tolist() == [True, False, True]
    assert target_NK.tolist() == [[0, 0, 0, 1, 0, 0, 0], [0] * 7, [0.6, 0, 0, 0, 0, 0, 0.4]]


@pytest.fixture
def voted() -> Dataset:
    """Three training and three validation faces: happy by votes, contempt, and of two minds; all angry by label."""
    votes_NV = np.zeros((3, 10), np.uint8)
    votes_NV[0, HAPPY], votes_NV[1, CONTEMPT] = 10, 10
    votes_NV[2, [SAD, FEAR]] = 5, 5
    faces_NHW = np.arange(3, dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2)
    splits = {
        name: Split(name, faces_NHW, np.zeros(3, np.int64), np.arange(first, first + 3), votes_NV)
        for name, first in (("train", 0), ("val", 3))
    }
    return Dataset("fer2013", Path("fer2013.csv"), "d", FER7, splits)


def test_relabel_by_majority(voted: Dataset) -> None:
    eight, seven = relabel_by_majority(voted), relabel_by_majority(voted, FER7)
    assert (eight.labels, seven.labels) == (FERPLUS8, FER7)
    assert eight["val"].labels_N.tolist() == [HAPPY, CONTEMPT]
    assert seven["val"].labels_N.tolist() == [FER7.index("happy")]  # contempt is none of the seven
    assert eight["val"].rows_N.tolist() == [3, 4]
    assert eight["val"].pixels_NHW[:, 0, 0].tolist() == [0, 1]
    assert (eight["val"].votes_NV == voted["val"].votes_NV[:2]).all()
    assert eight.digest == voted.digest
    assert "2 of 3 in 'train', 2 of 3 in 'val'" in str(eight.note)
    assert (label_source(voted), label_source(eight)) == (
        "fer7 by its own labels",
        "ferplus8 by the majority of FER+ votes",
    )


def test_relabel_by_majority_without_votes_is_an_error(voted: Dataset) -> None:
    blind = replace(voted, splits={**voted.splits, "val": replace(voted["val"], votes_NV=None)})
    with pytest.raises(DataError, match=r"fer2013.csv has no FER\+ votes for 'val'; give .* with --votes"):
        relabel_by_majority(blind)
    torn = np.zeros((3, 10), np.uint8)
    torn[:, [SAD, FEAR]] = 5
    torn_set = replace(voted, splits={**voted.splits, "val": replace(voted["val"], votes_NV=torn)})
    with pytest.raises(DataError, match=r"no face of 'val' in fer2013.csv has a majority"):
        relabel_by_majority(torn_set)


def test_relabel_for_classes(voted: Dataset) -> None:
    assert relabel_for_classes(voted, FER7.names) is voted
    for names in (FERPLUS8.names, FERPLUS_COLUMNS[:8]):
        assert relabel_for_classes(voted, names).labels == FERPLUS8
    assert (
        relabel_for_classes(voted, ("Anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")) is voted
    )
    by_votes = relabel_for_classes(voted, FER7.names, by_votes=True)
    assert (by_votes.name, by_votes.labels) == ("ferplus", FER7)
    unvoted = replace(voted, splits={**voted.splits, "val": replace(voted["val"], votes_NV=None)})
    assert relabel_for_classes(unvoted, FER7.names, by_votes=True) is unvoted
    eight = relabel_by_majority(voted)
    assert relabel_for_classes(eight, FERPLUS8.names) is eight
    with pytest.raises(DataError, match=r"has the classes wink, blink, but .*fer2013.csv has angry, "):
        relabel_for_classes(voted, LabelSet("own", ("wink", "blink")).names)


def test_votes_digest_depends_on_all_votes(voted: Dataset) -> None:
    other = voted["val"].votes_NV.copy()
    other[2, SAD] = 4
    changed = replace(voted, splits={**voted.splits, "val": replace(voted["val"], votes_NV=other)})
    assert votes_digest(voted) == votes_digest(replace(voted, name="other"))
    assert votes_digest(voted) != votes_digest(changed)


def test_rules_reproduce_published_sizes(fer2013_dir: Path) -> None:
    """Barsoum et al. 2016: Training and PublicTest as their cleaning leaves them."""
    data = load(fer2013_dir / "fer2013.csv", votes=fer2013_dir / "fer2013new.csv")
    sizes = {
        rule.__name__: [int(rule(data[split].votes_NV)[1].sum()) for split in ("train", "val")]
        for rule in (majority, multi_label, distribution)
    }
    assert sizes == {"majority": [25060, 3199], "multi_label": [27671, 3472], "distribution": [27956, 3505]}
    eight, seven = relabel_by_majority(data), relabel_by_majority(data, FER7)
    assert [len(eight[s]) for s in ("train", "val")] == [25060, 3199]
    dropped = [int((eight[s].labels_N == CONTEMPT).sum()) for s in ("train", "val")]
    assert [len(seven[s]) for s in ("train", "val")] == [25060 - dropped[0], 3199 - dropped[1]]
