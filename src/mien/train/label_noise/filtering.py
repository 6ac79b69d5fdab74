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


def filter_training_faces(targets: TrainingTargets, recipe: Recipe, dataset: Dataset) -> TrainingTargets:
    """Leave out the training faces that a recipe drops, and soften the targets that it softens.

    Args:
        targets: Training targets of all faces.
        recipe: Recipe with `drop_duplicates`, `drop_noisy`, `soften_noisy` and `label_noise`.
        dataset: Data set as it was loaded. The first search for duplicates in it takes half a minute.

    Raises:
        RunError: The file of label noise scores cannot be read, or is about other faces or classes; or no training face
            is left.
    """
    train, target_NK, digest = targets.dataset[TRAIN], targets.target_NK, None
    drop_N = np.zeros(len(train), bool)
    if recipe.drop_noisy or recipe.soften_noisy:
        drop_N, target_NK, digest = _filter_noisy(targets, recipe)
    if recipe.drop_duplicates:
        drop_N |= np.isin(train.rows_N, dataset[TRAIN].rows_N[duplicates_of_evaluation(dataset)])
    if drop_N.all():
        raise RunError(
            f"recipe '{recipe.name}' drops every training face of {dataset.source}; lower drop_noisy or turn off "
            "drop_duplicates"
        )
    kept_N = ~np.isin(targets.train_eval.rows_N, train.rows_N[drop_N])
    kept = votes.select_faces(train, ~drop_N, train.labels_N)
    return replace(
        targets,
        dataset=replace(targets.dataset, splits={**targets.dataset.splits, TRAIN: kept}),
        target_NK=target_NK[torch.from_numpy(~drop_N)],
        train_eval=votes.select_faces(targets.train_eval, kept_N, targets.train_eval.labels_N),
        label_noise=digest,
    )


def _filter_noisy(targets: TrainingTargets, recipe: Recipe) -> tuple[NDArray[np.bool_], torch.Tensor, str]:
    """Return which faces are dropped, bool [N]; the targets, some softened; and the digest of the scores."""
    scores, data, train = read_label_noise(recipe.label_noise), targets.dataset, targets.dataset[TRAIN]
    if not same_classes(scores.labels, data.labels.names) or not SCHEMES[recipe.scheme].own_labels:
        raise RunError(
            f"the label noise scores in {recipe.label_noise} are for the data set's own labels "
            f"{', '.join(scores.labels)}, but recipe '{recipe.name}' learns {', '.join(data.labels.names)} with scheme "
            f"{recipe.scheme}"
        )
    if scores.data != data.digest:
        raise RunError(
            f"the label noise scores in {recipe.label_noise} are for another data set than {data.source}; compute them "
            "again with mien.train.out_of_fold"
        )
    probs_NK = scores.of(train.rows_N)
    ranking = rank_by_confident_learning(train.labels_N, probs_NK)
    count = round(recipe.drop_noisy * len(train))
    soften = ranking[count : count + round(recipe.soften_noisy * len(train))]
    drop_N = np.zeros(len(train), bool)
    drop_N[ranking[:count]] = True
    target_NK = targets.target_NK.clone()
    target_NK[torch.from_numpy(soften)] = torch.from_numpy(probs_NK[soften])
    return drop_N, target_NK, scores.digest
