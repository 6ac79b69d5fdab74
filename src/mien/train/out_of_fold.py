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
    """Predict each fold of the training faces with a model that was trained on the other folds (cross-validation).

    The same call resumes after an interruption. The last epoch predicts, because nothing may be selected on the faces
    that are predicted.

    Args:
        recipe: Recipe of every fold's model. It must learn the labels of the data and nothing else; its fields that
            leave out or soften noisy labels are ignored.
        dataset: Data set with a training split.
        out: Folder for one run per fold and for `label_noise.npz`, the file that recipes name in `label_noise`.
        folds: Number of folds, 2 or more. Near-duplicates are in the same fold, so that no model was trained on a copy
            of a face that it predicts; each fold has about the same share of every class.
        seed: Random seed of the folds and of every run.
        device: `auto`, `cpu`, `cuda` or `mps`.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The predicted probabilities, from which label noise is estimated.

    Raises:
        RunError: There are fewer than two folds or fewer faces than folds, the recipe learns from more than the labels,
            or an error of `train`.
        MissingSplit: `dataset` has no training split.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> from mien.train import apply_overrides, find_recipe, out_of_fold
        >>> recipe = apply_overrides(find_recipe("seed"), ["model=mien_nano", "epochs=1"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     label_noise = out_of_fold(recipe, sketch(train=16, val=8, test=8), folder, folds=2)
        >>> label_noise.probs_NK.shape
        (16, 7)
    """
    faces, folder = dataset[TRAIN], Path(out)
    if not 2 <= folds <= len(faces):
        raise RunError(f"folds must be from 2 to the number of training faces, {len(faces):,}, got {folds}")
    if SCHEMES[recipe.scheme].rule is not None or recipe.label_set not in (AUTO, dataset.labels.name) or recipe.teacher:
        raise RunError(
            f"recipe '{recipe.name}' learns from more than the labels whose noise is estimated; use --set "
            "scheme=fer2013 --set label_set=auto --set teacher="
        )
    plain = replace(
        recipe, select=LAST, patience=0, drop_duplicates=False, label_noise="", drop_noisy=0.0, soften_noisy=0.0
    )
    fold_N = assign_folds(dataset, folds, seed)
    probs_NK = np.empty((len(faces), len(dataset.labels)), np.float32)
    for fold in range(folds):
        val_N = fold_N == fold
        splits = {
            TRAIN: select_faces(faces, ~val_N, faces.labels_N),
            VAL: replace(select_faces(faces, val_N, faces.labels_N), name=VAL),
        }
        part = replace(dataset, splits=splits, digest=f"{dataset.digest} without fold {fold} of {folds}", known_as=None)
        run = train(plain, part, folder / f"fold{fold}", seed=seed, device=device, resume=True, progress=progress)
        probs_NK[val_N] = run.predictions()[VAL]
    label_noise = LabelNoise(dataset.digest, dataset.labels.names, faces.rows_N, probs_NK)
    label_noise.write(folder / FILE)
    return label_noise


def assign_folds(dataset: Dataset, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each training face, int64 [N], from 0; faces that are duplicates of each other share one."""
    faces = dataset[TRAIN]
    group_N = _duplicate_groups(dataset)
    first_G, inverse_N = np.unique(group_N, return_index=True, return_inverse=True)[1:]
    shuffled_G = np.random.default_rng(seed).permutation(len(first_G))
    # Stratified: groups are assigned in turn, class by class; the label of a group is that of its first face.
    order_G = shuffled_G[np.argsort(faces.labels_N[first_G[shuffled_G]], kind="stable")]
    fold_G = np.empty(len(first_G), np.int64)
    fold_G[order_G] = np.arange(len(first_G)) % folds
    return fold_G[inverse_N]


def _duplicate_groups(dataset: Dataset) -> NDArray[np.int64]:
    """Return the group of each training face, [N]: the smallest index among the faces that duplicates connect it to."""
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
