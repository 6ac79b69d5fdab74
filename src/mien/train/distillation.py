"""Knowledge distillation from one or several teachers.

Sources: Hinton et al. 2015, arXiv 1503.02531; teacher and student see the same augmented image, Beyer et al. 2022,
arXiv 2106.05237. The teachers' probabilities are mixed into the targets, without a distillation temperature.
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
from mien.train.imbalance import adjust_logits
from mien.train.models import build_model
from mien.train.recipe import Recipe
from mien.train.runs.weights import Weights, find_weights

JOIN = "+"  # between the names of several teachers


def load_teachers(recipe: Recipe, labels: Sequence[str]) -> tuple[Weights, ...]:
    """Return the weights of the teachers of `recipe`; an empty tuple if it has none.

    Args:
        recipe: Recipe of the student.
        labels: Class names that the student learns.

    Raises:
        RunError: A teacher does not exist, has other classes, or was trained on pixels normalized in another way.
    """
    is_path = recipe.teacher and Path(recipe.teacher).exists()  # a path may contain a plus sign
    names = [recipe.teacher] if is_path else recipe.teacher.split(JOIN)
    teachers = tuple(find_weights(name.strip()) for name in names if name.strip())
    for weights in teachers:
        if not same_classes(weights.labels, labels):
            raise RunError(
                f"the teacher '{weights.name}' has other classes than recipe '{recipe.name}': "
                f"{', '.join(weights.labels)} instead of {', '.join(labels)}; choose another teacher or label_set"
            )
        for name in ("mean", "std"):
            value = weights.recipe[name]
            if value != getattr(recipe, name):
                raise RunError(
                    f"the teacher '{weights.name}' was trained with {name}={value}, and recipe '{recipe.name}' has "
                    f"{name}={getattr(recipe, name)}; use --set {name}={value}"
                )
    return teachers


def teacher_identities(teachers: Sequence[Weights]) -> list[dict[str, str]] | None:
    """Return names and checksums of the teachers for the run's record; None without teachers."""
    return [weights.identity for weights in teachers] or None


@dataclass(frozen=True, eq=False)
class Teachers:
    """The teacher models on the device.

    Attributes:
        models: Models in evaluation mode, without gradients.
        shifts: Logit adjustment of each teacher, float32 [K], by which its probabilities are brought back to the class
            frequencies of its training; None for a teacher that was trained without one.
        weight: Share of the teachers in each target.
        caches: Whether probabilities are cached, because the same augmented images occur in several epochs.
        fabric: Fabric of the run.
        cache: Batch name -> mean probabilities of the teachers, float32 [B,K].
    """

    models: tuple[nn.Module, ...]
    shifts: tuple[Tensor | None, ...]
    weight: float
    caches: bool
    fabric: Fabric
    cache: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def from_weights(cls, teachers: Sequence[Weights], recipe: Recipe, fabric: Fabric) -> Teachers:
        """Build the teacher models of a recipe on the device; none if `teacher_weight` is 0."""
        used = teachers if recipe.teacher_weight else ()
        models = tuple(fabric.to_device(_build(weights)) for weights in used)
        shifts = tuple(_logit_shift(weights, fabric) for weights in used)
        return cls(models, shifts, recipe.teacher_weight, 0 < recipe.views < recipe.epochs, fabric)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the targets mixed with the teachers' probabilities, float32 [B,K]; each row sums to 1."""
        if not self.models:
            return batch.target_BK
        probs_BK = self.cache.get(batch.name)
        if probs_BK is None:
            probs_BK = self._predict(batch.x_BCHW)
            if self.caches:
                self.cache[batch.name] = probs_BK
        return torch.lerp(batch.target_BK, probs_BK, self.weight)

    @torch.no_grad()
    def _predict(self, x_BCHW: Tensor) -> Tensor:
        """Return the mean probabilities of the teachers, float32 [B,K]."""
        with self.fabric.autocast():
            outputs = [model(x_BCHW).float() for model in self.models]
        shifted = [p if s is None else adjust_logits(p, s) for p, s in zip(outputs, self.shifts, strict=True)]
        return torch.stack(shifted).exp().mean(0)


def _logit_shift(weights: Weights, fabric: Fabric) -> Tensor | None:
    tau = weights.recipe["logit_adjustment"]
    if not tau:
        return None
    shift_K: Tensor = fabric.to_device(tau * torch.tensor(weights.about["class_frequencies"]).log())
    return shift_K


def _build(weights: Weights) -> nn.Module:
    model = build_model(weights.recipe["model"], len(weights.labels))
    weights.load_into(model, weights.labels)
    return model.eval().requires_grad_(False)
