"""Label schemes: training targets from labels and FER+ votes.

A scheme says which faces are learned from and with which shares of the classes, what of that is shown in an epoch, and
what the loss makes of it. Whatever the scheme, in FER+'s classes a model is judged by the majority of the votes.

Source: Barsoum et al. 2016, section 4, arXiv 1608.01041.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from mien.data import votes
from mien.data.dataset import TRAIN, Dataset, Split
from mien.data.votes import Rule, relabel_by_majority, require_votes, votes_digest
from mien.errors import DataError
from mien.labels import FERPLUS8, LABEL_SETS, LabelSet, projection
from mien.train.targets.vote_model import expected

AUTO = "auto"  # the label set that goes with the scheme


@dataclass(frozen=True)
class Scheme:
    """Targets as they are, and cross-entropy.

    Attributes:
        name: what a recipe calls it.
        rule: which faces the votes keep and what they come to; None where votes are not asked.
        own_labels: whether the data's own labels are taught, alone or along with the votes.
        fitted: whether the votes teach what they make one expect of the own labels, not what they say themselves.
    """

    name: str
    rule: Rule | None = None
    own_labels: bool = False
    fitted: bool = False

    def target(self, share_BK: Tensor, rng: Generator) -> Tensor:
        """What is shown in this epoch of faces with these shares of the classes: float32 [B,K], rows sum to 1."""
        return share_BK

    def loss(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        """The loss of each face, [B]."""
        return -(target_BK * log_p_BK).sum(1)


@dataclass(frozen=True)
class _Drawing(Scheme):
    """Each time that a face is shown, one class is drawn by its shares."""

    def target(self, share_BK: Tensor, rng: Generator) -> Tensor:
        """One-hot rows; `rng` is the CPU's on every device, so that all of them draw alike."""
        until_BK = share_BK.cumsum(1)
        until_BK = until_BK / until_BK[:, -1:]  # ends at 1 exactly, so that no class of share 0 is ever drawn
        drawn_B = torch.rand(len(share_BK), generator=rng).to(share_BK.device)
        class_B = (drawn_B[:, None] >= until_BK).sum(1)
        return torch.zeros_like(share_BK).scatter_(1, class_B[:, None], 1.0)


@dataclass(frozen=True)
class _MultiLabel(Scheme):
    """Any of the classes that a face has is right: the likeliest of them alone is pulled (equation 3 of the paper)."""

    def loss(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        best_B: Tensor = log_p_BK.masked_fill(target_BK <= 0, -torch.inf).max(1).values
        return -best_B


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("fer2013", own_labels=True),  # one label a face, whatever the data set
        Scheme("majority", votes.majority),
        _MultiLabel("multi_label", votes.multi_label),
        _Drawing("drawing", votes.distribution),
        Scheme("distribution", votes.distribution),
        Scheme("mixed", votes.distribution, own_labels=True),
        Scheme("expected", votes.distribution, own_labels=True, fitted=True),
    )
}


@dataclass(frozen=True, eq=False)
class TrainingTargets:
    """What a recipe learns from a data set.

    Attributes:
        dataset: in the label set of the lesson; the training faces that are learned from, under the data's own label
            or else under their likeliest class, and the other splits as they are judged.
        target_NK: of those training faces the shares of the classes, float32 [N,K], rows sum to 1.
        clean: the training faces as the other splits are judged.
        truth: by what is judged, in words; only what is judged by the same is compared.
        votes: digest of the votes, or None where none are asked.
        doubts: that of the doubts by which faces were dropped or softened, or None where none were asked.
    """

    dataset: Dataset
    target_NK: Tensor
    clean: Split
    truth: str
    votes: str | None
    label_noise: str | None = None


def training_targets(dataset: Dataset, scheme: str, label_set: str = AUTO, mix: float = 0.5) -> TrainingTargets:
    """What is learned from `dataset`, whose training faces have labels where `scheme` needs them.

    Args:
        scheme: a name in `SCHEMES`.
        label_set: `auto` (`judged` says which that is), `fer7` or `ferplus8`.
        mix: of `mixed` and `expected`: from 0, the labels alone, to 1, the votes alone; faces whose votes are no clear
            expression keep their label in `mixed`.

    Raises:
        DataError: votes are needed and not there, or `label_set` is none that the data can be brought to.
    """
    about, truth = SCHEMES[scheme], judged(dataset, scheme, label_set)
    own = truth is dataset
    asked = about.rule is not None or not own
    if asked:
        require_votes(dataset)
    share_NK, keep_N = _shares(about, dataset, truth, mix)
    train = dataset[TRAIN]
    if not own:
        train = votes.select_faces(train, keep_N, share_NK.argmax(1))
    return TrainingTargets(
        dataset=replace(truth, splits={**truth.splits, TRAIN: train}),
        target_NK=torch.from_numpy(share_NK[keep_N].astype(np.float32)),
        clean=truth[TRAIN],
        truth=votes.label_source(truth),
        votes=votes_digest(dataset) if asked else None,
    )


def judged(dataset: Dataset, scheme: str, label_set: str = AUTO) -> Dataset:
    """`dataset` as models of a scheme are judged on it: `dataset` itself, or relabelled by the majority of its votes.

    By default the data's own labels teach models that tell its own classes apart, and votes those that tell FER+'s.
    Every model that tells FER+'s classes apart is judged by the majority of the votes, and so is every scheme of votes
    alone.

    Raises:
        DataError: as `training_targets`.
    """
    own = SCHEMES[scheme].own_labels
    if own and label_set in (AUTO, dataset.labels.name):
        return dataset
    if dataset.labels not in LABEL_SETS.values():
        raise DataError(
            f"{dataset.source} is labelled {', '.join(dataset.labels.names)}: "
            "learn that with --set scheme=fer2013 --set label_set=auto"
        )
    return relabel_by_majority(dataset, FERPLUS8 if label_set == AUTO else LABEL_SETS[label_set])


def _shares(about: Scheme, dataset: Dataset, truth: Dataset, mix: float) -> votes.Cleaned:
    """The shares of the classes of `truth`, float64 [N,K], and the faces that are learned from, bool [N]."""
    train, labels = dataset[TRAIN], truth.labels
    if about.rule is None:
        return _own(dataset, labels)
    assert train.votes_NV is not None, "require_votes comes first"
    own_NK, own_N = _own(dataset, labels)
    if about.fitted:
        probs_NK, clear_N = expected(train.votes_NV, own_NK), train.votes_NV.sum(1) > 0
    else:
        probs_NK, clear_N = votes.targets_from_votes(about.rule, train.votes_NV, labels)
    if not about.own_labels:
        return probs_NK, clear_N
    mix_N1 = np.where(clear_N, np.where(own_N, mix, 1.0), 0.0)[:, None]
    return (1 - mix_N1) * own_NK + mix_N1 * probs_NK, own_N | clear_N


def _own(dataset: Dataset, labels: LabelSet) -> votes.Cleaned:
    """The data's own labels as one-hot rows over `labels`, and which faces have one there."""
    own_NK = projection(dataset.labels, labels)[dataset[TRAIN].labels_N]
    return own_NK, own_NK.sum(1) > 0
