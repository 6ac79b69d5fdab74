"""The study: train what a comparison needs, then hand the finished runs to the judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.audit import audit
from mien.data.split import TRAIN, Dataset
from mien.errors import RunError
from mien.judge.compare import Comparison, RunRecord
from mien.judge.compare import compare as judge
from mien.judge.report import write_report
from mien.train.augment import Augmentation
from mien.train.batches import AUGMENT, stream
from mien.train.loop import train
from mien.train.recipe import Recipe
from mien.train.recipes import find_recipe
from mien.train.runs import Run, differences, identity_of

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
    """
    recipes = [find_recipe(arm) if isinstance(arm, str) else arm for arm in arms]
    numbers = list(range(seeds) if isinstance(seeds, int) else seeds)
    names = [recipe.name for recipe in recipes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise RunError(f"a comparison needs two or more different arms, got {', '.join(names) or 'none'}")
    if not numbers or len(set(numbers)) < len(numbers):
        raise RunError(f"a comparison needs at least one seed and none twice, got {numbers}")
    folder = Path(out)
    # Seed by seed, so that a study that is stopped early has whole pairs.
    records = [
        _record(
            _finished(recipe, dataset, folder / f"{recipe.name}-seed{seed}", seed, device, progress),
            recipe,
            dataset,
            seed,
        )
        for seed in numbers
        for recipe in recipes
    ]
    comparison = judge(records, dataset)
    write_report(comparison, folder, examples=examples(dataset, recipes), notes=_leaks(dataset))
    return comparison


def _finished(recipe: Recipe, dataset: Dataset, folder: Path, seed: int, device: str, progress: bool) -> Run:
    """The run in `folder`, trained to its end here and now where it is not."""
    run = Run(folder)
    if run.finished and not differences(run.identity, identity_of(recipe, seed, dataset)):
        return run
    return train(recipe, dataset, folder, seed=seed, device=device, resume=True, progress=progress)


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
    )


def _leaks(dataset: Dataset) -> list[str]:
    """What the reader must know of faces that a net met in training before it was judged by them."""
    twins = {pair: count for pair, count in audit(dataset).across.items() if count and pair.endswith(f" in {TRAIN}")}
    return [
        f"{count:,} faces of the split '{pair.split()[0]}' have a byte-identical twin in '{TRAIN}', with the same "
        "label or another; all arms meet them alike, and all are counted."
        for pair, count in twins.items()
    ]


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
    face_HW = max(faces_NHW[:100], key=lambda picture: float(picture.std()))
    copies_NCHW = torch.from_numpy(face_HW).float().expand(count, 1, -1, -1).clone()
    shown = []
    for name, change in operations.items():
        after = change(copies_NCHW, stream(0, 0, AUGMENT, torch.device("cpu")))
        shown.append((name, face_HW, list(after[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())))
    return shown
