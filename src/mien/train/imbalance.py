"""Class imbalance: class weights, balanced sampling and logit adjustment."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional


def class_weights(target_NK: Tensor, power: float) -> Tensor:
    """A weight per class, float32 [K]: the inverse of its share to `power`, scaled so that the mean over faces is 1.

    Classes are counted in the targets, float32 [N,K], whose rows sum to 1. A power of 1 is what scikit-learn calls
    balanced. A class without faces has weight 0.
    """
    count_K = target_NK.cpu().double().sum(0)  # Apple's GPUs have no double
    weight_K = torch.where(count_K > 0, torch.where(count_K > 0, count_K, 1) ** -power, 0.0)
    return (weight_K * len(target_NK) / (weight_K * count_K).sum()).float().to(target_NK.device)


def class_frequencies(target_NK: Tensor) -> Tensor:
    """Return the share of each class in the training targets, float32 [K], which sums to 1.

    A class without faces counts as half a face, so that the logarithm of its share is finite.

    Args:
        target_NK: Targets, float32 [N,K], whose rows sum to 1.
    """
    count_K = target_NK.cpu().double().sum(0).clamp(min=0.5)
    return (count_K / count_K.sum()).float().to(target_NK.device)


def with_prior(log_p_BK: Tensor, shift_K: Tensor) -> Tensor:
    """Return log-probabilities [B,K] whose odds are shifted by `shift_K`, [K], and which are normalised again.

    With `shift_K = tau * log(class frequency)` this is the logit adjustment of Menon et al. 2021 (arXiv 2007.07314,
    equation 10). A model trained on the adjusted log-probabilities assumes, without the shift, class frequencies that
    are the training frequencies to the power 1 - tau: equally frequent classes for tau = 1.
    """
    return functional.log_softmax(log_p_BK + shift_K, dim=1)


def balanced_order(labels_N: Tensor, power: float, rng: Generator) -> Tensor:
    """The rows of one epoch, int64 [N], in random order: as many as there are faces, rare classes more often.

    A class with a share s of the faces gets a share of the rows that goes with s to the power of 1 - `power`. Within a
    class all faces come equally often, give or take one, so that a small class is repeated whole and not by chance.
    A power of 0 is a plain permutation.
    """
    n = len(labels_N)
    if power == 0:
        return torch.randperm(n, generator=rng)
    members = [torch.nonzero(labels_N == k).flatten() for k in sorted(set(labels_N.tolist()))]
    share = torch.tensor([float(len(m)) for m in members], dtype=torch.float64) ** (1 - power)
    wanted = _whole_numbers(share * n / share.sum(), n)
    rows = []
    for faces, count in zip(members, wanted, strict=True):
        times, rest = divmod(count, len(faces))
        rows += [faces.repeat(times), faces[torch.randperm(len(faces), generator=rng)[:rest]]]
    together_N = torch.cat(rows)
    return together_N[torch.randperm(n, generator=rng)]


def _whole_numbers(parts: Tensor, total: int) -> list[int]:
    """`parts`, which add up to `total`, as whole numbers that do: the largest remainders are rounded up."""
    floor = parts.floor().long()
    short = total - int(floor.sum())
    floor[(parts - floor).argsort(descending=True, stable=True)[:short]] += 1
    return [int(count) for count in floor]
