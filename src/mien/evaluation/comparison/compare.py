"""`compare`: finished runs of several arms against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit import without_duplicates
from mien.data.dataset import NO_LABEL, SPLITS, TEST, TRAIN, USAGE, VAL, Dataset
from mien.data.votes import NAME
from mien.errors import MienError
from mien.evaluation.comparison.arms import ArmResult, macro_f1_contributions, right, summarize_arm
from mien.evaluation.comparison.runs import RunRecord, evaluated_splits, paired
from mien.evaluation.comparison.verdict import Verdict, VerdictBasis, verdict
from mien.evaluation.selection import SELECTED_ON, EpochSelection
from mien.evaluation.statistics.intervals import LEVEL

__all__ = ["Comparison", "DatasetSummary", "RunRecord", "compare", "dataset_summary"]

# How a split is spoken of; FER2013's own names stand beside ours.
SPOKEN = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class DatasetSummary:
    """What the runs were trained and judged on.

    Attributes:
        name: how the data set is spoken of: `FER2013` for a known original, `sketch`, or what it is and its file name.
        kind: the data set's own name, as in `Dataset.name`.
        known_as: the published original that the digest belongs to, or None.
        digest: of the content.
        classes: names in index order.
        counts: split -> labelled faces per class, in the order of `classes`.
        unlabelled: split -> faces without a label, for splits that have such.
        spoken: split -> how it is spoken of, such as `validation (PublicTest)`.
    """

    name: str
    kind: str
    known_as: str | None
    digest: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    unlabelled: Mapping[str, int]
    spoken: Mapping[str, str]

    @property
    def is_original(self) -> bool:
        """Whether the content is that of a published copy of FER2013."""
        return self.kind == "fer2013" and self.known_as is not None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "known_as": self.known_as,
            "digest": self.digest,
            "classes": list(self.classes),
            "faces": {
                split: {"per_class": list(counts), "unlabelled": self.unlabelled.get(split, 0)}
                for split, counts in self.counts.items()
            },
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the page shows.

    Attributes:
        data: what was trained and judged on.
        arms: the arms, the first being what the others are held against.
        split: the split that the verdicts are about.
        verdicts: one per further arm.
    """

    data: DatasetSummary
    arms: tuple[ArmResult, ...]
    split: str
    verdicts: tuple[Verdict, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were judged, in order."""
        return tuple(self.arms[0].scores)

    @property
    def chosen(self) -> EpochSelection:
        """What chose the epoch of each arm."""
        return EpochSelection({arm.arm: arm.selected_by for arm in self.arms})

    def spoken(self, split: str, arm: ArmResult | None = None) -> str:
        """How a split is spoken of, marked where it also chose the epoch of `arm` (of any arm, without it)."""
        marked = (self if arm is None else arm).chosen.on(split)
        return f"{self.data.spoken[split]}{', ' + SELECTED_ON if marked else ''}"

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types; the keys are frozen."""
        return {
            "data": self.data.to_dict(),
            "protocol": {
                "splits": "official: Training trains, PublicTest validates, PrivateTest tests"
                if self.data.kind == "fer2013"
                else "the data set's own",
                "evaluated_at": self.chosen.at,
                "selected_by": self.chosen.selected_by,
                "verdict_split": self.split,
                "paired_by": "seed",
                "level": LEVEL,
            },
            "verdicts": [v.to_dict() for v in self.verdicts],
            "arms": [a.to_dict(self.data.classes) for a in self.arms],
        }


def compare(records: Sequence[RunRecord], dataset: Dataset) -> Comparison:
    """Hold each arm against the first, runs of the same seed as pairs.

    The verdict is about the test split; about validation where there is no test split or it has no labels.

    Args:
        records: finished runs of two or more arms, all of the same seeds; the order of arms is that of first mention.
        dataset: what they were trained on; its labels are the truth.

    Raises:
        MienError: fewer than two arms, arms of different seeds, runs on other data, predictions that do not fit.
    """
    arms = paired(records, dataset)
    if len(arms) < 2:
        raise MienError(f"a comparison needs two or more arms, got {', '.join(arms) or 'none'}")
    truth, facts = evaluated_splits(records, dataset), dataset_summary(dataset)
    split = TEST if TEST in truth else VAL
    reason = "" if split == TEST else _why_no_test(dataset)
    labels_N, classes = truth[split], len(dataset.labels)
    kept = {split: without_duplicates(dataset, split) for split in truth if TRAIN in dataset}
    clean = {split: keep_N for split, keep_N in kept.items() if keep_N.any()}
    results = tuple(summarize_arm(runs, truth, clean, classes) for runs in arms.values())
    predicted = {arm: [run.probabilities[split] for run in runs] for arm, runs in arms.items()}
    first, *others = results
    verdicts = []
    for other in others:
        a, b = first.arm, other.arm
        chosen = EpochSelection({a: first.selected_by, b: other.selected_by})
        at = (chosen.when, chosen.aside(split))
        ground = VerdictBasis(facts.name, facts.spoken[split], reason, len(first.seeds), len(labels_N), *at)
        predicted_right = (right(predicted[a], labels_N), right(predicted[b], labels_N))
        f1 = (
            macro_f1_contributions(predicted[a], labels_N, classes),
            macro_f1_contributions(predicted[b], labels_N, classes),
        )
        verdicts.append(verdict(a, b, predicted_right, f1, ground))
    return Comparison(facts, results, split, tuple(verdicts))


def dataset_summary(dataset: Dataset) -> DatasetSummary:
    """What a page or a table says of a data set; it holds no pixels and no folder names."""
    usage = {split: name for name, split in USAGE.items()}
    counts = {s: _counts(dataset[s].labels_N, len(dataset.labels)) for s in SPLITS if s in dataset}
    blank = {s: int((dataset[s].labels_N == NO_LABEL).sum()) for s in counts}
    return DatasetSummary(
        name=_spoken_name(dataset),
        kind=dataset.name,
        known_as=dataset.known_as,
        digest=dataset.digest,
        classes=dataset.labels.names,
        counts=counts,
        unlabelled={s: n for s, n in blank.items() if n},
        spoken={s: f"{SPOKEN[s]} ({usage[s]})" if dataset.name in ("fer2013", NAME) else SPOKEN[s] for s in SPLITS},
    )


def _spoken_name(dataset: Dataset) -> str:
    if dataset.name == "fer2013":
        if dataset.known_as:
            return "FER2013"
        return f"{dataset.source.name} ({'FER2013 saved anew' if dataset.is_fer2013 else 'in the format of FER2013'})"
    if dataset.name == NAME:
        faces = "FER2013" if dataset.known_as else dataset.source.name
        return f"FER+ ({faces} by the majority of votes, {len(dataset.labels)} classes)"
    return f"folder {dataset.source.name}" if dataset.name == "folder" else dataset.name


def _counts(labels_N: NDArray[np.int64], classes: int) -> tuple[int, ...]:
    counts = np.bincount(labels_N[labels_N != NO_LABEL], minlength=classes)
    return tuple(counts.tolist())


def _why_no_test(dataset: Dataset) -> str:
    if TEST not in dataset:
        return "as there is no test split"
    return "as the test split has no labels" if not dataset[TEST].labelled else "as no run predicted the test split"
