"""Model of FER2013's labels given the votes of FER+.

FER2013's labels and FER+'s votes speak of the same faces in two tongues. What the votes say of a label is fitted on the
training faces: for each face the shares of the labels that faces with such votes have. Beside a face's own label that
is a second opinion with the noise of single labels averaged out, and, unlike the raters' majority, it keeps FER2013's
ways of labelling.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

STEPS = 200  # of L-BFGS, which ends earlier when it stands still
PULL = 1e-4  # on the squares of the weights, so that a class that no vote goes with stays finite


def expected(votes_NV: NDArray[np.uint8], labels_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the labels given the votes, float64 [N,K], rows sum to 1: a multinomial logistic regression.

    Args:
        votes_NV: FER+ votes, uint8 [N,10].
        labels_NK: the same faces' labels as shares [N,K]; faces without any, rows of zeros, do not take part.
    """
    seen_NF = torch.from_numpy(_features(votes_NV))
    target_NK = torch.from_numpy(labels_NK)
    weights_FK = torch.zeros(seen_NF.shape[1], labels_NK.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights_FK], max_iter=STEPS, line_search_fn="strong_wolfe")
    count = max(int((target_NK.sum(1) > 0).sum()), 1)

    def loss() -> torch.Tensor:
        solver.zero_grad()
        log_p_NK = functional.log_softmax(seen_NF @ weights_FK, dim=1)
        total = -(target_NK * log_p_NK).sum() / count + PULL * weights_FK.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    probs_NK: NDArray[np.float64] = torch.softmax(seen_NF @ weights_FK.detach(), dim=1).numpy()
    return probs_NK


def _features(votes_NV: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The shares of the votes, their roots and squares, whether each has half of them, and a constant: [N,41]."""
    share_NV = votes_NV / np.maximum(votes_NV.sum(1, keepdims=True), 1)
    ones_N1 = np.ones((len(votes_NV), 1))
    return np.concatenate([share_NV, np.sqrt(share_NV), share_NV**2, share_NV >= 0.5, ones_N1], axis=1)
