"""Out-of-fold predictions of the training faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import TRAIN, VAL, Dataset
from mien.data.duplicates import find_near_duplicates
from mien.data.votes import select_faces
from mien.errors import RunError
from mien.evaluation.selection import LAST
from mien.train.label_noise.scores import LabelNoise
from mien.train.loop import train
from mien.train.recipe import Recipe
from mien.train.targets.schemes import AUTO, SCHEMES

FILE = "label_noise.npz"


def out_of_fold(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    folds: int = 5,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> LabelNoise:
    """Train `recipe` once for each fold of the training faces, on all the others, and ask it for the fold.

    Stopped, the same call goes on. The last epoch is the one that answers, as nothing may be chosen by a fold that is
    then asked for.

    Args:
        recipe: learns the data's own labels and nothing else; what it would leave out or soften is learned here.
        out: gets a run for each fold, and `label_noise.npz`, which recipes name in their field `label_noise`.
        folds: how many, 2 or more. Near-twins are in one fold, so that no model knows a face from its copy; the classes
            are spread evenly.
        seed: decides the folds, and is that of each run.

    Raises:
        RunError: fewer than two folds or fewer faces than folds, a recipe that knows more than the labels, or as
            `train`.
        MissingSplit: `dataset` has no training split.
    """
    faces, place = dataset[TRAIN], Path(out)
    if not 2 <= folds <= len(faces):
        raise RunError(f"there are 2 folds or more, and no more than the {len(faces):,} training faces, got {folds}")
    if SCHEMES[recipe.scheme].rule is not None or recipe.label_set not in (AUTO, dataset.labels.name) or recipe.teacher:
        raise RunError(
            f"recipe '{recipe.name}' learns from more than the labels that are to be doubted: --set scheme=fer2013 "
            "--set label_set=auto --set teacher="
        )
    plain = replace(
        recipe, select=LAST, patience=0, drop_duplicates=False, label_noise="", drop_noisy=0.0, soften_noisy=0.0
    )
    fold_N = assign_folds(dataset, folds, seed)
    probs_NK = np.empty((len(faces), len(dataset.labels)), np.float32)
    for fold in range(folds):
        held_N = fold_N == fold
        splits = {
            TRAIN: select_faces(faces, ~held_N, faces.labels_N),
            VAL: replace(select_faces(faces, held_N, faces.labels_N), name=VAL),
        }
        part = replace(dataset, splits=splits, digest=f"{dataset.digest} without fold {fold} of {folds}", known_as=None)
        run = train(plain, part, place / f"fold{fold}", seed=seed, device=device, resume=True, progress=progress)
        probs_NK[held_N] = run.predictions()[VAL]
    label_noise = LabelNoise(dataset.digest, dataset.labels.names, faces.rows_N, probs_NK)
    label_noise.write(place / FILE)
    return label_noise


def assign_folds(dataset: Dataset, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each training face, int64 [N], from 0; faces that are duplicates of each other share one."""
    faces = dataset[TRAIN]
    group_N = _groups(dataset)
    first_G, inverse_N = np.unique(group_N, return_index=True, return_inverse=True)[1:]
    shuffled_G = np.random.default_rng(seed).permutation(len(first_G))
    # Dealt out like cards, class by class; a group goes by the label of its first face.
    order_G = shuffled_G[np.argsort(faces.labels_N[first_G[shuffled_G]], kind="stable")]
    fold_G = np.empty(len(first_G), np.int64)
    fold_G[order_G] = np.arange(len(first_G)) % folds
    return fold_G[inverse_N]


def _groups(dataset: Dataset) -> NDArray[np.int64]:
    """A number for each training face, [N]: the smallest place among those that a chain of duplicates joins it with."""
    faces = dataset[TRAIN]
    pairs = find_near_duplicates(dataset).between(faces, faces)
    order_N = np.argsort(faces.rows_N)
    a_P, b_P = (order_N[np.searchsorted(faces.rows_N, rows_P, sorter=order_N)] for rows_P in (pairs.a_P, pairs.b_P))
    group_N = np.arange(len(faces))
    while True:
        before_N = group_N.copy()
        least_P = np.minimum(group_N[a_P], group_N[b_P])
        np.minimum.at(group_N, a_P, least_P)
        np.minimum.at(group_N, b_P, least_P)
        if (group_N == before_N).all():
            return group_N
