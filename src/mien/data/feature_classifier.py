"""Predictions of faces by a linear classifier that was not trained on them, on the features of a model.

The classifier is linear, fitted by least squares with a ridge penalty (Hoerl & Kennard 1970) on the mean feature maps
of a shipped model. It needs no torch and takes seconds, and its classes are those of the data.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mien.model import load

FOLDS = 5
MODEL = "nano"  # the fastest; its features are good enough to find labels at random
_RIDGE = 1e-2  # penalty, as a fraction of the mean variance of a feature times the number of faces

Ints = NDArray[np.int64]


def predict_out_of_fold(faces_NHW: NDArray[np.uint8], faces_M: Ints, labels_M: Ints, classes: int) -> Ints:
    """Return the predicted class of each face by a classifier trained on the labels of other faces, int64 [N].

    Args:
        faces_NHW: Faces, uint8 [N,48,48]. Equal faces are in the same fold.
        faces_M: Index of the labeled face, int64 [M]; a face may have several labels.
        labels_M: Class index of each label, int64 [M].
        classes: Number of classes.

    Example:
        >>> from mien.data import sketch
        >>> split = sketch(train=100, val=0, test=0)["train"]
        >>> predicted_N = predict_out_of_fold(split.pixels_NHW, np.arange(100), split.labels_N, 7)
        >>> predicted_N.shape
        (100,)
    """
    features_NC = _features(faces_NHW)
    fold_N = np.array([hashlib.sha256(face.tobytes()).digest()[0] % FOLDS for face in faces_NHW])
    predicted_N = np.zeros(len(faces_NHW), np.int64)
    for fold in range(FOLDS):
        held_N, train_M = fold_N == fold, fold_N[faces_M] != fold
        if held_N.any() and train_M.any():
            weights_CK = _fit(features_NC[faces_M[train_M]], labels_M[train_M], classes)
            predicted_N[held_N] = (features_NC[held_N] @ weights_CK).argmax(1)
    return predicted_N


def _features(faces_NHW: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the standardized mean of each feature map and a constant, float64 [N,C+1]."""
    model, batch = load(MODEL), 256
    parts = [model.maps(faces_NHW[i : i + batch])[1].mean((2, 3)) for i in range(0, len(faces_NHW), batch)]
    mean_NC = np.concatenate(parts).astype(np.float64)
    scaled_NC = (mean_NC - mean_NC.mean(0)) / (mean_NC.std(0) + 1e-6)
    return np.column_stack([scaled_NC, np.ones(len(scaled_NC))])


def _fit(features_MC: NDArray[np.float64], labels_M: Ints, classes: int) -> NDArray[np.float64]:
    """Return the weights of a least-squares classifier, [C,K]; every class has the same total weight."""
    counts_K = np.bincount(labels_M, minlength=classes)
    weight_M1 = (1 / np.maximum(counts_K, 1))[labels_M][:, None] * len(labels_M) / classes
    targets_MK = np.eye(classes)[labels_M]
    gram_CC = features_MC.T @ (features_MC * weight_M1)
    gram_CC += _RIDGE * np.trace(gram_CC) / len(gram_CC) * np.eye(len(gram_CC))
    return np.asarray(np.linalg.solve(gram_CC, features_MC.T @ (targets_MK * weight_M1)))
