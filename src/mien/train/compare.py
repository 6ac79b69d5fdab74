"""`compare`: trains the runs that a comparison needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien import files
from mien.data.audit import audit
from mien.data.dataset import TEST, TRAIN, VAL, Dataset
from mien.data.votes import label_source
from mien.errors import MissingSplit, RunError
from mien.evaluation.comparison.compare import Comparison, RunRecord
from mien.evaluation.comparison.compare import compare as compare_runs
from mien.evaluation.report.plots import augmentation_strip
from mien.evaluation.report.style import png, require_report_libraries
from mien.evaluation.report.write import write_report
from mien.train.augment import Augmentation
from mien.train.batches import AUGMENT, epoch_rng
from mien.train.distillation import load_teachers, teacher_identities
from mien.train.loop import prepare_targets, train
from mien.train.progress import RunsProgress
from mien.train.recipe import Recipe
from mien.train.recipes import find_recipe
from mien.train.runs.folder import Run
from mien.train.runs.identity import run_identity
from mien.train.targets.schemes import evaluation_dataset

Example = tuple[str, NDArray[np.uint8], list[NDArray[np.uint8]]]  # augmentation, the face [48,48], augmented faces


def compare(
    dataset: Dataset,
    arms: Sequence[str | Recipe],
    *,
    seeds: int | Iterable[int] = 3,
    out: str | Path,
    device: str = "auto",
    progress: bool = False,
) -> Comparison:
    """Train every arm with every random seed, unless that run exists, and write a report of the comparison.

    Args:
        dataset: Data set with a training split, and a validation or test split to compare on.
        arms: Recipes or their names; the others are compared with the first.
        seeds: Number of random seeds (0, 1, 2, ...), or the random seeds.
        out: Folder for the runs (`ARM-seedN/`), `report.html`, `comparison.json` and `plots/*.png`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        progress: Whether to show progress on stderr.

    Returns:
        Scores of each arm, and the verdict on each arm against the first.

    Raises:
        RunError: There are fewer than two arms, two arms have the same name, a run in `out` was trained with other
            settings, or the arms are evaluated by different labels.
        MissingSplit: There is no labeled split to compare on.
        MissingExtra: jinja2 or matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> from mien.train import apply_overrides, compare, find_recipe
        >>> names = ("seed", "seed_augmented")
        >>> arms = [apply_overrides(find_recipe(name), ["model=mien_nano", "epochs=1"]) for name in names]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     comparison = compare(sketch(train=16, val=8, test=8), arms, seeds=1, out=folder)
        >>> [arm.arm for arm in comparison.arms]
        ['seed', 'seed_augmented']
    """
    recipes = [find_recipe(arm) if isinstance(arm, str) else arm for arm in arms]
    numbers = list(range(seeds) if isinstance(seeds, int) else seeds)
    names = [recipe.name for recipe in recipes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise RunError(f"a comparison needs at least two different arms, got {', '.join(names) or 'none'}")
    if not numbers or len(set(numbers)) < len(numbers):
        raise RunError(f"random seeds must be one or more different numbers, got {numbers}")
    folder = Path(out)
    truth = _evaluation_data(recipes, numbers, dataset, folder)
    # One random seed after another, so that a comparison that is stopped early has complete pairs of runs.
    records = []
    todo = [(recipe, seed) for seed in numbers for recipe in recipes]
    report = RunsProgress([_run(recipe, seed, folder).finished for recipe, seed in todo], names, numbers, progress)
    for recipe, seed in todo:
        position = report.next()
        run_folder = _run(recipe, seed, folder).folder
        run = train(recipe, dataset, run_folder, seed=seed, device=device, resume=True, progress=position)
        records.append(_record(run, recipe, truth, seed))
    comparison = compare_runs(records, truth)
    notes = _notes(dataset, truth, recipes)
    write_report(comparison, folder, examples=examples(dataset, recipes), notes=notes)
    return comparison


def _evaluation_data(recipes: Sequence[Recipe], seeds: Sequence[int], dataset: Dataset, folder: Path) -> Dataset:
    """Return `dataset` with the labels by which all arms are evaluated.

    Everything that could fail after hours of training is checked here, before it.
    """
    require_report_libraries()
    truths = {}
    for recipe in recipes:
        for seed in seeds:
            targets = prepare_targets(recipe, dataset, seed)
            teachers = teacher_identities(load_teachers(recipe, targets.dataset.labels.names))
            _run(recipe, seed, folder).check_identity(run_identity(recipe, seed, targets, teachers=teachers))
            truths[recipe.name] = targets.truth
    first, *others = truths
    for other in others:
        if truths[other] != truths[first]:
            raise RunError(
                f"cannot compare arms that are evaluated by different labels: '{first}' by {truths[first]}, '{other}' "
                f"by {truths[other]}; use --set label_set=ferplus8 to evaluate all arms by the votes"
            )
    truth = evaluation_dataset(dataset, recipes[0].scheme, recipes[0].label_set)
    if not [s for s in (VAL, TEST) if s in truth and truth[s].labelled and len(truth[s]) > 1]:
        raise MissingSplit(
            f"{dataset.source} has no '{VAL}' or '{TEST}' split with labels and two faces or more, "
            "so runs cannot be compared; train single runs with mien train"
        )
    return truth


def _run(recipe: Recipe, seed: int, folder: Path) -> Run:
    return Run(folder / f"{recipe.name}-seed{seed}")


def _record(run: Run, recipe: Recipe, dataset: Dataset, seed: int) -> RunRecord:
    history = run.history
    return RunRecord(
        arm=recipe.name,
        seed=seed,
        history=history,
        probabilities=run.predictions(),
        digest=dataset.digest,
        seconds=sum(epoch["seconds"] for epoch in history),
        machine=run.machine,
        recipe=recipe.to_dict(),
        selected_epoch=run.selected_epoch,
        truth=label_source(dataset),
    )


def _notes(dataset: Dataset, truth: Dataset, recipes: Sequence[Recipe]) -> list[str]:
    """Return the report's notes on the data: how it was split, and duplicates between training and evaluation."""
    split_notes = [truth.note] if truth.note else []
    # Label schemes learn from different training faces, so duplicates are counted among all of them.
    whole = replace(truth, splits={**truth.splits, TRAIN: dataset[TRAIN]})
    duplicates = {pair: count for pair, count in audit(whole).across.items() if count and pair.endswith(f" in {TRAIN}")}
    filters = {(recipe.scheme, recipe.drop_duplicates, recipe.label_noise and recipe.drop_noisy) for recipe in recipes}
    effect = (
        "all arms learn from the same duplicates"
        if len(filters) == 1
        else "each arm learns from the duplicates that its recipe keeps"
    )
    if all(recipe.drop_duplicates for recipe in recipes):
        effect = "no arm learns from the duplicates, which the recipes leave out"
    return split_notes + [
        f"{count:,} faces of the split '{pair.split()[0]}' have a byte-identical duplicate in '{TRAIN}', with the same "
        f"label or another; {effect}, and all these faces are part of the evaluation."
        for pair, count in duplicates.items()
    ]


def augmentation_sheet(dataset: Dataset, recipes: Iterable[Recipe], path: str | Path) -> Path:
    """Draw a training face and the results of each augmentation of the recipes, one row per augmentation, as a PNG.

    Args:
        dataset: Data set with a training split.
        recipes: Recipes whose augmentations are drawn.
        path: Path of the PNG file.

    Returns:
        The path.

    Raises:
        MissingExtra: matplotlib is not installed.
        MienError: No recipe has an augmentation.
        RunError: The file cannot be written.
    """
    file = Path(path)
    image = png(augmentation_strip(examples(dataset, recipes)))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, [image])
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror or error}") from None
    return file


def examples(dataset: Dataset, recipes: Iterable[Recipe], count: int = 6) -> list[Example]:
    """Return one training face and `count` results of each augmentation of the recipes, at its own probability."""
    operations: dict[str, Augmentation] = {}
    for recipe in recipes:
        for augmentation in recipe.augment:
            record = augmentation.to_dict()
            parameters = ", ".join(f"{k}={v}" for k, v in record.items() if k not in ("name", "pipeline"))
            operations[f"{record['name']}({parameters})"] = augmentation
    faces_NHW = dataset[TRAIN].pixels_NHW
    # The face with the highest contrast among the first hundred: on a flat one, augmentations cannot be seen.
    face_HW = max(faces_NHW[:100], key=lambda image: float(image.std()))
    copies_NCHW = torch.from_numpy(face_HW).float().expand(count, 1, -1, -1).clone()
    rows = []
    for name, augmentation in operations.items():
        after = augmentation(copies_NCHW, epoch_rng(0, 0, AUGMENT, torch.device("cpu")))
        rows.append((name, face_HW, list(after[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())))
    return rows
