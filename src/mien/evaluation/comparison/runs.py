"""Records of finished runs, and checks that they can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import TEST, VAL, Dataset
from mien.data.votes import label_source
from mien.errors import MienError
from mien.evaluation.evaluate import check_probabilities
from mien.evaluation.selection import SELECTION_METRICS, selected_by

CURVES = tuple(f"{of}_{what}" for of in ("train", "train_eval", "val", "test") for what in ("loss", "accuracy"))


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One finished run.

    Attributes:
        arm: Name of the arm; runs of one arm differ only in the seed.
        seed: Seed of the run; arms are paired by it.
        history: One mapping per epoch: epoch, train_loss, train_accuracy (running, on the augmented images, in training
            mode), train_eval_loss, train_eval_accuracy (a fixed sample of the training split, unaugmented, in
            evaluation mode), val_loss, val_accuracy, test_loss, test_accuracy (if the split exists), lr, seconds,
            images_per_second; and `precision`, which is text and missing from older runs.
        probabilities: Probabilities of the evaluated epoch by split, float32 [N,K] in row order.
        seconds: Training time.
        machine: The machine that it ran on.
        recipe: The trained recipe; its field `select` names the metric that selected the evaluated epoch.
        digest: Digest of the training data; empty if unknown, else checked.
        selected_epoch: The epoch of the probabilities, counted from 1; None for the last.
        truth: Labels that it was evaluated against (`data.votes.label_source`); empty if unknown, else checked.
    """

    arm: str
    seed: int
    history: tuple[Mapping[str, Any], ...]
    probabilities: Mapping[str, NDArray[np.float32]]
    seconds: float
    machine: Mapping[str, object]
    recipe: Mapping[str, object]
    digest: str = ""
    selected_epoch: int | None = None
    truth: str = ""

    @property
    def title(self) -> str:
        """The arm and seed, for errors."""
        return f"'{self.arm}' seed {self.seed}"

    @property
    def evaluated_epoch(self) -> int:
        """The evaluated epoch, counted from 1; the last one if none was selected."""
        return len(self.history) if self.selected_epoch is None else self.selected_epoch


def group_by_arm(records: Sequence[RunRecord], dataset: Dataset) -> dict[str, tuple[RunRecord, ...]]:
    """Return the runs of each arm in ascending order of the seeds, and check that they can be compared.

    Args:
        records: Finished runs; arms are in the order of their first run.
        dataset: The data that the runs were trained on.

    Raises:
        MienError: No run; a run without epochs; an evaluated epoch that does not exist or that the recipe does not
            select; a seed twice in an arm; arms with different seeds; runs of one arm with different recipes, or with
            different lengths without early stopping; a value that is not finite; or runs on other data or labels.
    """
    if not records:
        raise MienError("a comparison needs finished runs, got none")
    arms: dict[str, list[RunRecord]] = {}
    for record in records:
        arms.setdefault(record.arm, []).append(record)
        _check_history(record)
        _check_evaluated_epoch(record)
        if record.digest and record.digest != dataset.digest:
            raise MienError(
                f"run {record.title} was trained on other data (digest {record.digest}) than {dataset.source} "
                f"(digest {dataset.digest}); runs on different data cannot be compared"
            )
        if record.truth and record.truth != label_source(dataset):
            raise MienError(
                f"run {record.title} was evaluated against {record.truth}, and this comparison uses "
                f"{label_source(dataset)}; metrics against different labels cannot be compared"
            )
    result = {arm: tuple(sorted(runs, key=lambda r: r.seed)) for arm, runs in arms.items()}
    _check_seeds({arm: [r.seed for r in runs] for arm, runs in result.items()})
    for runs in result.values():
        _check_same_kind(runs)
    return result


def evaluated_splits(records: Sequence[RunRecord], dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Return the labels by split, int64 [N], of `val` and `test` if they have labels and every run predicted them.

    Args:
        records: Finished runs.
        dataset: The data that the runs were trained on.

    Raises:
        MienError: Probabilities that do not fit the split, a split that only some runs predicted, or no such split.
    """
    result: dict[str, NDArray[np.int64]] = {}
    for split in (VAL, TEST):
        lacking = [r.title for r in records if split not in r.probabilities]
        if split not in dataset or not dataset[split].labelled or len(lacking) == len(records):
            continue
        if lacking:
            raise MienError(
                f"{len(lacking)} of {len(records)} runs have no predictions for split '{split}', first {lacking[0]}"
            )
        result[split] = dataset[split].labels_N
        for record in records:
            whose = f"run {record.title}"
            check_probabilities(record.probabilities[split], result[split], dataset.labels, split=split, whose=whose)
    if not result:
        raise MienError(f"{dataset.source} has no labeled split '{VAL}' or '{TEST}' with predictions of the runs")
    return result


def _check_history(record: RunRecord) -> None:
    if not record.history:
        raise MienError(f"run {record.title} has no finished epoch")
    epochs = [e.get("epoch") for e in record.history]
    if epochs != list(range(1, len(epochs) + 1)):
        raise MienError(f"run {record.title}: epochs must be 1, 2, 3, ..., got {epochs}")
    for metrics in record.history:
        values = _numbers(metrics)
        if set(values) != set(_numbers(record.history[0])) or not {"train_loss", "train_accuracy"} <= set(values):
            raise MienError(
                f"run {record.title}: epoch {metrics['epoch']} has other metrics than epoch 1, or lacks train_loss or "
                "train_accuracy"
            )
        bad = [k for k, v in values.items() if not math.isfinite(v)]
        if bad:
            raise MienError(f"run {record.title}: {bad[0]} is not finite in epoch {metrics['epoch']}")


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of an epoch: all fields but the precision, which may change."""
    return {name: value for name, value in metrics.items() if name != "precision"}


def _check_evaluated_epoch(record: RunRecord) -> None:
    """Check that the record has the epoch that its recipe selects, since reports describe it by the recipe."""
    epochs, metric, got = len(record.history), selected_by(record.recipe), record.selected_epoch
    if metric is not None and metric not in SELECTION_METRICS:
        raise MienError(
            f"run {record.title} selects its epoch by '{metric}'; known metrics are {', '.join(SELECTION_METRICS)}"
        )
    if metric is not None and got is None:
        raise MienError(f"run {record.title} selects its epoch by {metric}, but its record has no selected epoch")
    if not 1 <= record.evaluated_epoch <= epochs:
        raise MienError(f"run {record.title}: the selected epoch must be one of 1 to {epochs}, got {got}")
    if metric is None and record.evaluated_epoch != epochs:
        raise MienError(
            f"run {record.title} selects no epoch, so epoch {epochs} is expected, but its record has epoch {got}"
        )


def _check_seeds(seeds: Mapping[str, list[int]]) -> None:
    first, *others = seeds
    for arm, numbers in seeds.items():
        if len(set(numbers)) < len(numbers):
            raise MienError(f"arm '{arm}' has a seed twice: {numbers}")
    for arm in others:
        if seeds[arm] != seeds[first]:
            raise MienError(
                f"arms are paired by seed, but '{first}' has the seeds {seeds[first]} and '{arm}' has {seeds[arm]}"
            )


def _check_same_kind(runs: Sequence[RunRecord]) -> None:
    first = runs[0]
    for run in runs[1:]:
        may_differ = first.recipe.get("patience", 0)  # early stopping
        same_length = len(run.history) == len(first.history)
        if not (same_length or may_differ) or set(_numbers(run.history[0])) != set(_numbers(first.history[0])):
            raise MienError(
                f"runs of one arm must have the same epochs and metrics, but {first.title} has "
                f"{len(first.history)} epochs and {run.title} has {len(run.history)}, or their metrics differ"
            )
        if dict(run.recipe) != dict(first.recipe):
            differ = sorted(k for k in {*run.recipe, *first.recipe} if run.recipe.get(k) != first.recipe.get(k))
            raise MienError(f"runs of arm '{run.arm}' have different recipes: {', '.join(differ)} in {run.title}")
