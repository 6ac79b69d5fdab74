"""Knowledge distillation from one or several teachers.

Source: Hinton et al. 2015, arXiv 1503.02531; that teacher and pupil should look at the same altered image, Beyer et
al. 2022, arXiv 2106.05237. Their opinions are mixed into the targets, without a temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mien.errors import RunError
from mien.labels import same_classes
from mien.train.batches import Batch
from mien.train.imbalance import with_prior
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.runs.weights import Weights, find_weights

JOIN = "+"  # between the names of several teachers


def load_teachers(recipe: Recipe, labels: Sequence[str]) -> tuple[Weights, ...]:
    """The weights of the models that teach `recipe`, none where it has no teacher.

    Raises:
        RunError: nothing is called so, or it tells other classes apart, or sees pixels normalised otherwise.
    """
    whole = recipe.teacher and Path(recipe.teacher).exists()  # a path that has the sign in it
    names = [recipe.teacher] if whole else recipe.teacher.split(JOIN)
    found = tuple(find_weights(name.strip()) for name in names if name.strip())
    for weights in found:
        if not same_classes(weights.labels, labels):
            raise RunError(
                f"the teacher '{weights.name}' tells {', '.join(weights.labels)} apart, "
                f"and recipe '{recipe.name}' learns {', '.join(labels)}"
            )
        for sense in ("mean", "std"):
            if weights.recipe[sense] != getattr(recipe, sense):
                raise RunError(
                    f"the teacher '{weights.name}' sees pixels with {sense} {weights.recipe[sense]}, "
                    f"recipe '{recipe.name}' with {getattr(recipe, sense)}: --set {sense}={weights.recipe[sense]}"
                )
    return found


def teacher_identities(teachers: Sequence[Weights]) -> list[dict[str, str]] | None:
    """For a run's record; None where nobody teaches."""
    return [weights.identity for weights in teachers] or None


@dataclass(frozen=True, eq=False)
class Teachers:
    """The models that teach, ready on the device, and the share of each target that is theirs.

    Attributes:
        shifts: Logit adjustment of each teacher, float32 [K], which its probabilities are brought back with to the
            class frequencies of its training; None for a teacher that was trained without one.
        said: what they said of batches that come again, by name; none is kept where none comes.
    """

    models: tuple[nn.Module, ...]
    shifts: tuple[Tensor | None, ...]
    share: float
    keeps: bool
    fabric: Fabric
    said: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, teachers: Sequence[Weights], recipe: Recipe, fabric: Fabric) -> Teachers:
        asked = teachers if recipe.teacher_weight else ()
        models = tuple(fabric.to_device(_model(weights)) for weights in asked)
        shifts = tuple(_shift(weights, fabric) for weights in asked)
        return cls(models, shifts, recipe.teacher_weight, 0 < recipe.views < recipe.epochs, fabric)

    def __call__(self, batch: Batch) -> Tensor:
        """Targets as the teachers see them too: float32 [B,K], rows sum to 1; as they were where nobody teaches."""
        if not self.models:
            return batch.target_BK
        probs_BK = self.said.get(batch.name)
        if probs_BK is None:
            probs_BK = self._ask(batch.x_BCHW)
            if self.keeps:
                self.said[batch.name] = probs_BK
        return torch.lerp(batch.target_BK, probs_BK, self.share)

    @torch.no_grad()
    def _ask(self, x_BCHW: Tensor) -> Tensor:
        """The mean of what the teachers say, float32 [B,K]."""
        with self.fabric.autocast():
            said = [model(x_BCHW).float() for model in self.models]
        shifted = [p if s is None else with_prior(p, s) for p, s in zip(said, self.shifts, strict=True)]
        return torch.stack(shifted).exp().mean(0)


def _shift(weights: Weights, fabric: Fabric) -> Tensor | None:
    tau = weights.recipe["logit_adjustment"]
    if not tau:
        return None
    shift_K: Tensor = fabric.to_device(tau * torch.tensor(weights.about["class_frequencies"]).log())
    return shift_K


def _model(weights: Weights) -> nn.Module:
    model = build_model(weights.recipe["model"], len(weights.labels))
    weights.load_into(model, weights.labels)
    return model.eval().requires_grad_(False)
