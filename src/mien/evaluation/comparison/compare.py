"""`compare`: finished runs of several arms, compared with the first arm."""

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
from mien.evaluation.comparison.arms import ArmResult, correct, macro_f1_contributions, summarize_arm
from mien.evaluation.comparison.runs import RunRecord, evaluated_splits, group_by_arm
from mien.evaluation.comparison.verdict import Verdict, VerdictBasis, verdict
from mien.evaluation.selection import SELECTED_ON, EpochSelection
from mien.evaluation.statistics.intervals import LEVEL

__all__ = ["Comparison", "DatasetSummary", "RunRecord", "compare", "dataset_summary"]

# Titles of the splits; FER2013's own names are added in parentheses.
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class DatasetSummary:
    """Description of a data set for reports, without pixels and folder names.

    Attributes:
        name: Title: `FER2013` for a published copy, `sketch`, or the kind of data and its file name.
        kind: Name of the data set, as in `Dataset.name`.
        known_as: Published copy with the same digest, or None.
        digest: Digest of the content.
        classes: Class names in index order.
        counts: Labeled faces per class by split, in the order of `classes`.
        unlabelled: Number of faces without a label by split, for splits with such faces.
        split_titles: Title by split, such as `validation (PublicTest)`.
    """

    name: str
    kind: str
    known_as: str | None
    digest: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    unlabelled: Mapping[str, int]
    split_titles: Mapping[str, str]

    @property
    def is_original(self) -> bool:
        """Whether the content is a published copy of FER2013."""
        return self.kind == "fer2013" and self.known_as is not None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types."""
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
    """Results of two or more arms and the verdicts on them; an arm is a recipe that is trained with several seeds.

    Attributes:
        data: Description of the data set.
        arms: Results of the arms; the others are compared with the first.
        split: Split that the verdicts are about.
        verdicts: One verdict per further arm.

    Example:
        >>> from mien.data import sketch
        >>> data = sketch(train=7, val=0, test=20)
        >>> probs_NK = np.eye(7, dtype=np.float32)[data["test"].labels_N]
        >>> history = ({"epoch": 1, "train_loss": 1.9, "train_accuracy": 0.2},)
        >>> records = [RunRecord(arm, 0, history, {"test": probs_NK}, 60.0, {}, {}) for arm in ("old", "new")]
        >>> comparison = compare(records, data)
        >>> comparison.splits, [arm.arm for arm in comparison.arms]
        (('test',), ['old', 'new'])
    """

    data: DatasetSummary
    arms: tuple[ArmResult, ...]
    split: str
    verdicts: tuple[Verdict, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The evaluated splits, in order."""
        return tuple(self.arms[0].scores)

    @property
    def epoch_selection(self) -> EpochSelection:
        """How the evaluated epoch of each arm was selected."""
        return EpochSelection({arm.arm: arm.selected_by for arm in self.arms})

    def split_title(self, split: str, arm: ArmResult | None = None) -> str:
        """Return the title of a split, marked if it also selected the epoch of `arm` (by default of any arm)."""
        selection = (self if arm is None else arm).epoch_selection
        return f"{self.data.split_titles[split]}{', ' + SELECTED_ON if selection.uses(split) else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return all results as JSON types; the keys are frozen."""
        return {
            "data": self.data.to_dict(),
            "protocol": {
                "splits": "official: Training trains, PublicTest validates, PrivateTest tests"
                if self.data.kind == "fer2013"
                else "the data set's own",
                "evaluated_at": self.epoch_selection.title,
                "selected_by": self.epoch_selection.selected_by,
                "verdict_split": self.split,
                "paired_by": "seed",
                "level": LEVEL,
            },
            "verdicts": [v.to_dict() for v in self.verdicts],
            "arms": [a.to_dict(self.data.classes) for a in self.arms],
        }


def compare(records: Sequence[RunRecord], dataset: Dataset) -> Comparison:
    """Compare each arm with the first, pairing the runs of the same seed; an arm is a recipe with several seeds.

    The verdict is about the test split, or about validation if there is no test split or it has no labels.

    Args:
        records: Finished runs of two or more arms with the same seeds; arms are in the order of their first run.
        dataset: The data that the runs were trained on, with the true labels.

    Raises:
        MienError: Fewer than two arms, arms with different seeds, runs on other data, or predictions that do not fit.

    Example:
        >>> from mien.data import sketch
        >>> data = sketch(train=7, val=0, test=100)
        >>> right_NK = np.eye(7, dtype=np.float32)[data["test"].labels_N]
        >>> happy_NK = np.tile(np.eye(7, dtype=np.float32)[3], (100, 1))
        >>> history = ({"epoch": 1, "train_loss": 1.9, "train_accuracy": 0.2},)
        >>> records = [
        ...     RunRecord(arm, seed, history, {"test": probs_NK}, 60.0, {}, {})
        ...     for arm, probs_NK in (("always happy", happy_NK), ("right", right_NK))
        ...     for seed in (0, 1, 2)
        ... ]
        >>> compare(records, data).verdicts[0].finding
        'significant difference'
    """
    arms = group_by_arm(records, dataset)
    if len(arms) < 2:
        raise MienError(f"a comparison needs two or more arms, got {', '.join(arms) or 'none'}")
    truth, summary = evaluated_splits(records, dataset), dataset_summary(dataset)
    split = TEST if TEST in truth else VAL
    reason = "" if split == TEST else _reason_for_validation(dataset)
    labels_N, classes = truth[split], len(dataset.labels)
    masks = {split: without_duplicates(dataset, split) for split in truth if TRAIN in dataset}
    deduplicated = {split: keep_N for split, keep_N in masks.items() if keep_N.any()}
    results = tuple(summarize_arm(runs, truth, deduplicated, classes) for runs in arms.values())
    predicted = {arm: [run.probabilities[split] for run in runs] for arm, runs in arms.items()}
    first, *others = results
    verdicts = []
    for other in others:
        a, b = first.arm, other.arm
        selection = EpochSelection({a: first.selected_by, b: other.selected_by})
        basis = VerdictBasis(
            summary.name,
            summary.split_titles[split],
            reason,
            len(first.seeds),
            len(labels_N),
            selection.when,
            selection.note(split),
        )
        is_correct = (correct(predicted[a], labels_N), correct(predicted[b], labels_N))
        f1 = (
            macro_f1_contributions(predicted[a], labels_N, classes),
            macro_f1_contributions(predicted[b], labels_N, classes),
        )
        verdicts.append(verdict(a, b, is_correct, f1, basis))
    return Comparison(summary, results, split, tuple(verdicts))


def dataset_summary(dataset: Dataset) -> DatasetSummary:
    """Return the description of a data set for reports."""
    usage = {split: name for name, split in USAGE.items()}
    counts = {s: _counts(dataset[s].labels_N, len(dataset.labels)) for s in SPLITS if s in dataset}
    unlabelled = {s: int((dataset[s].labels_N == NO_LABEL).sum()) for s in counts}
    return DatasetSummary(
        name=_title(dataset),
        kind=dataset.name,
        known_as=dataset.known_as,
        digest=dataset.digest,
        classes=dataset.labels.names,
        counts=counts,
        unlabelled={s: n for s, n in unlabelled.items() if n},
        split_titles={
            s: f"{SPLIT_TITLES[s]} ({usage[s]})" if dataset.name in ("fer2013", NAME) else SPLIT_TITLES[s]
            for s in SPLITS
        },
    )


def _title(dataset: Dataset) -> str:
    if dataset.name == "fer2013":
        if dataset.known_as:
            return "FER2013"
        return f"{dataset.source.name} ({'a copy of FER2013' if dataset.is_fer2013 else 'in the format of FER2013'})"
    if dataset.name == NAME:
        faces = "FER2013" if dataset.known_as else dataset.source.name
        return f"FER+ ({faces} with the majority vote, {len(dataset.labels)} classes)"
    return f"folder {dataset.source.name}" if dataset.name == "folder" else dataset.name


def _counts(labels_N: NDArray[np.int64], classes: int) -> tuple[int, ...]:
    counts = np.bincount(labels_N[labels_N != NO_LABEL], minlength=classes)
    return tuple(counts.tolist())


def _reason_for_validation(dataset: Dataset) -> str:
    if TEST not in dataset:
        return "because there is no test split"
    return (
        "because the test split has no labels"
        if not dataset[TEST].labelled
        else "because no run predicted the test split"
    )
