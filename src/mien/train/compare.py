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
from mien.evaluation.comparison.compare import compare as judge
from mien.evaluation.report.plots import augmentation_strip
from mien.evaluation.report.style import png, require_report_libraries
from mien.evaluation.report.write import write_report
from mien.train.augment import Augmentation
from mien.train.batches import AUGMENT, stream
from mien.train.distillation import load_teachers, teacher_identities
from mien.train.loop import prepare_targets, train
from mien.train.recipe import Recipe
from mien.train.recipes import find_recipe
from mien.train.runs.folder import Run, run_identity
from mien.train.targets.schemes import evaluation_dataset

Example = tuple[str, NDArray[np.uint8], list[NDArray[np.uint8]]]  # operation, the face [48,48], the face changed


def compare(
    dataset: Dataset,
    arms: Sequence[str | Recipe],
    *,
    seeds: int | Iterable[int] = 3,
    out: str | Path,
    device: str = "auto",
    progress: bool = False,
) -> Comparison:
    """Train every arm from every seed, unless it is there already, and write the report.

    Args:
        arms: recipes or their names; the first is what the others are compared with.
        seeds: how many (0, 1, 2, ...), or which.
        out: gets `ARM-seedN/` per run, `report.html`, `comparison.json` and `plots/*.png`.

    Raises:
        RunError: fewer than two arms, an arm named twice, or a run in `out` that was trained otherwise.
        MienError: arms that are judged by different labels, so that their figures are no comparison.
    """
    recipes = [find_recipe(arm) if isinstance(arm, str) else arm for arm in arms]
    numbers = list(range(seeds) if isinstance(seeds, int) else seeds)
    names = [recipe.name for recipe in recipes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise RunError(f"a comparison needs two or more different arms, got {', '.join(names) or 'none'}")
    if not numbers or len(set(numbers)) < len(numbers):
        raise RunError(f"a comparison needs at least one seed and none twice, got {numbers}")
    folder = Path(out)
    truth = _truth(recipes, numbers, dataset, folder)
    # Seed by seed, so that a study that is stopped early has whole pairs.
    records = []
    for seed in numbers:
        for recipe in recipes:
            place = _run(recipe, seed, folder).folder
            run = train(recipe, dataset, place, seed=seed, device=device, resume=True, progress=progress)
            records.append(_record(run, recipe, truth, seed))
    comparison = judge(records, truth)
    notes = _notes(dataset, truth, recipes)
    write_report(comparison, folder, examples=examples(dataset, recipes), notes=notes)
    return comparison


def _truth(recipes: Sequence[Recipe], seeds: Sequence[int], dataset: Dataset, folder: Path) -> Dataset:
    """`dataset` as all arms are judged on it.

    Hours of training come before the judging, so what the judge needs is asked for first.
    """
    require_report_libraries()
    truths = {}
    for recipe in recipes:
        for seed in seeds:
            learned = prepare_targets(recipe, dataset, seed)
            teachers = teacher_identities(load_teachers(recipe, learned.dataset.labels.names))
            _run(recipe, seed, folder).check_same(run_identity(recipe, seed, learned, teachers=teachers))
            truths[recipe.name] = learned.truth
    first, *others = truths
    for other in others:
        if truths[other] != truths[first]:
            raise RunError(
                f"arms are compared on the same faces under the same labels, but '{first}' is judged in "
                f"{truths[first]} and '{other}' in {truths[other]}; with --set label_set=ferplus8 every scheme is "
                "judged by the votes"
            )
    truth = evaluation_dataset(dataset, recipes[0].scheme, recipes[0].label_set)
    if not [s for s in (VAL, TEST) if s in truth and truth[s].labelled and len(truth[s]) > 1]:
        raise MissingSplit(
            f"{dataset.source} has no '{VAL}' or '{TEST}' split with labels and two faces or more, "
            "so nothing could be compared; train single runs on it with: mien train"
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
    """What the reader must know of the data: how it was split, and faces met in training before they were judged."""
    split = [truth.note] if truth.note else []
    # Which training faces are learned from differs from scheme to scheme: duplicates are looked for among all of them.
    met = replace(truth, splits={**truth.splits, TRAIN: dataset[TRAIN]})
    duplicates = {pair: count for pair, count in audit(met).across.items() if count and pair.endswith(f" in {TRAIN}")}
    ways = {(recipe.scheme, recipe.drop_duplicates, recipe.label_noise and recipe.drop_noisy) for recipe in recipes}
    how = "all arms meet them alike" if len(ways) == 1 else "an arm meets those of them that it learns from"
    if all(recipe.drop_duplicates for recipe in recipes):
        how = "no arm meets them, as their copies were left out"
    return split + [
        f"{count:,} faces of the split '{pair.split()[0]}' have a byte-identical duplicate in '{TRAIN}', with the same "
        f"label or another; {how}, and all are counted."
        for pair, count in duplicates.items()
    ]


def augmentation_sheet(dataset: Dataset, recipes: Iterable[Recipe], path: str | Path) -> Path:
    """Draw what each operation of the recipes does to a face, a row each, as a PNG; the path is returned.

    Raises:
        MissingExtra: matplotlib is not installed.
        MienError: no recipe augments.
        RunError: the file cannot be written.
    """
    place = Path(path)
    drawn = png(augmentation_strip(examples(dataset, recipes)))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write(place, [drawn])
    except OSError as error:
        raise RunError(f"cannot write {place}: {error.strerror or error}") from None
    return place


def examples(dataset: Dataset, recipes: Iterable[Recipe], count: int = 6) -> list[Example]:
    """One training face beside itself after each operation of the recipes, each with its own probability."""
    operations: dict[str, Augmentation] = {}
    for recipe in recipes:
        for change in recipe.augment:
            about = change.to_dict()
            inside = ", ".join(f"{k}={v}" for k, v in about.items() if k not in ("name", "pipeline"))
            operations[f"{about['name']}({inside})"] = change
    faces_NHW = dataset[TRAIN].pixels_NHW
    # The face with the strongest contrast among the first hundred: a flat one would show nothing.
    face_HW = max(faces_NHW[:100], key=lambda image: float(image.std()))
    copies_NCHW = torch.from_numpy(face_HW).float().expand(count, 1, -1, -1).clone()
    shown = []
    for name, change in operations.items():
        after = change(copies_NCHW, stream(0, 0, AUGMENT, torch.device("cpu")))
        shown.append((name, face_HW, list(after[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())))
    return shown
