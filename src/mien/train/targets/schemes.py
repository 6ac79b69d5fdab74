"""Label schemes: training targets from labels and FER+ votes.

A scheme decides which training faces are used, what their targets are (shares of the classes), what is shown in an
epoch, and how the loss uses it. Models of FER+'s classes are evaluated by the majority vote, whatever the scheme.

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
from mien.train.targets.vote_model import labels_from_votes

AUTO = "auto"  # the default label set of a scheme


@dataclass(frozen=True)
class Scheme:
    """A label scheme; this base class shows the targets as they are and uses the cross-entropy.

    Attributes:
        name: Name in a recipe.
        rule: Rule that converts the votes of a face to shares of the classes; None if votes are not used.
        own_labels: Whether the data set's own labels are used, alone or together with the votes.
        fitted: Whether the targets are the labels that `vote_model` expects given the votes, not the votes themselves.

    >>> SCHEMES["mixed"].own_labels, SCHEMES["majority"].own_labels
    (True, False)
    """

    name: str
    rule: Rule | None = None
    own_labels: bool = False
    fitted: bool = False

    def target(self, share_BK: Tensor, rng: Generator) -> Tensor:
        """Return the targets to show in this epoch.

        Args:
            share_BK: Shares of the classes, float32 [B,K]; each row sums to 1.
            rng: Random generator on the CPU.

        Returns:
            Targets, float32 [B,K]; each row sums to 1.
        """
        return share_BK

    def loss(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        """Return the loss of each face, [B], from log-probabilities and targets [B,K]."""
        return -(target_BK * log_p_BK).sum(1)


@dataclass(frozen=True)
class _SampledLabel(Scheme):
    """Samples one class from the shares each time that a face is shown."""

    def target(self, share_BK: Tensor, rng: Generator) -> Tensor:
        """Return one-hot targets. `rng` is on the CPU for every device, so that all devices sample alike."""
        cumulative_BK = share_BK.cumsum(1)
        cumulative_BK = cumulative_BK / cumulative_BK[:, -1:]  # ends at exactly 1: a class of share 0 is never sampled
        uniform_B = torch.rand(len(share_BK), generator=rng).to(share_BK.device)
        class_B = (uniform_B[:, None] >= cumulative_BK).sum(1)
        return torch.zeros_like(share_BK).scatter_(1, class_B[:, None], 1.0)


@dataclass(frozen=True)
class _MultiLabel(Scheme):
    """Any of the classes of a face is correct: the loss is that of the likeliest one (equation 3 of the paper)."""

    def loss(self, log_p_BK: Tensor, target_BK: Tensor) -> Tensor:
        best_B: Tensor = log_p_BK.masked_fill(target_BK <= 0, -torch.inf).max(1).values
        return -best_B


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("fer2013", own_labels=True),  # the data set's own labels, whatever the data set
        Scheme("majority", votes.majority),
        _MultiLabel("multi_label", votes.multi_label),
        _SampledLabel("drawing", votes.distribution),
        Scheme("distribution", votes.distribution),
        Scheme("mixed", votes.distribution, own_labels=True),
        Scheme("expected", votes.distribution, own_labels=True, fitted=True),
    )
}


@dataclass(frozen=True, eq=False)
class TrainingTargets:
    """What a recipe learns from a data set.

    Attributes:
        dataset: Data set in the model's label set: the training faces that are used, with their own label or their
            likeliest class, and the other splits with the labels that the model is evaluated by.
        target_NK: Targets of these training faces, float32 [N,K]; each row sums to 1.
        train_eval: Training split with the labels that the model is evaluated by.
        truth: Description of these labels; only models that are evaluated by the same labels are compared.
        votes: Digest of the votes; None if votes are not used.
        label_noise: Digest of the label noise scores by which faces were dropped or softened; None if none were.
    """

    dataset: Dataset
    target_NK: Tensor
    train_eval: Split
    truth: str
    votes: str | None
    label_noise: str | None = None


def training_targets(dataset: Dataset, scheme: str, label_set: str = AUTO, mix: float = 0.5) -> TrainingTargets:
    """Compute the training targets of a scheme.

    Args:
        dataset: Data set as it was loaded, whose training faces have labels if the scheme uses them.
        scheme: Name in `SCHEMES`.
        label_set: `auto` (see `evaluation_dataset`), `fer7` or `ferplus8`.
        mix: Share of the votes in the targets of `mixed` and `expected`, from 0 (labels only) to 1 (votes only). Faces
            whose votes are not a clear expression keep their label in `mixed`.

    Raises:
        DataError: The scheme needs votes and the data set has none, or the data set cannot be converted to `label_set`.

    >>> from mien.data import sketch
    >>> targets = training_targets(sketch(train=8, val=4, test=4), "fer2013")
    >>> targets.target_NK.shape
    torch.Size([8, 7])
    """
    definition, truth = SCHEMES[scheme], evaluation_dataset(dataset, scheme, label_set)
    by_own_labels = truth is dataset
    uses_votes = definition.rule is not None or not by_own_labels
    if uses_votes:
        require_votes(dataset)
    share_NK, keep_N = _shares(definition, dataset, truth, mix)
    train = dataset[TRAIN]
    if not by_own_labels:
        train = votes.select_faces(train, keep_N, share_NK.argmax(1))
    return TrainingTargets(
        dataset=replace(truth, splits={**truth.splits, TRAIN: train}),
        target_NK=torch.from_numpy(share_NK[keep_N].astype(np.float32)),
        train_eval=truth[TRAIN],
        truth=votes.label_source(truth),
        votes=votes_digest(dataset) if uses_votes else None,
    )


def evaluation_dataset(dataset: Dataset, scheme: str, label_set: str = AUTO) -> Dataset:
    """Return the data set with the labels that models of a scheme are evaluated by.

    By default a scheme with own labels learns the data set's own classes, and a scheme of votes alone learns FER+'s.
    Models of FER+'s classes, and all models of votes alone, are evaluated by the majority vote.

    Args:
        dataset: Data set as it was loaded.
        scheme: Name in `SCHEMES`.
        label_set: `auto`, `fer7` or `ferplus8`.

    Returns:
        `dataset` itself, or a copy that is labeled by the majority vote.

    Raises:
        DataError: As in `training_targets`.
    """
    own = SCHEMES[scheme].own_labels
    if own and label_set in (AUTO, dataset.labels.name):
        return dataset
    if dataset.labels not in LABEL_SETS.values():
        raise DataError(
            f"{dataset.source} has the labels {', '.join(dataset.labels.names)}, which scheme '{scheme}' and label set "
            f"'{label_set}' cannot be applied to; use --set scheme=fer2013 --set label_set=auto"
        )
    return relabel_by_majority(dataset, FERPLUS8 if label_set == AUTO else LABEL_SETS[label_set])


def _shares(definition: Scheme, dataset: Dataset, truth: Dataset, mix: float) -> votes.Cleaned:
    """Return the shares of the classes of `truth`, float64 [N,K], and which training faces are used, bool [N]."""
    train, labels = dataset[TRAIN], truth.labels
    if definition.rule is None:
        return _own_labels(dataset, labels)
    assert train.votes_NV is not None, "require_votes was called"
    own_NK, has_label_N = _own_labels(dataset, labels)
    if definition.fitted:
        probs_NK, has_votes_N = labels_from_votes(train.votes_NV, own_NK), train.votes_NV.sum(1) > 0
    else:
        probs_NK, has_votes_N = votes.targets_from_votes(definition.rule, train.votes_NV, labels)
    if not definition.own_labels:
        return probs_NK, has_votes_N
    mix_N1 = np.where(has_votes_N, np.where(has_label_N, mix, 1.0), 0.0)[:, None]
    return (1 - mix_N1) * own_NK + mix_N1 * probs_NK, has_label_N | has_votes_N


def _own_labels(dataset: Dataset, labels: LabelSet) -> votes.Cleaned:
    """Return the data set's own labels as one-hot rows over `labels`, and which faces have a label there."""
    own_NK = projection(dataset.labels, labels)[dataset[TRAIN].labels_N]
    return own_NK, own_NK.sum(1) > 0
