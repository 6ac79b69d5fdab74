"""Class imbalance: class weights, balanced sampling and logit adjustment."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional


def class_weights(target_NK: Tensor, power: float) -> Tensor:
    """Return the weight of each class, float32 [K]: the inverse of its share to `power`, with a mean of 1 over faces.

    Args:
        target_NK: Targets, float32 [N,K], in which the classes are counted; each row sums to 1.
        power: Exponent; 1 is the "balanced" of scikit-learn, 0 gives equal weights. A class without faces has weight 0.

    Example:
        >>> class_weights(torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]]), power=1.0)
        tensor([0.6667, 2.0000])
    """
    count_K = target_NK.cpu().double().sum(0)  # Apple's GPUs have no float64
    weight_K = torch.where(count_K > 0, torch.where(count_K > 0, count_K, 1) ** -power, 0.0)
    return (weight_K * len(target_NK) / (weight_K * count_K).sum()).float().to(target_NK.device)


def class_frequencies(target_NK: Tensor) -> Tensor:
    """Return the share of each class in the training targets, float32 [K], which sums to 1.

    A class without faces counts as half a face, so that the logarithm of its share is finite.

    Args:
        target_NK: Targets, float32 [N,K]; each row sums to 1.
    """
    count_K = target_NK.cpu().double().sum(0).clamp(min=0.5)
    return (count_K / count_K.sum()).float().to(target_NK.device)


def adjust_logits(log_p_BK: Tensor, shift_K: Tensor) -> Tensor:
    """Return log-probabilities [B,K] after adding `shift_K`, [K], to the logits.

    With `shift_K = tau * log(class frequency)` this is the logit adjustment of Menon et al. 2021 (arXiv 2007.07314,
    equation 10). A model trained on the adjusted log-probabilities assumes, without the shift, class frequencies that
    are the training frequencies to the power 1 - tau: equally frequent classes for tau = 1.
    """
    return functional.log_softmax(log_p_BK + shift_K, dim=1)


def balanced_order(labels_N: Tensor, power: float, rng: Generator) -> Tensor:
    """Return the rows of one epoch in random order, int64 [N]: as many as there are faces, rare classes more often.

    A class with a share s of the faces gets a share of the rows that is proportional to s to the power of 1 - `power`.
    Within a class, all faces occur equally often, give or take one, so that no face of a small class is left out by
    chance.

    Args:
        labels_N: Class indices, int64 [N], on the CPU.
        power: From 0 (a plain permutation) to 1 (equally many rows for every class).
        rng: Generator on the CPU.
    """
    n = len(labels_N)
    if power == 0:
        return torch.randperm(n, generator=rng)
    members = [torch.nonzero(labels_N == k).flatten() for k in sorted(set(labels_N.tolist()))]
    share = torch.tensor([float(len(m)) for m in members], dtype=torch.float64) ** (1 - power)
    counts = _round_to_total(share * n / share.sum(), n)
    rows = []
    for faces, count in zip(members, counts, strict=True):
        times, rest = divmod(count, len(faces))
        rows += [faces.repeat(times), faces[torch.randperm(len(faces), generator=rng)[:rest]]]
    rows_N = torch.cat(rows)
    return rows_N[torch.randperm(n, generator=rng)]


def _round_to_total(parts: Tensor, total: int) -> list[int]:
    """Round `parts`, whose sum is `total`, to integers with the same sum; the largest remainders are rounded up."""
    floor = parts.floor().long()
    missing = total - int(floor.sum())
    floor[(parts - floor).argsort(descending=True, stable=True)[:missing]] += 1
    return [int(count) for count in floor]
