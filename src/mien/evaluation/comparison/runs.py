"""Records of finished runs, checked against each other and against the data."""

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
from mien.evaluation.evaluate import check
from mien.evaluation.selection import MEASURES, selected_by

CURVES = tuple(f"{of}_{what}" for of in ("train", "clean", "val", "test") for what in ("loss", "accuracy"))


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One finished run.

    Attributes:
        arm: what was trained; runs of one arm differ in the seed alone.
        seed: what the run was started from; arms are paired by it.
        history: one mapping per epoch: epoch, train_loss, train_accuracy (running, on the images as trained, in
            training mode), clean_loss, clean_accuracy (a fixed sample of the training split, unaugmented, in
            evaluation mode), val_loss, val_accuracy, test_loss, test_accuracy (where the split exists), lr, seconds,
            images_per_second; and `precision`, which is text and missing from older runs.
        probabilities: split -> float32 [N,K] of the judged epoch, in the split's row order.
        seconds: training time.
        machine: what it ran on.
        recipe: everything that decides what was learned; `select` in it says what chose the judged epoch.
        digest: of the data it was trained on; empty where unknown, else compared with the data set's.
        selected_epoch: the epoch whose probabilities these are, counted from 1; None for the last.
        truth: by what it was judged, as `data.votes.label_source` says it; empty where unknown, else compared likewise.
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
        return f"'{self.arm}' seed {self.seed}"

    @property
    def judged(self) -> int:
        """`selected_epoch` as a number in every case."""
        return len(self.history) if self.selected_epoch is None else self.selected_epoch


def paired(records: Sequence[RunRecord], dataset: Dataset) -> dict[str, tuple[RunRecord, ...]]:
    """Arm -> its runs by rising seed, arms in the order in which they first come, all of the same seeds.

    Raises:
        MienError: no run, a run without epochs, a judged epoch that is not among them or not what the recipe selects,
            a seed twice in an arm, arms of different seeds, runs of one arm of different recipe, or of different length
            where none may end early, a figure that is no number, or runs on other data than `dataset` or judged by
            other labels.
    """
    if not records:
        raise MienError("a comparison needs finished runs, got none")
    arms: dict[str, list[RunRecord]] = {}
    for record in records:
        arms.setdefault(record.arm, []).append(record)
        _check_history(record)
        _check_judged(record)
        if record.digest and record.digest != dataset.digest:
            raise MienError(
                f"run {record.title} was trained on other data (digest {record.digest}) than {dataset.source} "
                f"(digest {dataset.digest}); runs on different data are never compared"
            )
        if record.truth and record.truth != label_source(dataset):
            raise MienError(
                f"run {record.title} is judged in {record.truth}, and this comparison in {label_source(dataset)}; "
                "figures under different labels are never compared"
            )
    result = {arm: tuple(sorted(runs, key=lambda r: r.seed)) for arm, runs in arms.items()}
    _check_seeds({arm: [r.seed for r in runs] for arm, runs in result.items()})
    for runs in result.values():
        _check_alike(runs)
    return result


def evaluated_splits(records: Sequence[RunRecord], dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Split -> its labels [N], for those of `val` and `test` that have labels and that every run has predicted.

    Raises:
        MienError: probabilities that do not fit the split, a split that only some runs predicted, or none at all.
    """
    found: dict[str, NDArray[np.int64]] = {}
    for split in (VAL, TEST):
        lacking = [r.title for r in records if split not in r.probabilities]
        if split not in dataset or not dataset[split].labelled or len(lacking) == len(records):
            continue
        if lacking:
            raise MienError(
                f"no predictions for split '{split}' in run {lacking[0]} ({len(lacking)} such), others have"
            )
        found[split] = dataset[split].labels_N
        for record in records:
            whose = f"run {record.title}"
            check(record.probabilities[split], found[split], dataset.labels, split=split, whose=whose)
    if not found:
        raise MienError(f"{dataset.source} has no labelled split '{VAL}' or '{TEST}' that the runs predicted")
    return found


def _check_history(record: RunRecord) -> None:
    if not record.history:
        raise MienError(f"run {record.title} has no finished epoch")
    epochs = [e.get("epoch") for e in record.history]
    if epochs != list(range(1, len(epochs) + 1)):
        raise MienError(f"run {record.title}: epochs must be 1, 2, 3, ..., got {epochs}")
    for metrics in record.history:
        figures = _figures(metrics)
        if set(figures) != set(_figures(record.history[0])) or not {"train_loss", "train_accuracy"} <= set(figures):
            raise MienError(
                f"run {record.title}: epoch {metrics['epoch']} has other figures than the first, or lacks train_*"
            )
        bad = [k for k, v in figures.items() if not math.isfinite(v)]
        if bad:
            raise MienError(f"run {record.title}: {bad[0]} is no number in epoch {metrics['epoch']}")


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an epoch: all but the precision, which may change from epoch to epoch."""
    return {name: value for name, value in metrics.items() if name != "precision"}


def _check_judged(record: RunRecord) -> None:
    """The words on the page follow the recipe, so the record must not hold another epoch than the recipe says."""
    epochs, by, got = len(record.history), selected_by(record.recipe), record.selected_epoch
    if by is not None and by not in MEASURES:
        raise MienError(f"run {record.title} selects its epoch by '{by}'; known are {', '.join(MEASURES)}")
    if by is not None and got is None:
        raise MienError(f"run {record.title} selects its epoch by {by}, but its record does not tell which that was")
    if not 1 <= record.judged <= epochs:
        raise MienError(f"run {record.title}: the judged epoch must be one of 1 to {epochs}, got {got}")
    if by is None and record.judged != epochs:
        raise MienError(f"run {record.title} is judged at its last epoch, {epochs}, but its record is of epoch {got}")


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


def _check_alike(runs: Sequence[RunRecord]) -> None:
    first = runs[0]
    for run in runs[1:]:
        may_differ = first.recipe.get("patience", 0)  # epochs without improvement that end a run; 0 never does
        same_length = len(run.history) == len(first.history)
        if not (same_length or may_differ) or set(_figures(run.history[0])) != set(_figures(first.history[0])):
            raise MienError(
                f"runs of one arm must be of one kind, but {first.title} has {len(first.history)} epochs "
                f"and {run.title} has {len(run.history)}, or they measured different figures"
            )
        if dict(run.recipe) != dict(first.recipe):
            differ = sorted(k for k in {*run.recipe, *first.recipe} if run.recipe.get(k) != first.recipe.get(k))
            raise MienError(f"runs of arm '{run.arm}' have different recipes: {', '.join(differ)} in {run.title}")
