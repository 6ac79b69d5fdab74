"""Training faces that a recipe leaves out: duplicates of other splits, noisy labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data import votes
from mien.data.audit import duplicates_of_evaluation
from mien.data.dataset import TRAIN, Dataset
from mien.errors import RunError
from mien.labels import same_classes
from mien.train.label_noise.scores import rank_by_confident_learning, read_label_noise
from mien.train.recipe import Recipe
from mien.train.targets.schemes import SCHEMES, TrainingTargets


def filter_training_faces(learned: TrainingTargets, recipe: Recipe, dataset: Dataset) -> TrainingTargets:
    """`learned` without what `recipe` leaves out, and with softer targets where it asks for those.

    Args:
        dataset: as it was loaded; copies are looked for in it, which takes half a minute the first time.

    Raises:
        RunError: the file of doubts is none, or is about other faces or classes, or nothing is left to learn from.
    """
    train, target_NK, digest = learned.dataset[TRAIN], learned.target_NK, None
    dropped_N = np.zeros(len(train), bool)
    if recipe.drop_noisy or recipe.soften_noisy:
        dropped_N, target_NK, digest = _by_doubts(learned, recipe)
    if recipe.drop_duplicates:
        dropped_N |= np.isin(train.rows_N, dataset[TRAIN].rows_N[duplicates_of_evaluation(dataset)])
    if dropped_N.all():
        raise RunError(f"recipe '{recipe.name}' leaves out every training face of {dataset.source}: drop fewer")
    clean_N = ~np.isin(learned.clean.rows_N, train.rows_N[dropped_N])
    kept = votes.select_faces(train, ~dropped_N, train.labels_N)
    return replace(
        learned,
        dataset=replace(learned.dataset, splits={**learned.dataset.splits, TRAIN: kept}),
        target_NK=target_NK[torch.from_numpy(~dropped_N)],
        clean=votes.select_faces(learned.clean, clean_N, learned.clean.labels_N),
        label_noise=digest,
    )


def _by_doubts(learned: TrainingTargets, recipe: Recipe) -> tuple[NDArray[np.bool_], torch.Tensor, str]:
    """Which faces are dropped, bool [N]; the targets, softer where asked; and the sum of the doubts gone by."""
    label_noise, data, train = read_label_noise(recipe.label_noise), learned.dataset, learned.dataset[TRAIN]
    if not same_classes(label_noise.labels, data.labels.names) or not SCHEMES[recipe.scheme].own_labels:
        raise RunError(
            f"the doubts in {recipe.label_noise} are about the labels {', '.join(label_noise.labels)} of the data "
            "itself, and "
            f"recipe '{recipe.name}' learns {', '.join(data.labels.names)} by the scheme {recipe.scheme}"
        )
    if label_noise.data != data.digest:
        raise RunError(f"the doubts in {recipe.label_noise} are about other data than {data.source}: make them anew")
    probs_NK = label_noise.of(train.rows_N)
    order = rank_by_confident_learning(train.labels_N, probs_NK)
    first = round(recipe.drop_noisy * len(train))
    soft = order[first : first + round(recipe.soften_noisy * len(train))]
    dropped_N = np.zeros(len(train), bool)
    dropped_N[order[:first]] = True
    target_NK = learned.target_NK.clone()
    target_NK[torch.from_numpy(soft)] = torch.from_numpy(probs_NK[soft])
    return dropped_N, target_NK, label_noise.digest
