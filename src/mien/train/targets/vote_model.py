"""Model of FER2013's labels given the votes of FER+.

FER2013's labels and FER+'s votes describe the same faces by different annotators. For each face, this model estimates
the shares of the FER2013 labels among faces with such votes; it is fitted on the training faces. Beside a face's own
label this is a second opinion that averages out the noise of single labels, and, unlike the majority vote, it keeps
the labeling conventions of FER2013.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

MAX_STEPS = 200  # of L-BFGS, which stops earlier when it has converged
WEIGHT_DECAY = 1e-4  # keeps the weights finite for a class that occurs with no vote


def labels_from_votes(votes_NV: NDArray[np.uint8], labels_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a multinomial logistic regression of labels on votes, and return its predictions for the same faces.

    Args:
        votes_NV: FER+ votes, uint8 [N,10].
        labels_NK: Labels of the same faces as shares, float64 [N,K]; rows of zeros are faces without a label, which are
            not used for the fit.

    Returns:
        Shares of the labels, float64 [N,K]; each row sums to 1.

    >>> votes_NV = np.array([[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]] * 10, np.uint8)
    >>> labels_NK = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    >>> labels_from_votes(votes_NV, labels_NK)[:2].argmax(axis=1).tolist()
    [0, 1]
    """
    features_NF = torch.from_numpy(_features(votes_NV))
    target_NK = torch.from_numpy(labels_NK)
    weights_FK = torch.zeros(features_NF.shape[1], labels_NK.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights_FK], max_iter=MAX_STEPS, line_search_fn="strong_wolfe")
    count = max(int((target_NK.sum(1) > 0).sum()), 1)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        log_p_NK = functional.log_softmax(features_NF @ weights_FK, dim=1)
        total = -(target_NK * log_p_NK).sum() / count + WEIGHT_DECAY * weights_FK.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    probs_NK: NDArray[np.float64] = torch.softmax(features_NF @ weights_FK.detach(), dim=1).numpy()
    return probs_NK


def _features(votes_NV: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return shares of the votes, their roots and squares, whether each is half or more, and a constant: [N,41]."""
    share_NV = votes_NV / np.maximum(votes_NV.sum(1, keepdims=True), 1)
    ones_N1 = np.ones((len(votes_NV), 1))
    return np.concatenate([share_NV, np.sqrt(share_NV), share_NV**2, share_NV >= 0.5, ones_N1], axis=1)
