"""Agreement of each rater with the others and with a model, to find careless raters.

Agreement is corrected for chance by kappa (Cohen 1960): (p - e) / (1 - e) with the share p of equal labels and the
share e that is expected from how often each side uses each class. It is 1 for equal labels and 0 for labels at random.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.feature_classifier import predict_out_of_fold
from mien.data.reading import Ratings

MIN_LABELS = 20  # with fewer labels, a rater is not evaluated
_Z = 1.96  # standard errors of a 95 % interval

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Agreement of a rater with others.

    Attributes:
        n: Number of faces.
        share: Share of equal labels, 0 to 1.
        kappa: Agreement corrected for chance, at most 1.
        low, high: 95 % interval of kappa.
    """

    n: int
    share: float
    kappa: float
    low: float
    high: float


@dataclass(frozen=True)
class RaterAudit:
    """The audit of one rater.

    Attributes:
        rater: Name of the rater.
        labels: Number of labels.
        others: Agreement with the other raters of the same faces; None if there are none.
        model: Agreement with a model that was trained on other faces; None if no rated image has a face.
        careless: Whether no agreement is above chance, and the others' agreement is.
    """

    rater: str
    labels: int
    others: Agreement | None
    model: Agreement | None
    careless: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types."""
        return asdict(self)


def audit_raters(ratings: Ratings, classes: int) -> tuple[RaterAudit, ...]:
    """Return the audit of each rater, in the order of `ratings.raters`.

    Args:
        ratings: Labels of the raters.
        classes: Number of classes, those of the data set and those of `ratings.others`.

    Example:
        >>> from mien.data import sketch
        >>> split = sketch(train=200, val=0, test=0)["train"]
        >>> index_M, raters_M = np.tile(np.arange(200), 3), np.arange(3).repeat(200)
        >>> labels_M = np.tile(split.labels_N, 3)
        >>> labels_M[:200] = np.random.default_rng(0).permutation(labels_M[:200])
        >>> ratings = Ratings(("careless", "ann", "bob"), split.pixels_NHW, index_M, raters_M, labels_M)
        >>> [audit.rater for audit in audit_raters(ratings, 7) if audit.careless]
        ['careless']
    """
    count_NK = np.zeros((len(ratings.faces_NHW), classes))
    np.add.at(count_NK, (ratings.faces_M, ratings.labels_M), 1)
    predicted_N = predict_out_of_fold(ratings.faces_NHW, ratings.faces_M, ratings.labels_M, classes)
    audits = []
    for number, rater in enumerate(ratings.raters):
        by_M = ratings.raters_M == number
        faces_M, labels_M = ratings.faces_M[by_M], ratings.labels_M[by_M]
        own_NK = np.zeros_like(count_NK)
        np.add.at(own_NK, (faces_M, labels_M), 1)
        others_MK = (count_NK - own_NK)[faces_M]
        shared_M = others_MK.sum(1) > 0
        others = agreement(labels_M[shared_M], others_MK[shared_M])
        model = agreement(labels_M, np.eye(classes)[predicted_N[faces_M]])
        audits.append(RaterAudit(rater, len(labels_M), others, model))
    return tuple(replace(audit, careless=_is_careless(audit, audits)) for audit in audits)


def agreement(labels_M: Ints, others_MK: NDArray[np.float64]) -> Agreement | None:
    """Return the agreement of labels with those of others; None without labels.

    Args:
        labels_M: Class index of each face, int64 [M].
        others_MK: How often others gave each class to the face, [M,K]; one or more times.

    Example:
        >>> agreement(np.array([0, 1, 0, 1]), np.eye(2)[[0, 1, 0, 1]]).kappa
        1.0
    """
    if not len(labels_M):
        return None
    share_MK = others_MK / others_MK.sum(1, keepdims=True)
    equal_M = share_MK[np.arange(len(labels_M)), labels_M]
    own_K = np.bincount(labels_M, minlength=share_MK.shape[1]) / len(labels_M)
    chance = float(own_K @ share_MK.mean(0))
    share = float(equal_M.mean())
    scale = max(1 - chance, 1e-9)
    kappa = (share - chance) / scale
    error = float(equal_M.std() / np.sqrt(len(equal_M))) / scale
    return Agreement(len(labels_M), share, kappa, kappa - _Z * error, min(1.0, kappa + _Z * error))


def _is_careless(audit: RaterAudit, audits: list[RaterAudit]) -> bool:
    """Return whether a rater agrees with nobody above chance, while the other raters do."""
    if audit.labels < MIN_LABELS:
        return False
    for name in ("others", "model"):
        own: Agreement | None = getattr(audit, name)
        if own is None or own.n < MIN_LABELS:
            continue
        peers = [a.kappa for other in audits if other is not audit and (a := getattr(other, name)) is not None]
        if own.low > 0 or not peers:
            return False
        # Two raters agree with each other equally little, so only the model says which of them is careless.
        if own.high >= float(np.median(peers)) and not (name == "others" and len(peers) == 1):
            return False
    return True
